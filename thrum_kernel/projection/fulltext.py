"""The full-text index as a file: ``.thrum/var/search.db``, filled from the cache and deletable at any time.

Beside its text each message has tags, one word for everything that a search can be narrowed by (``r12`` recipient,
``w7`` author, ``t3`` thread, ``l5`` label, by their keys in the cache), so that narrowing is part of the one question
to the index. All of this runs in the thread of `search.Search`.

`_fill` takes messages as they are, without any journal, since a file that was not filled to the end is thrown away;
`_take_changes` takes whatever changed since it began, and notes that in the same transaction as the text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from thrum_kernel.projection import schema
from thrum_kernel.projection.db import make_way, remove

SCHEMA = "search-1"

BATCH = 10_000
"""Messages that are indexed in one transaction."""

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE VIRTUAL TABLE text USING fts5(body, tags, tokenize = 'unicode61 remove_diacritics 2');
INSERT INTO text (text, rank) VALUES ('rank', 'bm25(1.0, 0.0)');
INSERT INTO text (text, rank) VALUES ('hashsize', 8388608);
"""

_INSERT = """
INSERT INTO text (rowid, body, tags) SELECT m.id, m.body, 'w' || m.author || coalesce(' t' || m.thread, '')
    || coalesce((SELECT group_concat(' r' || d.agent, '') FROM cache.delivery d WHERE d.message = m.id), '')
    || coalesce((SELECT group_concat(' l' || x.label, '') FROM cache.attached_label x WHERE x.attached = m.attached), '')
FROM cache.message m WHERE m.body IS NOT NULL AND
"""

_DELETE_GONE = """
DELETE FROM text WHERE rowid = ?1
    AND NOT EXISTS (SELECT 1 FROM cache.message m WHERE m.id = ?1 AND m.body IS NOT NULL)
"""


class TextIndex:
    """The index of one build of the cache.

    Attributes:
        db: its connection, with the cache attached as ``cache``.
        birth: the build of the cache that it belongs to.
        change: the newest entry of ``change`` that it has taken.
        is_filled: it has all that there was when it was begun.
        is_soiled: messages were removed whose words it still holds, unfindable, until `scrub`.
    """

    def __init__(self, path: Path, cache_path: Path, birth: str) -> None:
        """Open the index, or begin it anew where it belongs to another build of the cache."""
        self.birth = birth
        make_way(path, SCHEMA)
        if path.exists() and _filled_for(path, cache_path) != birth:
            remove(path)
        is_new = not path.exists()
        if is_new:
            path.touch(mode=0o600)
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0, uri=True)
        self.db.execute("PRAGMA secure_delete = ON")
        self.db.execute("PRAGMA cache_size = -16384")
        # Read-only: the cache has one writer, and whoever folds its log back must know of a swap.
        self.db.execute("ATTACH ? AS cache", (f"{cache_path.absolute().as_uri()}?mode=ro",))
        if is_new:
            self._begin()
        else:
            self._be_durable()
        notes = dict(self.db.execute("SELECT key, value FROM main.meta").fetchall())
        self.change = int(notes["change"])
        self.is_filled = notes["filled"] == "1"
        self.is_soiled = notes["soiled"] == "1"

    def update(self, progress: Callable[[int], None]) -> None:
        """Take everything that is new, telling the percentage while the index is being filled."""
        if not self.is_filled:
            self._fill(progress)
        self._take_changes()

    def scrub(self) -> None:
        """Write the index anew without the words of what was removed. Takes seconds for a million messages."""
        self.db.execute("INSERT INTO text (text) VALUES ('optimize')")
        self._note(soiled=0)
        self.is_soiled = False
        self.db.execute("PRAGMA main.wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close it; nothing is lost."""
        self.db.close()

    def _be_durable(self) -> None:
        self.db.execute("PRAGMA main.journal_mode = WAL")
        self.db.execute("PRAGMA main.synchronous = NORMAL")

    def _begin(self) -> None:
        self.db.execute("PRAGMA main.journal_mode = MEMORY")
        self.db.execute("PRAGMA main.synchronous = OFF")
        change = self.db.execute("SELECT coalesce(max(seq), 0) FROM cache.sqlite_sequence").fetchone()[0]
        self.db.execute(f"PRAGMA main.application_id = {schema.APPLICATION_ID}")
        self.db.executescript(f"BEGIN; {_TABLES} COMMIT")
        notes = {
            "birth": self.birth,
            "change": change,
            "filled": 0,
            "soiled": 0,
            "schema": SCHEMA,
        }
        self.db.executemany(
            "INSERT INTO main.meta VALUES (?, ?)", [(key, str(value)) for key, value in notes.items()]
        )

    def _fill(self, progress: Callable[[int], None]) -> None:
        total = max(1, self.db.execute("SELECT count(*) FROM cache.message").fetchone()[0])
        done = 0
        after = -1
        while (last := self._last_of_batch(after)) is not None:
            progress(min(99, done * 100 // total))
            self.db.execute("BEGIN")
            done += self.db.execute(f"{_INSERT} m.id > ? AND m.id <= ? ORDER BY m.id", (after, last)).rowcount
            self.db.execute("COMMIT")
            after = last
        self.db.execute("PRAGMA main.synchronous = FULL")
        self._note(change=self.change)  # this commit brings all before it to the disk, and only then …
        self._note(filled=1)
        self._be_durable()
        self.is_filled = True

    def _last_of_batch(self, after: int) -> int | None:
        last: int | None = self.db.execute(
            "SELECT max(id) FROM (SELECT id FROM cache.message WHERE id > ? ORDER BY id LIMIT ?)",
            (after, BATCH),
        ).fetchone()[0]
        return last

    def _take_changes(self) -> None:
        while True:
            rows = self.db.execute(
                "SELECT id, message FROM cache.change WHERE id > ? ORDER BY id LIMIT ?", (self.change, BATCH)
            ).fetchall()
            if not rows:
                return
            messages = [(message,) for message in sorted({row[1] for row in rows})]
            self.db.execute("BEGIN")
            # Counted apart: in one batch as many may be new as are gone.
            gone = self.db.executemany(_DELETE_GONE, messages).rowcount
            self.db.executemany("DELETE FROM text WHERE rowid = ?", messages)
            self.db.executemany(f"{_INSERT} m.id = ?", messages)
            self.is_soiled = self.is_soiled or gone > 0
            self._note(change=rows[-1][0], soiled=int(self.is_soiled))
            self.db.execute("COMMIT")
            self.change = rows[-1][0]

    def _note(self, **notes: int) -> None:
        self.db.executemany(
            "UPDATE main.meta SET value = ? WHERE key = ?",
            [(str(value), key) for key, value in notes.items()],
        )


def _filled_for(path: Path, cache_path: Path) -> str | None:
    """The build of the cache that a whole index belongs to.

    None for one that was not filled to the end, and for one that has taken more than there is: after a power failure
    the cache may have lost what was not synced, and counts its changes again.
    """
    connection = sqlite3.connect(path, isolation_level=None, uri=True)
    try:
        connection.execute("ATTACH ? AS cache", (f"{cache_path.absolute().as_uri()}?mode=ro",))
        notes = dict(connection.execute("SELECT key, value FROM main.meta").fetchall())
        newest = connection.execute("SELECT coalesce(max(seq), 0) FROM cache.sqlite_sequence").fetchone()[0]
        return notes["birth"] if notes["filled"] == "1" and int(notes["change"]) <= newest else None
    except (sqlite3.DatabaseError, KeyError):
        return None
    finally:
        connection.close()

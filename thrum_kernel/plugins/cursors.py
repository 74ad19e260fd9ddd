"""What of the log each plugin has heard, durably: for each writer the places, as ranges.

Source: DESIGN.md D6 ("a durable cursor ``{writer: set of ranges}`` in ``local.db``").
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from thrum_kernel.api import Migration
from thrum_kernel.projection.local import LocalDb
from thrum_kernel.projection.spans import Spans

Ranges = Mapping[str, Iterable[tuple[int, int]]]

MIGRATION: Final = Migration(
    "plugins.0001_cursors",
    (
        "CREATE TABLE plugin_cursor (plugin TEXT NOT NULL, writer TEXT NOT NULL, first INTEGER NOT NULL,"
        " last INTEGER NOT NULL, PRIMARY KEY (plugin, writer, first)) WITHOUT ROWID",
        "CREATE TABLE plugin_began (plugin TEXT PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE plugin_dead_letter (plugin TEXT NOT NULL, writer TEXT NOT NULL, sequence INTEGER NOT NULL,"
        " event_id TEXT NOT NULL, type TEXT NOT NULL, line BLOB NOT NULL, error TEXT NOT NULL,"
        " failed_us INTEGER NOT NULL, PRIMARY KEY (plugin, writer, sequence)) WITHOUT ROWID",
    ),
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a plugin failed on three times.

    Attributes:
        failed_us: when, microseconds since 1970.
    """

    writer: str
    sequence: int
    event_id: str
    type: str
    line: bytes
    error: str
    failed_us: int


class Cursor:
    """The places that one plugin has heard.

    Attributes:
        began: whether it has a beginning yet.
    """

    def __init__(self, local: LocalDb, plugin: str) -> None:
        self._local = local
        self._plugin = plugin
        self._spans: dict[str, Spans] = {}
        self._unsaved: set[str] = set()
        self.began = bool(local.read("SELECT 1 FROM plugin_began WHERE plugin = ?", (plugin,)))
        rows: dict[str, list[tuple[int, int]]] = {}
        for writer, first, last in local.read(
            "SELECT writer, first, last FROM plugin_cursor WHERE plugin = ?", (plugin,)
        ):
            rows.setdefault(writer, []).append((first, last))
        self._spans = {writer: Spans(found) for writer, found in rows.items()}

    async def begin(self, heard: Ranges) -> None:
        """Start after these places."""
        self._spans = {writer: Spans(found) for writer, found in heard.items()}
        writers = tuple(self._spans)

        def save(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR IGNORE INTO plugin_began VALUES (?)", (self._plugin,))
            for writer in writers:
                self._save(db, writer, list(self._spans[writer]))

        await self._local.write(save)
        self.began = True

    def has(self, writer: str, sequence: int) -> bool:
        """Whether a place was heard."""
        spans = self._spans.get(writer)
        return spans is not None and sequence in spans

    def ranges(self) -> dict[str, list[tuple[int, int]]]:
        """Everything that was heard."""
        return {writer: list(spans) for writer, spans in self._spans.items()}

    def note(self, writer: str, sequence: int, *, saved: bool = False) -> None:
        """A place was heard; it is on disk after the next `save`, or already."""
        self._spans.setdefault(writer, Spans()).add(sequence)
        if not saved:
            self._unsaved.add(writer)

    def write(self, db: sqlite3.Connection, writer: str, sequence: int) -> None:
        """Put a place, with all others of its writer, on disk with the transaction of *db*; in its thread."""
        self._save(db, writer, list(Spans([*self._spans.get(writer, ()), (sequence, sequence)])))

    async def save(self) -> None:
        """Put everything heard on disk."""
        writers, self._unsaved = self._unsaved, set()
        if not writers:
            return
        found = {writer: list(self._spans[writer]) for writer in writers}

        def save(db: sqlite3.Connection) -> None:
            for writer, ranges in found.items():
                self._save(db, writer, ranges)

        try:
            await self._local.write(save)
        except BaseException:
            self._unsaved |= writers
            raise

    # --- dead letters --------------------------------------------------------------------------------------------

    def dead_letters(self) -> list[DeadLetter]:
        """By time of failure."""
        return dead_letters(self._local, self._plugin)

    async def bury(self, letter: DeadLetter) -> None:
        """Keep an event that could not be taken, and go on behind it."""

        def save(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT OR REPLACE INTO plugin_dead_letter VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self._plugin,
                    letter.writer,
                    letter.sequence,
                    letter.event_id,
                    letter.type,
                    letter.line,
                    letter.error,
                    letter.failed_us,
                ),
            )
            self.write(db, letter.writer, letter.sequence)

        await self._local.write(save)
        self.note(letter.writer, letter.sequence, saved=True)

    async def dig_up(self, letter: DeadLetter) -> None:
        """Forget a dead letter: it was taken after all."""
        await self._local.write(
            lambda db: db.execute(
                "DELETE FROM plugin_dead_letter WHERE plugin = ? AND writer = ? AND sequence = ?",
                (self._plugin, letter.writer, letter.sequence),
            )
        )

    def _save(self, db: sqlite3.Connection, writer: str, ranges: list[tuple[int, int]]) -> None:
        db.execute("DELETE FROM plugin_cursor WHERE plugin = ? AND writer = ?", (self._plugin, writer))
        db.executemany(
            "INSERT INTO plugin_cursor VALUES (?, ?, ?, ?)",
            [(self._plugin, writer, first, last) for first, last in ranges],
        )


def dead_letters(local: LocalDb, plugin: str) -> list[DeadLetter]:
    """What a plugin could not take, by time of failure."""
    return [
        DeadLetter(*row)
        for row in local.read(
            "SELECT writer, sequence, event_id, type, line, error, failed_us FROM plugin_dead_letter"
            " WHERE plugin = ? ORDER BY failed_us, event_id",
            (plugin,),
        )
    ]

"""The cache: the daemon's one connection to ``.thrum/var/messages.db``, which can be deleted at any time.

`Cache` belongs to the thread of the event loop. Its write-ahead log is folded back into the database by a thread of
its own after enough was written, so the loop does not wait for that, and nobody writes when nothing happens.

Source: DESIGN.md D3.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from thrum_kernel.errors import Projecting
from thrum_kernel.projection import schema
from thrum_kernel.projection.checkpoint import CHECKPOINT_BYTES, Beside, Checkpointer, in_thread
from thrum_kernel.projection.local import LocalDb
from thrum_kernel.projection.views import VIEWS

__all__ = ["Cache", "LocalDb"]

MOVED_ASIDE = ".other-program"
"""What is appended to the name of another program's database found at our place."""


class Cache:
    """The projection as a SQLite database.

    Attributes:
        path: the database file.
        indexed_change: the newest entry of ``change`` that the full-text index has taken; `search.Search` tells it.
        is_empty: it was made by this start: the log has yet to be projected into it.
        moved_aside: where a file of another program, found at our place, is now; None when there was none.
    """

    def __init__(
        self,
        path: Path,
        *,
        extra_tables: Sequence[str] = (),
        later: bool = False,
        beside: Beside = in_thread,
    ) -> None:
        """Open *path*, or make it; see `open`.

        Args:
            later: do not open it yet: every use is answered with `Projecting` until `open` is called.
            beside: folds the write-ahead log back.
        """
        self.path = path
        self.indexed_change = 0
        self.moved_aside: Path | None = None
        self.is_empty = False
        self._extra_tables: tuple[str, ...] = ()
        self._percent: int | None = 0
        self._beside = beside
        self._is_open = False
        if not later:
            self.open(extra_tables)

    def open(self, extra_tables: Sequence[str] = ()) -> None:
        """Open the file, or make it.

        A database of another program is moved aside; one of ours with other tables is replaced by an empty one.

        Args:
            extra_tables: statements that make the tables of plugins; changing them changes the schema.

        Raises:
            OSError: the folder cannot be written.
            sqlite3.OperationalError: the disk is full or the file cannot be opened.
        """
        self._extra_tables = tuple(extra_tables)
        self.moved_aside = make_way(self.path, fingerprint(self._extra_tables))
        self.is_empty = not self.path.exists()
        if self.is_empty:
            create(self.path, self._extra_tables)
        self._connection = _connect(self.path)
        self._checkpointer = Checkpointer(self.path, self._beside)
        self._percent = None
        self._is_open = True

    def expect(self, extra_tables: Sequence[str]) -> bool:
        """Have these tables of plugins after the next rebuild; whether that differs from what is there now."""
        differs = self._extra_tables != tuple(extra_tables)
        self._extra_tables = tuple(extra_tables)
        return differs

    @property
    def connection(self) -> sqlite3.Connection:
        """The loop's connection, in autocommit outside `transaction`.

        Raises:
            Projecting: the cache is being rebuilt.
        """
        if self._percent is not None:
            raise Projecting(self._percent)
        return self._connection

    def read(self, sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query.

        Raises:
            Projecting: the cache is being rebuilt.
        """
        return self.connection.execute(sql, params).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the end, rolled back when left by an exception.

        Raises:
            Projecting: the cache is being rebuilt.
        """
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk may have ended it
                connection.execute("ROLLBACK")
            raise
        self._checkpointer.note()

    def scrub(self) -> None:
        """Leave no copy of text that was removed: the file is cleared of it, beside the loop."""
        self._checkpointer.scrub()

    async def scrubbed(self) -> None:
        """Wait until what `scrub` was called for is gone from the files; a reader of old text holds that up."""
        while (folding := self._checkpointer.try_clean()) is not None:
            await asyncio.to_thread(folding.join)
            await asyncio.sleep(0)

    def projecting(self, percent: int) -> None:
        """Answer every use with `Projecting` from now until `swap` or `resume`; may be called from any thread."""
        self._percent = percent

    def resume(self) -> None:
        """Serve again what is there, after a rebuild that was given up."""
        self._percent = None

    def swap(self, path: Path) -> None:
        """Take the finished database *path* in place of the present one, and serve again.

        Raises:
            OSError: it cannot be moved; the present one stays.
        """
        self._checkpointer.close()
        self._connection.close()
        try:
            path.replace(self.path)
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self.is_empty = False
            self.indexed_change = 0
        finally:
            self._connection = _connect(self.path)
            self._checkpointer = Checkpointer(self.path, self._beside)
            self._percent = None

    @property
    def birth(self) -> str:
        """Names this build of the cache: differs after every rebuild."""
        return str(self._connection.execute("SELECT value FROM meta WHERE key = 'birth'").fetchone()[0])

    @property
    def extra_tables(self) -> tuple[str, ...]:
        """The statements it was opened with, for building its successor."""
        return self._extra_tables

    def close(self) -> None:
        """Fold everything into the database file and close it."""
        if self._is_open:
            self._checkpointer.close()
            self._connection.close()


def fingerprint(extra_tables: Sequence[str]) -> str:
    """Names the tables of a cache: ours by number, plugins' by their text."""
    if not extra_tables:
        return str(schema.SCHEMA)
    return f"{schema.SCHEMA}+{hashlib.sha256(chr(0).join(extra_tables).encode()).hexdigest()[:16]}"


def create(path: Path, extra_tables: Sequence[str] = (), *, indexed: bool = True) -> None:
    """Make an empty cache at *path*, which must not exist; without indexes and triggers for a bulk load."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    path.touch(mode=0o600, exist_ok=False)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        indexes = schema.INDEXES + schema.TRIGGERS if indexed else ""
        connection.executescript(f"BEGIN; {schema.TABLES} {VIEWS} {indexes} COMMIT")
        for statement in extra_tables:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('birth', lower(hex(randomblob(16))))")
        # Last, for a file without it is not taken for a cache that is ready.
        connection.execute("INSERT INTO meta VALUES ('schema', ?)", (fingerprint(extra_tables),))
    finally:
        connection.close()


def make_way(path: Path, wanted: str) -> Path | None:
    """Remove a cache at *path* whose schema is not *wanted*; move anything that is not a cache of ours aside.

    Returns:
        Where another program's file is now, or None.
    """
    if not path.exists():
        remove(path)
        return None
    found = _schema_of(path)
    if found is None:
        return _move_aside(path)
    if found != wanted:
        remove(path)
    return None


def remove(path: Path) -> None:
    """Delete a database and what lies beside it; nothing happens where there is none."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _schema_of(path: Path) -> str | None:
    """The fingerprint that a cache of ours carries, empty when it is damaged; None for anything else."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        if connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
            return None
        row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        return str(row[0]) if row else ""
    except sqlite3.DatabaseError:
        return "" if _has_our_mark(path) else None
    finally:
        connection.close()


def _has_our_mark(path: Path) -> bool:
    """Whether the header of a damaged file says that it was ours."""
    with path.open("rb") as file:
        header = file.read(72)
    return header[:16] == b"SQLite format 3\x00" and header[68:72] == schema.APPLICATION_ID.to_bytes(4, "big")


def _move_aside(path: Path) -> Path:
    target = path.with_name(path.name + MOVED_ASIDE)
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}{MOVED_ASIDE}-{number}")
    for suffix in ("-wal", "-shm", ""):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(target.with_name(target.name + suffix))
    return target


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=512, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    # The log is cut back to this when it starts over, which makes its length tell how much is to be folded.
    connection.execute(f"PRAGMA journal_size_limit = {CHECKPOINT_BYTES // 4}")
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection

"""What a plugin may do to a database: look, and change its own tables. SQLite itself enforces it.

Source: DESIGN.md D3, D6 (machine truth and the cache are shared; a plugin's fault must not reach anybody's messages).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")

Owns = Callable[[str], bool]
"""Whether a table is the plugin's."""
Authorizer = Callable[[int, str | None, str | None, str | None, str | None], int]

_ALWAYS: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE})
_CHANGES: Final = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
_SCHEMA: Final = frozenset(
    {
        sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_CREATE_VIEW,
        sqlite3.SQLITE_DROP_TABLE,
        sqlite3.SQLITE_DROP_VIEW,
        sqlite3.SQLITE_CREATE_VTABLE,
        sqlite3.SQLITE_DROP_VTABLE,
    }
)
_ATTACHED: Final = frozenset(
    {
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_CREATE_TRIGGER,
        sqlite3.SQLITE_DROP_INDEX,
        sqlite3.SQLITE_DROP_TRIGGER,
    }
)
"""Their first argument is what is made, the second the table it belongs to."""


def authorizer(owns: Owns, *, reads_all: bool, writes: bool, schema: bool = False) -> Authorizer:
    """Decides for one plugin.

    Args:
        reads_all: every table may be read, not only its own.
        writes: its own tables may be changed.
        schema: its own tables may be made, altered and dropped.
    """

    def decide(
        action: int, first: str | None, second: str | None, _database: str | None, inner: str | None
    ) -> int:
        name = first or ""
        if action in _ALWAYS:
            allowed = True
        elif action == sqlite3.SQLITE_FUNCTION:
            allowed = (second or "") != "load_extension"
        elif action == sqlite3.SQLITE_READ:
            allowed = reads_all or owns(name) or name.startswith("sqlite_") or bool(inner and owns(inner))
        elif action in _CHANGES:
            allowed = writes and (owns(name) or (schema and name.startswith("sqlite_")))
        elif action in _SCHEMA:
            allowed = schema and owns(name)
        elif action in _ATTACHED:
            allowed = schema and owns(second or "") and (owns(name) or name.startswith("sqlite_autoindex_"))
        elif action == sqlite3.SQLITE_ALTER_TABLE:
            allowed = schema and owns(second or "")
        elif action == sqlite3.SQLITE_REINDEX:
            allowed = schema
        else:  # attaching, pragmas, transactions, whatever SQLite learns later
            allowed = False
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    return decide


def confined(db: sqlite3.Connection, owns: Owns, work: Callable[[sqlite3.Connection], T]) -> T:
    """What *work* gives, which may read and change the plugin's own tables of *db* and nothing else.

    Raises:
        sqlite3.DatabaseError: it tried something else; not authorized.
        Exception: what it raised.
    """
    db.set_authorizer(authorizer(owns, reads_all=False, writes=True))
    try:
        return work(db)
    finally:
        db.set_authorizer(None)


class Reader:
    """A connection of a plugin's own for looking; opened when it is first used.

    Args:
        path: the database.
        reads_all: every table, not only its own.
    """

    def __init__(self, path: Path, owns: Owns, *, reads_all: bool) -> None:
        self._path = path
        self._decide = authorizer(owns, reads_all=reads_all, writes=False)
        self._connection: sqlite3.Connection | None = None

    def read(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """All rows of a query.

        Raises:
            sqlite3.DatabaseError: it would do more than look, or looks at what it may not.
        """
        if self._connection is None:
            self._connection = self._open()
        return self._connection.execute(sql, params).fetchall()

    def close(self) -> None:
        """Let go of the file; the next `read` opens what lies at its path then."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5.0
        )
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(self._decide)
        return connection


class Permits:
    """Which statements of projectors are harmless, found out once for each by compiling it beside the real cache.

    An authorizer on the cache itself would make SQLite compile every statement of the projection anew for each event.
    May be used from several threads.

    Args:
        schema: statements that make all tables of the cache.
    """

    def __init__(self, schema: Iterable[str]) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        for script in schema:
            self._db.executescript(script)
        self._lock = threading.Lock()
        self._good: set[tuple[Owns, str]] = set()

    def check(self, owns: Owns, sql: str, params: Any) -> None:
        """Return for a statement that only looks, or changes nothing but tables of the one it belongs to.

        Raises:
            sqlite3.DatabaseError: it does more, or is wrong.
        """
        key = (owns, sql)
        if key in self._good:
            return
        with self._lock:
            self._db.set_authorizer(authorizer(owns, reads_all=True, writes=True))
            try:
                self._db.execute(f"EXPLAIN {sql}", params)
            finally:
                self._db.set_authorizer(None)
            self._good.add(key)

    def close(self) -> None:
        self._db.close()


class OwnTables:
    """The connection that a projector gets: it may look at everything and change its own tables."""

    __slots__ = ("_db", "_owns", "_permits")

    def __init__(self, db: sqlite3.Connection, owns: Owns, permits: Permits) -> None:
        self._db = db
        self._owns = owns
        self._permits = permits

    def execute(self, sql: str, params: Any = ()) -> sqlite3.Cursor:
        """As of `sqlite3.Connection`."""
        self._permits.check(self._owns, sql, params)
        return self._db.execute(sql, params)

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        """As of `sqlite3.Connection`."""
        listed = list(rows)
        if listed:
            self._permits.check(self._owns, sql, listed[0])
        return self._db.executemany(sql, listed)

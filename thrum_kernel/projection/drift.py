"""Tables of ``local.db`` that an earlier text of a migration made.

A step is made once, by name. Where its text was changed afterwards (an early version of a plugin, a build of a branch),
the file keeps the tables of the earlier text, and every statement of the program meets columns that are not there. So
after each migration the real tables are held against those that its steps make in an empty database: a column that may
be absent is added as the step declares it, and anything that cannot be mended without guessing is refused by name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from thrum_kernel.api import Migration


@dataclass(frozen=True, slots=True)
class Column:
    """A column as ``PRAGMA table_info`` tells it.

    Attributes:
        default: SQL of its default value; None when it has none.
    """

    name: str
    type: str
    is_required: bool
    default: str | None
    is_key: bool

    @property
    def may_be_absent(self) -> bool:
        """Whether a row that knows nothing of it has a value all the same."""
        return not self.is_key and (not self.is_required or self.default is not None)

    @property
    def declared(self) -> str:
        """What follows ``ADD COLUMN``."""
        required = " NOT NULL" if self.is_required else ""
        default = f" DEFAULT {self.default}" if self.default is not None else ""
        return f'"{self.name}" {self.type}{required}{default}'


class Unmendable(Exception):
    """A table differs in a way that no value can be guessed for; the message says how."""


def mend(db: sqlite3.Connection, steps: Sequence[Migration]) -> list[str]:
    """Add to *db*, where all of *steps* are made, what an earlier text of them lacked.

    Returns:
        What was added: tables and indexes by name, columns as ``table.column``.

    Raises:
        Unmendable: a column that each row must have is not there, one that these steps know nothing of must be filled,
            or what is there does not let an index be made.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as wanted:
        for step in steps:
            for statement in step.statements:
                wanted.execute(statement)
        added = _add_missing(db, wanted, "type = 'table'")
        for table in _names(wanted, "type = 'table'"):
            added += _add_columns(db, table, _columns(wanted, table))
        return added + _add_missing(db, wanted, "type <> 'table'")


def _add_missing(db: sqlite3.Connection, wanted: sqlite3.Connection, condition: str) -> list[str]:
    there = _names(db, condition)
    missing = {name: sql for name, sql in _names(wanted, condition).items() if name not in there}
    for name, sql in missing.items():
        try:
            db.execute(sql)
        except sqlite3.Error as error:
            raise Unmendable(f"{name} cannot be made: {error}") from error
    return list(missing)


def _add_columns(db: sqlite3.Connection, table: str, wanted: dict[str, Column]) -> list[str]:
    there = _columns(db, table)
    lacking = [column for name, column in wanted.items() if name not in there]
    if needed := [column.name for column in lacking if not column.may_be_absent]:
        raise Unmendable(f"table {table} lacks {', '.join(needed)}, which every row must have")
    unknown = [column for name, column in there.items() if name not in wanted]
    if needed := [column.name for column in unknown if not column.may_be_absent]:
        raise Unmendable(f"table {table} wants {', '.join(needed)}, of which this version knows nothing")
    for column in lacking:
        db.execute(f'ALTER TABLE "{table}" ADD COLUMN {column.declared}')
    return [f"{table}.{column.name}" for column in lacking]


def _names(db: sqlite3.Connection, condition: str) -> dict[str, str]:
    """What the schema holds, with the statement that makes it."""
    rows = db.execute(
        f"SELECT name, sql FROM sqlite_master WHERE {condition} AND sql IS NOT NULL ORDER BY rowid"
    )
    return {name: sql for name, sql in rows if not name.startswith("sqlite_")}


def _columns(db: sqlite3.Connection, table: str) -> dict[str, Column]:
    rows = db.execute('SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?)', (table,))
    return {
        name: Column(name, kind, bool(required), default, bool(key))
        for name, kind, required, default, key in rows
    }

"""What this machine remembers of the sessions that were made here: enough to make one anew when it is gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from thrum_kernel.api import Migration, PluginContext, Tables

TABLES: Final = Tables(
    local=(
        Migration(
            name="tmux.0001_sessions",
            statements=(
                "CREATE TABLE tmux_sessions ("
                " name TEXT NOT NULL,"
                " socket TEXT NOT NULL,"
                " cwd TEXT NOT NULL,"
                " agent TEXT NOT NULL,"
                " role TEXT NOT NULL,"
                " module TEXT NOT NULL,"
                " intent TEXT NOT NULL,"
                " runtime TEXT NOT NULL,"
                " PRIMARY KEY (name, socket)"
                ") WITHOUT ROWID",
            ),
        ),
        Migration(
            name="tmux.0002_makers",
            statements=("ALTER TABLE tmux_sessions ADD COLUMN made_by TEXT NOT NULL DEFAULT ''",),
        ),
    )
)
_COLUMNS: Final = "name, socket, cwd, agent, role, module, intent, runtime, made_by"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """How a session is made.

    Attributes:
        name: what it is called.
        socket: absolute path of its server's socket.
        cwd: where its shells begin.
        agent: who lives in it; empty for a bare session. Then role and module are empty, too.
        intent: what the agent means to do; may be empty.
        runtime: what to launch; empty: as the identity says.
        made_by: the agent that made it; empty: a person did, or nobody knows.
    """

    name: str
    socket: str
    cwd: Path
    agent: str = ""
    role: str = ""
    module: str = ""
    intent: str = ""
    runtime: str = ""
    made_by: str = ""


class Records:
    """All of them; one for the plugin: ``ctx.shared(Records)``."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx

    def all(self) -> list[Record]:
        """By name."""
        rows = self._ctx.read(f"SELECT {_COLUMNS} FROM tmux_sessions ORDER BY name, socket", local=True)
        return [_record(row) for row in rows]

    def named(self, name: str) -> Record | None:
        """A session's; of several with one name on different servers the first."""
        return next((record for record in self.all() if record.name == name), None)

    async def keep(self, record: Record) -> None:
        """Remember a session, in place of what was remembered of it."""
        values = (
            record.name,
            record.socket,
            str(record.cwd),
            record.agent,
            record.role,
            record.module,
            record.intent,
            record.runtime,
            record.made_by,
        )
        await self._write(lambda db: db.execute(_KEEP, values))

    async def forget(self, name: str, socket: str) -> None:
        """Remember it no more."""
        await self._write(
            lambda db: db.execute("DELETE FROM tmux_sessions WHERE name = ? AND socket = ?", (name, socket))
        )

    async def rename(self, old: str, new: str, socket: str) -> None:
        """A person renamed a session."""
        await self._write(
            lambda db: db.execute(
                "UPDATE OR REPLACE tmux_sessions SET name = ? WHERE name = ? AND socket = ?",
                (new, old, socket),
            )
        )

    async def _write(self, fn: Callable[[sqlite3.Connection], Any]) -> None:
        def once(db: sqlite3.Connection) -> None:
            fn(db)

        await self._ctx.write(once)


_KEEP: Final = f"INSERT OR REPLACE INTO tmux_sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _record(row: tuple[Any, ...]) -> Record:
    name, socket, cwd, agent, role, module, intent, runtime, made_by = row
    return Record(
        name=name,
        socket=socket,
        cwd=Path(cwd),
        agent=agent,
        role=role,
        module=module,
        intent=intent,
        runtime=runtime,
        made_by=made_by,
    )

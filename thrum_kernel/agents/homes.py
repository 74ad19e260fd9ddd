"""Where the agents of this daemon live on this machine: worktree, runtime process, when last heard of.

A row of `local.db` per incarnation, held in memory too, for reading costs nothing then. Signs of life are kept in
memory and written at most every thirty seconds an agent, so an idle team writes nothing.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from thrum_kernel.clock import Clock
from thrum_kernel.projection.local import LocalDb

WRITE_EVERY_US: Final = 30_000_000

NOTED_EVERY_US: Final = 100_000
"""So exactly it is known when an agent was seen last."""


@dataclass(frozen=True, slots=True)
class ProcessKey:
    """A process that cannot be mistaken for a later one with the same id.

    Attributes:
        pid: its id.
        start_time: when it started, as `identity.probe` gives it.
    """

    pid: int
    start_time: int


@dataclass(frozen=True, slots=True)
class Home:
    """Where one incarnation lives.

    Attributes:
        incarnation: the agent.
        name: its name.
        worktree: root of its worktree; None when it was never registered on this machine.
        runtime: name of the runtime it lives in or prefers; empty when none.
        process: that runtime's process; None when it lives in none.
        last_seen_us: when it last did something; 0 when never.
    """

    incarnation: str
    name: str
    worktree: Path | None = None
    runtime: str = ""
    process: ProcessKey | None = None
    last_seen_us: int = 0


class Homes:
    """All homes of this machine."""

    def __init__(self, local: LocalDb, clock: Clock) -> None:
        self._local = local
        self._clock = clock
        self._homes: dict[str, Home] | None = None
        self._written_us: dict[str, int] = {}

    def all(self) -> list[Home]:
        return list(self._loaded().values())

    def of(self, incarnation: str) -> Home | None:
        return self._loaded().get(incarnation)

    def living_in(self, process: ProcessKey) -> list[Home]:
        """The agents whose runtime is *process*."""
        return [home for home in self._loaded().values() if home.process == process]

    async def keep(self, home: Home) -> None:
        """Remember a home, durably when this returns."""
        await self._local.write(lambda db: _store(db, home))
        self._loaded()[home.incarnation] = home
        self._written_us[home.incarnation] = home.last_seen_us

    async def forget(self, incarnation: str) -> None:
        await self._local.write(
            lambda db: db.execute("DELETE FROM agent_homes WHERE incarnation = ?", (incarnation,))
        )
        self._loaded().pop(incarnation, None)
        self._written_us.pop(incarnation, None)

    def touch(self, incarnation: str) -> None:
        """Note that an agent did something now."""
        home = self.of(incarnation)
        if home is None:
            return
        now = self._clock.now_us()
        if 0 <= now - home.last_seen_us < NOTED_EVERY_US:
            return
        home = replace(home, last_seen_us=now)
        self._loaded()[incarnation] = home
        if now - self._written_us.get(incarnation, 0) >= WRITE_EVERY_US:
            self._written_us[incarnation] = now
            self._local.write_later(lambda db: _store_seen(db, incarnation, now))

    def _loaded(self) -> dict[str, Home]:
        if self._homes is None:
            rows = self._local.read(
                "SELECT incarnation, name, worktree, runtime, runtime_pid, runtime_started, last_seen_us"
                " FROM agent_homes"
            )
            self._homes = {row[0]: _home(row) for row in rows}
            self._written_us = {home.incarnation: home.last_seen_us for home in self._homes.values()}
        return self._homes


def _home(row: tuple[str, str, str, str, int, int, int]) -> Home:
    incarnation, name, worktree, runtime, pid, started, last_seen_us = row
    return Home(
        incarnation=incarnation,
        name=name,
        worktree=Path(worktree) if worktree else None,
        runtime=runtime,
        process=ProcessKey(pid, started) if pid else None,
        last_seen_us=last_seen_us,
    )


def _store(db: sqlite3.Connection, home: Home) -> None:
    process = home.process or ProcessKey(0, 0)
    db.execute(
        "INSERT OR REPLACE INTO agent_homes VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            home.incarnation,
            home.name,
            str(home.worktree or ""),
            home.runtime,
            process.pid,
            process.start_time,
            home.last_seen_us,
        ),
    )


def _store_seen(db: sqlite3.Connection, incarnation: str, now_us: int) -> None:
    db.execute(
        "UPDATE agent_homes SET last_seen_us = max(last_seen_us, ?) WHERE incarnation = ?",
        (now_us, incarnation),
    )

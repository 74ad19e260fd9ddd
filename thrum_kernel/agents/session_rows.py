"""What this machine knows of sessions beside the log: runtime, signs of life, scopes and refs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from thrum_kernel.agents.homes import ProcessKey
from thrum_kernel.clock import Clock
from thrum_kernel.events.core import Label
from thrum_kernel.projection.local import LocalDb

WRITE_EVERY_US: Final = 30_000_000

_SELECT = (
    "SELECT session_id, incarnation, runtime_pid, runtime_started, asserted, last_seen_us FROM agent_sessions"
)

Kind = Literal["scope", "ref"]


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """One session of this machine.

    Attributes:
        session_id, incarnation: which one, and whose.
        process: the runtime it was started from; None when from none.
        asserted: the system could not tell who started it.
        last_seen_us: when it was last heard of.
    """

    session_id: str
    incarnation: str
    process: ProcessKey | None
    asserted: bool
    last_seen_us: int


@dataclass(frozen=True, slots=True)
class LabelChange:
    """Scopes or refs to add to a session and to take from it."""

    kind: Kind
    add: Sequence[Label] = ()
    remove: Sequence[Label] = ()


class SessionRows:
    """Sessions of this machine; rows of ended sessions are removed."""

    def __init__(self, local: LocalDb, clock: Clock) -> None:
        self._local = local
        self._clock = clock
        self._seen_us: dict[str, int] = {}
        self._written_us: dict[str, int] = {}

    def all(self) -> list[SessionFacts]:
        return [self._facts(row) for row in self._local.read(_SELECT)]

    def of(self, session_id: str) -> SessionFacts | None:
        rows = self._local.read(
            f"{_SELECT} WHERE session_id = ?",
            (session_id,),
        )
        return self._facts(rows[0]) if rows else None

    def labels(self, session_id: str, kind: Kind) -> list[Label]:
        """Scopes or refs of a session, in the order they were added."""
        rows = self._local.read(
            "SELECT type, value FROM agent_session_labels WHERE session_id = ? AND kind = ?"
            " ORDER BY added_us, type, value",
            (session_id, kind),
        )
        return [Label(type=row[0], value=row[1]) for row in rows]

    async def start(self, facts: SessionFacts, changes: Iterable[LabelChange]) -> None:
        """Remember a session that was started here."""
        process = facts.process or ProcessKey(0, 0)

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT OR REPLACE INTO agent_sessions VALUES (?, ?, ?, ?, ?, ?)",
                (
                    facts.session_id,
                    facts.incarnation,
                    process.pid,
                    process.start_time,
                    facts.asserted,
                    facts.last_seen_us,
                ),
            )
            _change(db, facts.session_id, changes, facts.last_seen_us)

        await self._local.write(write)
        self._written_us[facts.session_id] = self._seen_us[facts.session_id] = facts.last_seen_us

    async def label(self, session_id: str, changes: Sequence[LabelChange]) -> None:
        """Add and remove scopes and refs."""
        if any(change.add or change.remove for change in changes):
            now = self._clock.now_us()
            await self._local.write(lambda db: _change(db, session_id, changes, now))

    async def end(self, session_ids: Sequence[str]) -> None:
        """Forget sessions that ended, with their scopes and refs."""

        def write(db: sqlite3.Connection) -> None:
            for session_id in session_ids:
                db.execute("DELETE FROM agent_sessions WHERE session_id = ?", (session_id,))
                db.execute("DELETE FROM agent_session_labels WHERE session_id = ?", (session_id,))

        if session_ids:
            await self._local.write(write)
        for session_id in session_ids:
            self._seen_us.pop(session_id, None)
            self._written_us.pop(session_id, None)

    def touch(self, session_id: str) -> int:
        """Note a sign of life; the time of it. Written at most every thirty seconds."""
        now = self._clock.now_us()
        self._seen_us[session_id] = now
        if now - self._written_us.get(session_id, 0) >= WRITE_EVERY_US:
            self._written_us[session_id] = now
            self._local.write_later(
                lambda db: db.execute(
                    "UPDATE agent_sessions SET last_seen_us = max(last_seen_us, ?) WHERE session_id = ?",
                    (now, session_id),
                )
            )
        return now

    def _facts(self, row: tuple[str, str, int, int, int, int]) -> SessionFacts:
        session_id, incarnation, pid, started, asserted, last_seen_us = row
        return SessionFacts(
            session_id=session_id,
            incarnation=incarnation,
            process=ProcessKey(pid, started) if pid else None,
            asserted=bool(asserted),
            last_seen_us=max(last_seen_us, self._seen_us.get(session_id, 0)),
        )


def _change(db: sqlite3.Connection, session_id: str, changes: Iterable[LabelChange], now_us: int) -> None:
    for change in changes:
        db.executemany(
            "DELETE FROM agent_session_labels WHERE session_id = ? AND kind = ? AND type = ? AND value = ?",
            [(session_id, change.kind, label.type, label.value) for label in change.remove],
        )
        db.executemany(
            "INSERT OR IGNORE INTO agent_session_labels VALUES (?, ?, ?, ?, ?)",
            [(session_id, change.kind, label.type, label.value, now_us) for label in change.add],
        )

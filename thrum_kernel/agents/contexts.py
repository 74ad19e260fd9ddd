"""What agents of this machine work on: one work context an open session, and its digest for other machines.

The context lies in ``local.db``. A digest goes into the log when it says something new, at most once a minute an
agent: short lists, the worktree's name instead of its path, no times that move by themselves.

Source: DESIGN.md D1 "What travels"; spec/kernel.md §2.3 (``agent.update``), §6.8.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from thrum_kernel.clock import Clock
from thrum_kernel.commit import Committer
from thrum_kernel.events.core import AgentRef, AgentUpdate, WorkContext
from thrum_kernel.projection.local import LocalDb

DIGEST_EVERY_US: Final = 60_000_000
DIGEST_MAX_ENTRIES: Final = 50

_decoder = msgspec.json.Decoder(WorkContext)


class Contexts:
    """Work contexts in ``local.db``.

    Attributes:
        changed: set when a context changed; cleared by whoever journals it.
    """

    def __init__(self, local: LocalDb) -> None:
        self._local = local
        self.changed = asyncio.Event()

    def of_session(self, session_id: str) -> WorkContext | None:
        rows = self._local.read("SELECT context FROM agent_contexts WHERE session_id = ?", (session_id,))
        return _decoder.decode(rows[0][0]) if rows else None

    async def change(self, session_id: str, incarnation: str, **fields: Any) -> WorkContext:
        """Set fields of a session's context; it is made when there is none."""

        def write(db: sqlite3.Connection) -> WorkContext:
            row = db.execute(
                "SELECT context FROM agent_contexts WHERE session_id = ?", (session_id,)
            ).fetchone()
            old = _decoder.decode(row[0]) if row else WorkContext(session_id=session_id)
            new = msgspec.structs.replace(old, **fields)
            db.execute(
                "INSERT INTO agent_contexts (session_id, incarnation, context) VALUES (?, ?, ?)"
                " ON CONFLICT (session_id) DO UPDATE SET context = excluded.context",
                (session_id, incarnation, msgspec.json.encode(new).decode()),
            )
            return new

        changed = await self._local.write(write)
        self.changed.set()
        return changed

    async def note(self, session_id: str, incarnation: str, **fields: Any) -> None:
        """Set fields that git tells; nothing is written when they only say the same again."""
        old = self.of_session(session_id)
        if old is not None:
            same = msgspec.structs.replace(old, **fields)
            if _fingerprint(same) == _fingerprint(old):
                return
        await self.change(session_id, incarnation, **fields)

    async def forget(self, session_ids: Sequence[str]) -> None:
        """Drop the contexts of sessions that ended."""
        if session_ids:
            await self._local.write(
                lambda db: db.executemany(
                    "DELETE FROM agent_contexts WHERE session_id = ?",
                    [(session_id,) for session_id in session_ids],
                )
            )

    def untold(self) -> dict[str, list[WorkContext]]:
        """By incarnation, all digests of the agents of which one has changed since it was journalled."""
        rows = self._local.read(
            "SELECT incarnation, context, journalled FROM agent_contexts ORDER BY session_id"
        )
        found: dict[str, list[WorkContext]] = {}
        news: set[str] = set()
        for incarnation, text, journalled in rows:
            digest = digest_of(_decoder.decode(text))
            found.setdefault(incarnation, []).append(digest)
            if _fingerprint(digest) != journalled:
                news.add(incarnation)
        return {incarnation: digests for incarnation, digests in found.items() if incarnation in news}

    async def mark_told(self, digests: Iterable[WorkContext]) -> None:
        """Remember what was journalled."""
        rows = [(_fingerprint(digest), digest.session_id) for digest in digests]
        await self._local.write(
            lambda db: db.executemany("UPDATE agent_contexts SET journalled = ? WHERE session_id = ?", rows)
        )


class ContextJournal:
    """Puts changed contexts into the log.

    Args:
        who: the agent of an incarnation; None when it is gone.
    """

    def __init__(
        self,
        *,
        contexts: Contexts,
        committer: Committer,
        who: Callable[[str], AgentRef | None],
        clock: Clock,
    ) -> None:
        self._contexts = contexts
        self._committer = committer
        self._who = who
        self._clock = clock
        self._told_us: dict[str, int] = {}

    async def journal(self) -> None:
        """Commit the digests that are due. Called before every cut, and a minute after a change.

        Raises:
            StoreError: the log cannot take them; they stay due.
        """
        self._contexts.changed.clear()
        now = self._clock.now_us()
        events: list[AgentUpdate] = []
        for incarnation, digests in self._contexts.untold().items():
            agent = self._who(incarnation)
            if agent is None:
                continue
            if now - self._told_us.get(incarnation, 0) < DIGEST_EVERY_US:
                self._contexts.changed.set()
                continue
            self._told_us[incarnation] = now
            events.append(
                self._committer.draft(
                    AgentUpdate, agent_id=agent.name, incarnation=incarnation, work_contexts=digests
                )
            )
        if events:
            await self._committer.commit(*events)
            await self._contexts.mark_told(digest for event in events for digest in event.work_contexts)

    async def run(self, started: Callable[[], None]) -> None:
        """Journal what changed, a minute after it did; sleeps while nothing changes."""
        started()
        self._contexts.changed.set()  # what an earlier run did not come to
        while True:
            await self._contexts.changed.wait()
            await asyncio.sleep(DIGEST_EVERY_US / 1_000_000)
            await self.journal()


def digest_of(context: WorkContext) -> WorkContext:
    """What of a context travels."""
    return msgspec.structs.replace(
        context,
        worktree_path=Path(context.worktree_path).name,
        unmerged_commits=[
            msgspec.structs.replace(commit, files=commit.files[:DIGEST_MAX_ENTRIES])
            for commit in context.unmerged_commits[:DIGEST_MAX_ENTRIES]
        ],
        uncommitted_files=context.uncommitted_files[:DIGEST_MAX_ENTRIES],
        changed_files=context.changed_files[:DIGEST_MAX_ENTRIES],
        file_changes=context.file_changes[:DIGEST_MAX_ENTRIES],
    )


def _fingerprint(digest: WorkContext) -> str:
    """A digest's content without the time it was looked at."""
    content = msgspec.json.encode(msgspec.structs.replace(digest, git_updated_at=""))
    return hashlib.sha256(content).hexdigest()

"""Sessions: beginning and ending work periods of the agents that live here.

A new session replaces those of the same agent that nothing keeps alive: started from a runtime that is gone, from no
runtime, or from the very runtime that starts the new one. A session whose runtime still runs elsewhere stays open
(spec/kernel.md §10.2, #42). A session ends by itself when its runtime does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thrum_kernel.agents.contexts import Contexts
from thrum_kernel.agents.homes import ProcessKey
from thrum_kernel.agents.identity_files import IdentityFiles
from thrum_kernel.agents.roster import Roster
from thrum_kernel.agents.session_rows import LabelChange, SessionFacts, SessionRows
from thrum_kernel.clock import parse_us
from thrum_kernel.commit import Committer
from thrum_kernel.errors import ShuttingDown, StoreError
from thrum_kernel.events.core import Label, SessionEnd, SessionStart
from thrum_kernel.ids import session_id
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow, SessionRow

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beginning:
    """A session about to begin: commit `events`, then hand it to `Sessions.begun`.

    Attributes:
        start: the new session.
        ends: sessions that it replaces.
        process: the runtime it is started from.
    """

    start: SessionStart
    ends: tuple[SessionEnd, ...]
    process: ProcessKey | None

    @property
    def events(self) -> tuple[SessionEnd | SessionStart, ...]:
        return (*self.ends, self.start)


class Sessions:
    """Opens and closes sessions.

    Args:
        watch: called with every runtime process that a session depends on.

    Attributes:
        one_at_a_time: held by whoever looks which sessions are open in order to begin or end some, until that is
            committed; so none is ended twice.
    """

    def __init__(
        self,
        *,
        roster: Roster,
        files: IdentityFiles,
        rows: SessionRows,
        contexts: Contexts,
        committer: Committer,
        watch: Callable[[ProcessKey], object],
    ) -> None:
        self.rows = rows
        self.contexts = contexts
        self._roster = roster
        self._files = files
        self._committer = committer
        self._watch = watch
        self.one_at_a_time = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()

    def open_of(self, agent: AgentRow) -> list[SessionRow]:
        """The open sessions of an agent, newest first."""
        return queries.open_sessions(self._roster.cache, agent.id)

    def plan(
        self, name: str, incarnation: str, open_now: Sequence[SessionRow], process: ProcessKey | None
    ) -> Beginning:
        """A new session of an agent, and the ends of those it replaces."""
        ends = []
        for session in open_now:
            reason = self._reason_to_end(session.session_id, process)
            if reason:
                ends.append(self._end_event(session.session_id, name, incarnation, reason))
        start = self._committer.draft(SessionStart, session_id="", agent_id=name, incarnation=incarnation)
        start.session_id = session_id(start.ulid)
        return Beginning(start, tuple(ends), process)

    async def commit(self, beginning: Beginning, *, request_id: str = "") -> None:
        """Put a planned session into the log. Raises StoreError: nothing happened."""
        await self._committer.commit(*beginning.events, request_id=request_id)

    async def begun(
        self,
        beginning: Beginning,
        *,
        scopes: Sequence[Label] = (),
        refs: Sequence[Label] = (),
        context: Mapping[str, Any] | None = None,
    ) -> None:
        """Note what of a new session stays on this machine, once its events are committed."""
        start = beginning.start
        await self._forget([event.session_id for event in beginning.ends])
        facts = SessionFacts(
            session_id=start.session_id,
            incarnation=start.incarnation,
            process=beginning.process,
            asserted=start.asserted,
            last_seen_us=parse_us(start.timestamp),
        )
        await self.rows.start(facts, [LabelChange("scope", add=scopes), LabelChange("ref", add=refs)])
        if beginning.process is not None:
            self._watch(beginning.process)
        if context:
            await self.contexts.change(start.session_id, start.incarnation, **context)

    async def end(
        self, agent: AgentRow, sessions: Sequence[SessionRow], reason: str, *, request_id: str = ""
    ) -> list[SessionEnd]:
        """End open sessions of an agent.

        Raises:
            StoreError: the log cannot take it; they stay open.
        """
        events = self.ends(agent, sessions, reason)
        if events:
            await self._committer.commit(*events, request_id=request_id)
            await self.ended(events)
        return events

    def ends(self, agent: AgentRow, sessions: Sequence[SessionRow], reason: str) -> list[SessionEnd]:
        """The ends of open sessions, to be committed together with something else; `ended` follows."""
        return [
            self._end_event(session.session_id, agent.name, agent.incarnation, reason) for session in sessions
        ]

    async def ended(self, events: Sequence[SessionEnd]) -> None:
        """Forget what this machine kept of sessions whose ends are committed, in identity files, too."""
        over = [event.session_id for event in events]
        await self._forget(over)
        for incarnation in {event.incarnation for event in events}:
            agent = self._roster.by_incarnation(incarnation)
            if agent is not None:
                still_open = [row.session_id for row in self.open_of(agent)]
                await self.note(agent, still_open[0] if still_open else "", instead_of=over)

    async def note(
        self, agent: AgentRow, session_id: str, *, instead_of: Collection[str] | None = None
    ) -> None:
        """Have the agent's identity file say which session is open; see `IdentityFiles.note_session`."""
        place = self._roster.home(agent).worktree
        if place is not None:
            await self._files.note_session(place, agent.name, session_id, instead_of=instead_of)

    async def _forget(self, session_ids: Sequence[str]) -> None:
        await self.rows.end(session_ids)
        await self.contexts.forget(session_ids)

    # the end of a runtime

    def process_ended(self, process: ProcessKey) -> None:
        """End the sessions that were started from *process*; called on the loop."""
        task = asyncio.create_task(self.end_sessions_of(process), name=f"sessions of process {process.pid}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def end_sessions_of(self, process: ProcessKey) -> None:
        """End the open sessions of a runtime that is gone, as ``dead_pid``.

        A log that cannot take it now is told by the committer; the sessions are ended at the next start, and shown as
        offline until then.
        """
        async with self.one_at_a_time:
            await self._end_sessions_of(process)

    async def _end_sessions_of(self, process: ProcessKey) -> None:
        for facts in self.rows.all():
            if facts.process != process:
                continue
            agent = self._roster.by_incarnation(facts.incarnation)
            if agent is None or not self._roster.is_local(agent):
                await self._forget([facts.session_id])
                continue
            still_open = [row for row in self.open_of(agent) if row.session_id == facts.session_id]
            try:
                await self.end(agent, still_open, "dead_pid")
            except (StoreError, ShuttingDown) as error:
                _log.warning("session %s of %s cannot be ended: %s", facts.session_id, agent.name, error)

    async def settle(self) -> None:
        """Wait for sessions that are being ended."""
        while self._ending:
            await asyncio.gather(*self._ending)

    def _reason_to_end(self, open_session: str, process: ProcessKey | None) -> str:
        """Why a new session from *process* replaces an open one; empty when it does not."""
        facts = self.rows.of(open_session)
        if facts is None or facts.process is None or not self._roster.is_running(facts.process):
            return "crash_recovered"
        return "normal" if facts.process == process else ""

    def _end_event(self, ended: str, name: str, incarnation: str, reason: str) -> SessionEnd:
        return self._committer.draft(
            SessionEnd, session_id=ended, agent_id=name, incarnation=incarnation, reason=reason
        )

"""``agent.delete`` and ``agent.cleanup``: agents of this daemon, and of no other, come to an end.

Deleting ends the agent's sessions and its incarnation; what it wrote stays under its name. An orphan is an agent of
this daemon with no identity file in any worktree; one whose runtime is running is none.

Source: spec/decisions.md "Identity"; spec/kernel.md §6.7, §10.2 (#34, #35).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

import msgspec

from thrum_kernel.agents.contexts import Contexts
from thrum_kernel.agents.homes import Home
from thrum_kernel.agents.identity_files import IdentityFiles
from thrum_kernel.agents.recalled import first_of
from thrum_kernel.agents.requests import Cleanup, Delete, Leave
from thrum_kernel.agents.results import CleanedUp, Deleted, Left, Orphan
from thrum_kernel.agents.roster import Roster
from thrum_kernel.agents.sessions import Sessions
from thrum_kernel.agents.telling import Send, tell
from thrum_kernel.api import Authority, Belonging, Call, Caller
from thrum_kernel.bus.standing import standing
from thrum_kernel.clock import Clock, format_us
from thrum_kernel.commit import Committer
from thrum_kernel.errors import ParamsInvalid, Refused, ThrumError
from thrum_kernel.events import Event
from thrum_kernel.events.core import AgentCleanup
from thrum_kernel.projection.queries import AgentRow

_log = logging.getLogger(__name__)

DAY_US: Final = 24 * 3600 * 1_000_000
MAX_THRESHOLD_DAYS: Final = 36_500


class Removal:
    """Ends agents.

    Args:
        is_reserved: whether a name is a pseudo-agent's, which is never an orphan.
        branches_of: the branches of the repository, None when they cannot be told; blocking.
        forget_context: removes what an agent saved in a worktree; blocking.
        authorize: why a caller may end something, with or without force; raises NotYours.
        send: tells agents what was forced.
    """

    def __init__(
        self,
        *,
        roster: Roster,
        sessions: Sessions,
        contexts: Contexts,
        files: IdentityFiles,
        committer: Committer,
        clock: Clock,
        is_reserved: Callable[[str], bool],
        branches_of: Callable[[], frozenset[str] | None],
        forget_context: Callable[[Path, str], object],
        authorize: Callable[[Caller, Belonging, bool], Authority],
        send: Send,
    ) -> None:
        self._roster = roster
        self._sessions = sessions
        self._contexts = contexts
        self._files = files
        self._committer = committer
        self._clock = clock
        self._is_reserved = is_reserved
        self._branches_of = branches_of
        self._forget_context = forget_context
        self._authorize = authorize
        self._send = send

    async def delete(self, call: Call, params: Delete) -> Deleted:
        """Delete an agent of this daemon.

        Raises:
            NotFound: there is none of that name.
            NotYours: the caller is another agent and does not supervise, and there is no *force*.
            Refused: it lives on another daemon; or, without *force*, its runtime is running, or it is somebody else
                than the caller and has an open session.
        """
        async with self._sessions.one_at_a_time:
            agent = self._roster.local(params.name)
            thing, authority = self._judged(call, agent, force=params.force)
            self._check_free(call, agent, force=params.force)
            process = self._roster.home(agent).process
            await self._remove(agent, "manual", "deleted", request_id=call.request_id)
        notes = await tell(
            self._send, authority, standing(call), thing=thing, done="deleted", gone=[agent.name]
        )
        if process is not None and self._roster.is_running(process):
            notes.append(f"the runtime of {agent.name} (PID {process.pid}) still runs, and is nobody's now")
        message = f"Agent {agent.name} deleted"
        return Deleted(agent_id=agent.name, deleted=True, message=message, notes=notes)

    async def leave(self, call: Call, params: Leave) -> Left:
        """Let an agent leave its worktree: its sessions end, its identity file goes, and it stays registered.

        Raises:
            NotFound: there is none of that name.
            NotYours, Refused: as `delete`.
        """
        async with self._sessions.one_at_a_time:
            agent = self._roster.local(params.name)
            thing, authority = self._judged(call, agent, force=params.force)
            self._check_free(call, agent, force=params.force)
            home = self._roster.home(agent)
            ends = self._sessions.ends(agent, self._sessions.open_of(agent), "normal")
            if ends:
                await self._committer.commit(*ends, request_id=call.request_id)
                await self._sessions.ended(ends)
            places = sorted({*self._files.places(agent.name), *([home.worktree] if home.worktree else [])})
            for place in places:
                await self._files.remove(place, agent.name)
            await self._files.forget_copies(agent.name)
            await self._roster.homes.keep(replace(home, worktree=None, process=None))
        notes = await tell(
            self._send, authority, standing(call), thing=thing, done="moved out of its worktree"
        )
        return Left(
            agent_id=agent.name, worktrees=[str(place) for place in places], notes=notes or msgspec.UNSET
        )

    def _judged(self, call: Call, agent: AgentRow, *, force: bool) -> tuple[Belonging, Authority]:
        """The agent as something that is its own, and why the caller may end it all the same. Raises NotYours."""
        place = self._roster.home(agent).worktree
        thing = Belonging(what=f"agent {agent.name}", owners=(agent.name,), worktree=place)
        return thing, self._authorize(standing(call), thing, force)

    def _check_free(self, call: Call, agent: AgentRow, *, force: bool) -> None:
        """Whether nobody is in the middle of something as *agent*.

        Raises:
            Refused: somebody is, and there is no *force*.
        """
        process = self._roster.home(agent).process
        if self._roster.is_running(process) and not force:
            assert process is not None
            raise Refused(
                f"agent {agent.name} is running (PID {process.pid})",
                hint="stop its runtime first, or delete it all the same with --force",
            )
        sessions = self._sessions.open_of(agent)
        if sessions and not force and self._is_anothers(call, agent):
            raise Refused(
                f"agent {agent.name} has an open session ({sessions[0].session_id})",
                hint="let it end its session first, or delete it all the same with --force",
            )

    def _is_anothers(self, call: Call, agent: AgentRow) -> bool:
        caller = standing(call)
        return caller.kind != "kernel" and caller.agent_id != agent.name

    def recall_delete(self, call: Call, events: Sequence[Event]) -> Deleted:
        """The answer that a deletion with *events* was given before a restart."""
        name = first_of(AgentCleanup, events).agent_id
        return Deleted(agent_id=name, deleted=True, message=f"Agent {name} deleted")

    async def cleanup(self, call: Call, params: Cleanup) -> CleanedUp:
        """Find orphans, and delete them with *force*.

        Agents that have their identity file but were not seen for *threshold* days are named in the message and
        left alone.
        """
        if not 0 <= params.threshold <= MAX_THRESHOLD_DAYS:
            raise ParamsInvalid(f"threshold must be 0 to {MAX_THRESHOLD_DAYS} days, not {params.threshold}")
        candidates = [agent for agent in self._roster.locals() if self._may_be_orphan(agent)]
        orphans = [agent for agent in candidates if not self._files.places(agent.name)]
        branches = await asyncio.to_thread(self._branches_of)
        listed = [self._orphan(agent, branches) for agent in orphans]
        deleted: list[str] = []
        if params.force and not params.dry_run:
            async with self._sessions.one_at_a_time:
                deleted += [name for agent in orphans if (name := await self._remove_orphan(call, agent))]
        stale = [
            agent for agent in candidates if agent not in orphans and self._days(agent) > params.threshold
        ]
        return CleanedUp(
            orphans=listed,
            deleted=deleted,
            dry_run=params.dry_run,
            message=_stale_message(stale, params.threshold) or msgspec.UNSET,
        )

    async def _remove_orphan(self, call: Call, agent: AgentRow) -> str:
        """Delete an orphan; its name, or nothing when it was registered again a moment ago."""
        if self._files.places(agent.name) or self._roster.reference(agent.incarnation) is None:
            return ""
        await self._remove(agent, "automated", "orphan", request_id=call.request_id)
        return agent.name

    def _may_be_orphan(self, agent: AgentRow) -> bool:
        if agent.kind != "agent" or self._is_reserved(agent.name):
            return False
        return not self._roster.is_running(self._roster.home(agent).process)

    def _orphan(self, agent: AgentRow, branches: frozenset[str] | None) -> Orphan:
        home = self._roster.home(agent)
        branch = self._branch(agent)
        return Orphan(
            agent_id=agent.name,
            role=agent.role,
            module=agent.module,
            worktree=str(home.worktree or agent.worktree),
            branch=branch,
            last_seen_at=format_us(self._last_seen_us(agent, home)),
            worktree_missing=home.worktree is None or not home.worktree.is_dir(),
            branch_missing=bool(branch) and branches is not None and branch not in branches,
            days_since_last_seen=self._days(agent),
            message_count=self._message_count(agent),
        )

    def _branch(self, agent: AgentRow) -> str:
        """The branch that was last seen in one of its open sessions."""
        for session in self._sessions.open_of(agent):
            context = self._contexts.of_session(session.session_id)
            if context is not None and context.branch:
                return context.branch
        return ""

    def _last_seen_us(self, agent: AgentRow, home: Home) -> int:
        return max(home.last_seen_us, agent.registered_us)

    def _days(self, agent: AgentRow) -> int:
        return max(0, self._clock.now_us() - self._last_seen_us(agent, self._roster.home(agent))) // DAY_US

    def _message_count(self, agent: AgentRow) -> int:
        rows = self._roster.cache.read("SELECT count(*) FROM message WHERE author = ?", (agent.id,))
        return int(rows[0][0])

    async def _remove(
        self, agent: AgentRow, method: Literal["manual", "automated"], reason: str, *, request_id: str
    ) -> None:
        """The event first: once it is stored the agent is gone, whatever of the files cannot be removed."""
        home = self._roster.home(agent)
        ends = self._sessions.ends(agent, self._sessions.open_of(agent), "normal")
        event = self._committer.draft(
            AgentCleanup, agent_id=agent.name, incarnation=agent.incarnation, reason=reason, method=method
        )
        await self._committer.commit(*ends, event, request_id=request_id)
        await self._sessions.ended(ends)
        places = {*self._files.places(agent.name), *([home.worktree] if home.worktree else [])}
        for place in sorted(places):
            try:
                await self._files.remove(place, agent.name)
                await asyncio.to_thread(self._forget_context, place, agent.name)
            except (OSError, ThrumError) as error:
                _log.warning("files of the deleted agent %s stay in %s: %s", agent.name, place, error)
        await self._files.forget_copies(agent.name)
        await self._roster.homes.forget(agent.incarnation)


def _stale_message(stale: Sequence[AgentRow], days: int) -> str:
    if not stale:
        return ""
    names = ", ".join(sorted(agent.name for agent in stale))
    return f"not seen for more than {days} days, but registered in a worktree: {names} (agent delete NAME)"

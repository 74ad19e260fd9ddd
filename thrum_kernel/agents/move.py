"""``agent.move`` and ``agent.adopt``: an agent changes its home, and its unread mail with it.

The old home moves it; when that is gone for good, the new one adopts it, and team says so. Afterwards somebody
registers it in a worktree of its new home by its name, and it goes on. Source: DESIGN.md D2.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from thrum_kernel import ids
from thrum_kernel.agents.identity_files import IdentityFiles
from thrum_kernel.agents.recalled import first_of
from thrum_kernel.agents.requests import Adopt, Move
from thrum_kernel.agents.results import Moved
from thrum_kernel.agents.roster import Roster
from thrum_kernel.agents.sessions import Sessions
from thrum_kernel.api import Call
from thrum_kernel.clock import Clock
from thrum_kernel.commit import Committer
from thrum_kernel.errors import NotFound, Refused, ThrumError
from thrum_kernel.events import Event
from thrum_kernel.events.core import AgentMove
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow

_log = logging.getLogger(__name__)

GONE_AFTER_US: Final = 24 * 3600 * 1_000_000
"""A daemon that wrote something within this time is not taken to be gone."""


class Moving:
    """Changes homes."""

    def __init__(
        self, *, roster: Roster, sessions: Sessions, files: IdentityFiles, committer: Committer, clock: Clock
    ) -> None:
        self._roster = roster
        self._sessions = sessions
        self._files = files
        self._committer = committer
        self._clock = clock

    async def move(self, call: Call, params: Move) -> Moved:
        """Hand an agent of this daemon to another one.

        Raises:
            NotFound: no such agent here, or no such daemon.
            Refused: the agent's runtime is running, or the other daemon has one of that name.
        """
        async with self._sessions.one_at_a_time:
            return await self._move(call, params)

    async def _move(self, call: Call, params: Move) -> Moved:
        agent = self._roster.local(params.name)
        target = self._daemon(params.to)
        if self._roster.is_running(self._roster.home(agent).process):
            raise Refused(f"agent {agent.name} is running", hint="stop its runtime, then move it")
        self._check_free(agent.name, target)
        ends = self._sessions.ends(agent, self._sessions.open_of(agent), "normal")
        event = self._event(agent, target, adopted=False)
        await self._committer.commit(*ends, event, request_id=call.request_id)
        await self._sessions.ended(ends)
        for place in self._files.places(agent.name):
            try:
                await self._files.set_aside(place, agent.name)
            except (OSError, ThrumError) as error:
                _log.warning("the identity file of %s stays in %s: %s", agent.name, place, error)
        await self._files.forget_copies(agent.name)
        await self._roster.homes.forget(agent.incarnation)
        return self._moved(agent, target)

    async def adopt(self, call: Call, params: Adopt) -> Moved:
        """Take over an agent whose daemon is gone.

        Raises:
            UnknownAgent, AmbiguousName: the name means nobody, or several.
            Refused: it lives here already, one of its name does, or its daemon was heard of lately.
        """
        agent = self._roster.addressed(params.name)
        if self._roster.is_local(agent):
            raise Refused(f"agent {agent.name} already lives on this daemon")
        self._check_free(agent.name, self._roster.daemon_id)
        if not params.force and self._clock.now_us() - self._heard_us(agent.home) < GONE_AFTER_US:
            raise Refused(
                f"the daemon of {self._roster.long_name(agent)} was heard of within the last 24 hours",
                hint="move the agent from there: thrum agent move; or adopt it all the same with --force",
            )
        event = self._event(agent, self._roster.daemon_id, adopted=True)
        await self._committer.commit(event, request_id=call.request_id)
        return self._moved(agent, self._roster.daemon_id)

    def recall(self, call: Call, events: Sequence[Event]) -> Moved:
        """The answer that a change of home with *events* was given before a restart."""
        event = first_of(AgentMove, events)
        return Moved(
            agent_id=event.agent_id,
            from_daemon=event.from_daemon,
            to_daemon=event.to_daemon,
            daemon=self._roster.daemon_name(event.to_daemon),
        )

    def _daemon(self, named: str) -> str:
        """The id of the daemon that is called so, or has that id."""
        known = {row[0] for row in self._roster.cache.read("SELECT daemon_id FROM daemon")}
        by_name = {name: daemon for daemon, name in self._roster.names_of_daemons().items()}
        found = named if named in known else by_name.get(named, "")
        if not found:
            raise NotFound("daemon", named, hint="`thrum team daemons` lists them")
        if found == self._roster.daemon_id:
            raise Refused("that is the daemon it lives on")
        return found

    def _check_free(self, name: str, daemon: str) -> None:
        if any(other.home == daemon for other in queries.agents_named(self._roster.cache, name)):
            raise Refused(
                f"{self._roster.daemon_name(daemon)} has an agent {name} already",
                hint="delete that one first, or leave this one where it is",
            )

    def _heard_us(self, daemon: str) -> int:
        """When a daemon last began a journal or wrote a message, as far as known here; 0 when never."""
        writers = self._roster.cache.read(
            "SELECT w.writer, (SELECT max(m.created_us) FROM message m WHERE m.writer = w.id)"
            " FROM writer w JOIN daemon d ON d.id = w.daemon WHERE d.daemon_id = ?"
            " ORDER BY w.writer DESC LIMIT 3",
            (daemon,),
        )
        times = [written or 0 for _, written in writers]
        times += [ids.ulid_ms(writer) * 1000 for writer, _ in writers if ids.is_ulid(writer)]
        return max(times, default=0)

    def _event(self, agent: AgentRow, to: str, *, adopted: bool) -> AgentMove:
        return self._committer.draft(
            AgentMove,
            agent_id=agent.name,
            incarnation=agent.incarnation,
            from_daemon=agent.home,
            to_daemon=to,
            adopted=adopted,
        )

    def _moved(self, agent: AgentRow, to: str) -> Moved:
        return Moved(
            agent_id=agent.name,
            from_daemon=agent.home,
            to_daemon=to,
            daemon=self._roster.daemon_name(to),
        )

"""Agents that an earlier layout knew go on as what they are, with their mail, once they are heard of here.

What was brought over lives on a daemon that nobody is (`ids.EARLIER_DAEMON`). The machine that has an agent's identity
file, or registers its name on the host that it was registered on, adopts it; no other does.
Source: docs/explanation/migration.md.
"""

from __future__ import annotations

import logging

from thrum_kernel.agents.roster import Roster
from thrum_kernel.agents.sessions import Sessions
from thrum_kernel.commit import Committer
from thrum_kernel.events import Event
from thrum_kernel.events.core import AgentCleanup, AgentMove
from thrum_kernel.ids import EARLIER_DAEMON
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow

_log = logging.getLogger(__name__)


class Earlier:
    """Adopts them, one name at a time."""

    def __init__(self, *, roster: Roster, sessions: Sessions, committer: Committer) -> None:
        self._roster = roster
        self._sessions = sessions
        self._committer = committer

    async def take_over(self, name: str, *, hostname: str = "") -> bool:
        """Adopt the agent that an earlier layout knew by *name*; whether there was one to adopt.

        An agent of that name which was registered here before the messages came, and has none of its own, gives way.

        Args:
            hostname: adopt it only if it was registered on this host, or nobody knows where.

        Raises:
            StoreError: nothing was stored.
        """
        found = queries.local_agent(self._roster.cache, name, EARLIER_DAEMON)
        if found is None or (hostname and found.hostname not in ("", hostname)):
            return False
        own = self._roster.find_local(name)
        if own is not None and self._has_messages(own):
            _log.warning(
                "@%s was registered here, and has messages, before those of %s were brought over: both stay",
                name,
                self._roster.long_name(found),
            )
            return False
        ends = self._sessions.ends(own, self._sessions.open_of(own), "normal") if own is not None else []
        before: list[Event] = [*ends] if own is None else [*ends, self._removal(own)]
        await self._committer.commit(*before, self._adoption(found))
        await self._sessions.ended(ends)
        if own is not None:
            await self._roster.homes.forget(own.incarnation)
        return True

    def _has_messages(self, agent: AgentRow) -> bool:
        rows = self._roster.cache.read(
            "SELECT EXISTS (SELECT 1 FROM message WHERE author = ?1)"
            " OR EXISTS (SELECT 1 FROM delivery WHERE agent = ?1)",
            (agent.id,),
        )
        return bool(rows[0][0])

    def _removal(self, own: AgentRow) -> AgentCleanup:
        return self._committer.draft(
            AgentCleanup,
            agent_id=own.name,
            incarnation=own.incarnation,
            reason="goes on as the agent that an earlier layout knew",
            method="automated",
        )

    def _adoption(self, found: AgentRow) -> AgentMove:
        return self._committer.draft(
            AgentMove,
            agent_id=found.name,
            incarnation=found.incarnation,
            from_daemon=EARLIER_DAEMON,
            to_daemon=self._roster.daemon_id,
            adopted=True,
        )

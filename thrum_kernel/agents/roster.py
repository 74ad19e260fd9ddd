"""The agents as this daemon sees them: who lives here, who may be acted for, what each is called.

Shared by everything in this room. An agent lives here when its home is this daemon; only those are ever changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from thrum_kernel.agents.homes import Home, Homes, ProcessKey
from thrum_kernel.api import Caller
from thrum_kernel.errors import GuardFired, NotFound, Refused
from thrum_kernel.events.core import AgentRef
from thrum_kernel.projection import queries
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.queries import AgentRow


@dataclass(frozen=True, slots=True)
class Roster:
    """Everyone known.

    Attributes:
        cache, homes: where it is looked up.
        daemon_id: this daemon.
        start_of: when the process with an id started; None when there is none.
        residents: names of the identity files in a worktree.
    """

    cache: Cache
    homes: Homes
    daemon_id: str
    start_of: Callable[[int], int | None]
    residents: Callable[[Path], frozenset[str]]

    def everyone(self) -> list[AgentRow]:
        """All agents and users that are not deleted, newest registered first."""
        return queries.live_agents(self.cache)

    def locals(self) -> list[AgentRow]:
        """Those that live here."""
        return [agent for agent in self.everyone() if self.is_local(agent)]

    def is_local(self, agent: AgentRow) -> bool:
        return agent.home == self.daemon_id

    def find_local(self, name: str) -> AgentRow | None:
        return queries.local_agent(self.cache, name, self.daemon_id)

    def local(self, name: str) -> AgentRow:
        """The agent of this daemon with a name.

        Raises:
            NotFound: nobody here is called that.
            Refused: somebody elsewhere is.
        """
        bare = name.removeprefix("@")
        found = self.find_local(bare)
        if found is not None:
            return found
        daemons = self.names_of_daemons()
        everyone = self.everyone()
        elsewhere = [agent for agent in everyone if bare in (agent.name, queries.long_name(agent, daemons))]
        if elsewhere:
            raise Refused(
                f"agent {bare} lives on another daemon ({self.daemon_name(elsewhere[0].home)})",
                hint="only its own daemon changes an agent; `thrum team --all` shows where it lives",
            )
        raise NotFound(
            "agent", bare, message=f"agent not found: {bare}", hint="`thrum team --all` lists everyone"
        )

    def addressed(self, address: str) -> AgentRow:
        """The agent that ``@bob`` or ``@bob@host`` means here; raises UnknownAgent or AmbiguousName."""
        return queries.resolve_address(self.cache, address, self.daemon_id, self.names_of_daemons())

    def by_incarnation(self, incarnation: str) -> AgentRow | None:
        return queries.agent_by_incarnation(self.cache, incarnation)

    def reference(self, incarnation: str) -> AgentRef | None:
        """How events name an agent of this daemon; None when it does not live here any more."""
        agent = self.by_incarnation(incarnation)
        if agent is None or agent.deleted or not self.is_local(agent):
            return None
        return AgentRef(agent.name, agent.daemon, agent.incarnation)

    def home(self, agent: AgentRow) -> Home:
        """Where an agent lives on this machine; an empty home when it never did."""
        return self.homes.of(agent.incarnation) or Home(agent.incarnation, agent.name)

    def is_running(self, process: ProcessKey | None) -> bool:
        return process is not None and self.start_of(process.pid) == process.start_time

    # names

    def names_of_daemons(self) -> dict[str, str]:
        """What each daemon is called in ``name@daemon``, by id."""
        return queries.daemon_names(self.cache)

    def daemon_name(self, daemon_id: str) -> str:
        return self.names_of_daemons().get(daemon_id) or daemon_id

    def long_name(self, agent: AgentRow) -> str:
        return queries.long_name(agent, self.names_of_daemons())

    def shown(self, agents: Iterable[AgentRow] | None = None) -> dict[int, str]:
        """What to call agents, by their key: the long form wherever the bare name means another or nobody."""
        by_name: dict[str, list[AgentRow]] = defaultdict(list)
        everyone = self.everyone()
        for agent in everyone:
            by_name[agent.name].append(agent)
        daemons = self.names_of_daemons()
        return {
            agent.id: agent.name
            if self.is_local(agent) or len(by_name[agent.name]) == 1
            else queries.long_name(agent, daemons)
            for agent in (everyone if agents is None else agents)
        }

    # permission

    def require_own(self, caller: Caller, agent: AgentRow) -> None:
        """Whether *caller* may act for *agent*: it is that agent, or stands where that agent is registered.

        A caller whose runtime is registered as one agent never acts for another, not even in a shared worktree.

        Raises:
            GuardFired: it may not.
        """
        if caller.kind == "kernel" or (caller.kind == "agent" and caller.agent_id == agent.name):
            return
        owner_process = caller.source == "process" or caller.kind == "user"
        stands_there = caller.worktree is not None and agent.name in self.residents(caller.worktree)
        if stands_there and not owner_process:
            return
        raise GuardFired(
            "unauthenticated_rpc",
            "identity_mismatch" if caller.is_known else "not_an_identity_of_this_worktree",
            facts={
                "expected agent": agent.name,
                "detected agent": caller.agent_id,
                "caller pid": str(caller.pid or ""),
                "caller cwd": str(caller.cwd or ""),
                "remediation": f"run it from the worktree where {agent.name} is registered",
            },
        )

"""Who can be addressed: a snapshot of the live agents and groups, with the rules for names.

A bare name means the local agent, else the only one of that name; several elsewhere are ambiguous. ``name@daemon``
takes a daemon's label (its host name, plus the end of its id where two share it) or its id. Names are compared
exactly. Source: DESIGN.md D2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from thrum_kernel.errors import AmbiguousName
from thrum_kernel.projection.queries import AgentRow

EVERYONE = "everyone"

Members = Sequence[tuple[str, str]]
"""Members of a group as ``(type, value)``, type ``agent`` or ``role``."""


class Directory:
    """The live agents and groups at one moment.

    Args:
        agents: every agent that is registered and not deleted, of every daemon.
        groups: members by name of group; groups of one name count as one.
        local: id of this daemon.
        daemon_names: what people call each daemon, unique among them.
    """

    def __init__(
        self,
        agents: Iterable[AgentRow],
        groups: Mapping[str, Members],
        *,
        local: str,
        daemon_names: Mapping[str, str],
    ) -> None:
        self.agents = tuple(agents)
        self.groups = dict(groups)
        self.local = local
        self.by_incarnation = {agent.incarnation: agent for agent in self.agents}
        self._by_name: dict[str, list[AgentRow]] = {}
        self._by_role: dict[str, list[AgentRow]] = {}
        for agent in self.agents:
            self._by_name.setdefault(agent.name, []).append(agent)
            self._by_role.setdefault(agent.role, []).append(agent)
        self._daemon_names = dict(daemon_names)

    def named(self, name: str) -> Sequence[AgentRow]:
        """Every live agent of that bare name, on whatever daemon."""
        return self._by_name.get(name, ())

    def with_role(self, role: str) -> Sequence[AgentRow]:
        """Every live agent of that role; ``*`` is every agent, people not included."""
        if role == "*":
            return [agent for agent in self.agents if agent.kind == "agent"]
        return self._by_role.get(role, ())

    def find(self, address: str) -> AgentRow | None:
        """The one agent that an address means, ``bob`` or ``bob@host``; None when there is none.

        Raises:
            AmbiguousName: it could mean several.
        """
        name, at, daemon = address.rpartition("@")
        if at and name:
            found = [a for a in self.named(name) if daemon in (a.home, self.label(a.home))]
        else:
            found = list(self.named(address))
            here = [agent for agent in found if agent.home == self.local]
            found = here if here else found
        if len(found) > 1:
            raise AmbiguousName(address, [self.long_name(agent.name, agent.home) for agent in found])
        return found[0] if found else None

    def kind_of(self, name: str) -> str:
        """``role`` or ``group`` where *name* is one that has members, else nothing."""
        if name in self.groups:
            return "group"
        return "role" if name in self._by_role else ""

    def members(self, group: str) -> list[AgentRow]:
        """The agents of a group, each once."""
        found: dict[str, AgentRow] = {}
        for kind, value in self.groups.get(group, ()):
            agents = self.with_role(value) if kind == "role" else self._member(value)
            found |= {agent.incarnation: agent for agent in agents}
        return list(found.values())

    def label(self, daemon: str) -> str:
        """How people call a daemon: its host name, longer where two share it, else its id."""
        return self._daemon_names.get(daemon) or daemon

    def long_name(self, name: str, daemon: str) -> str:
        return f"{name}@{self.label(daemon)}"

    def shown_name(self, name: str, daemon: str, incarnation: str = "") -> str:
        """The name to show for an agent: bare when the bare name means it here, else the long form."""
        agent = self.by_incarnation.get(incarnation)
        home = agent.home if agent is not None else daemon
        others = [a for a in self.named(name) if a.home != home]
        if not others or home == self.local:
            return name
        return self.long_name(name, home)

    def near(self, name: str) -> tuple[str, ...]:
        """What somebody who wrote an unknown *name* may have meant, nearest first, at most three.

        Names that can be registered have no upper case, so the case of *name* does not count.
        """
        bare = name.partition("@")[0].lower()
        known = sorted({agent.name for agent in self.agents} | set(self.groups))
        found = get_close_matches(bare, known, n=3, cutoff=0.6)
        by_role = [agent.name for agent in self.with_role(bare)] if bare != "*" else []
        exact = [self.long_name(a.name, a.home) for a in self.named(bare)] if "@" in name else []
        return tuple(dict.fromkeys((*exact, *found, *by_role)))[:3]

    def _member(self, value: str) -> Sequence[AgentRow]:
        name, at, daemon = value.rpartition("@")
        if at and name:
            return [agent for agent in self.named(name) if daemon in (agent.home, self.label(agent.home))]
        return self.named(value)

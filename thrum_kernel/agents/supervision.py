"""Who looks after all agents: ``permission_supervisors`` of config.json, by default whoever has the role ``coordinator``.

An entry ``@name`` is that agent, a bare word every agent of this daemon with that role.
Source: spec/features.md §4.5; seed 000, "Permission supervisors".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from thrum_kernel.agents.roster import Roster
from thrum_kernel.api import Call, Method

DEFAULT: Final = ("coordinator",)


class ListSupervisors(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class SupervisorList(msgspec.Struct, kw_only=True):
    """``agents`` are the names of those who are registered here, sorted; ``wanted`` the entries that mean them."""

    wanted: list[str]
    agents: list[str]


class Supervision:
    """Tells who it is now.

    Args:
        wanted: ``permission_supervisors`` as it stands in config.json; None when it does not.
    """

    def __init__(self, *, roster: Roster, wanted: Callable[[], Any]) -> None:
        self._roster = roster
        self._wanted = wanted

    def methods(self) -> Sequence[Method]:
        """For plugins that have something to tell them."""
        return (
            Method(
                "agent.supervisors",
                ListSupervisors,
                SupervisorList,
                self.list_all,
                "The agents here that look after all others.",
                transports=frozenset({"internal"}),
            ),
        )

    def list_all(self, call: Call, params: ListSupervisors) -> SupervisorList:
        """Who it is now."""
        return SupervisorList(wanted=list(self._entries()), agents=self.names())

    def names(self) -> list[str]:
        """The agents of this daemon that are meant, sorted.

        Raises:
            FileDamaged: config.json cannot be read.
            Projecting: nobody knows yet who is registered.
        """
        everyone = ((agent.name, agent.role) for agent in self._roster.locals() if agent.kind == "agent")
        return meant(self._entries(), everyone)

    def _entries(self) -> Sequence[str]:
        return entries(self._wanted())


def entries(value: Any) -> Sequence[str]:
    """What config.json wants, as far as it can be understood."""
    found = [each for each in value if isinstance(each, str) and each] if isinstance(value, list) else []
    return found or DEFAULT


def meant(wanted: Sequence[str], agents: Iterable[tuple[str, str]]) -> list[str]:
    """The names of *agents*, as (name, role), that *wanted* means, sorted."""
    names = {word[1:] for word in wanted if word.startswith("@")}
    roles = {word for word in wanted if not word.startswith("@")}
    return sorted(name for name, role in agents if name in names or role in roles)

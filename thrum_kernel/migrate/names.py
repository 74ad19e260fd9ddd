"""Who is who: agents of earlier layouts have a name and nothing else, ours are incarnations of a daemon.

All of them live on `ids.EARLIER_DAEMON`, since the reference's names knew no daemon either. An incarnation is derived from
the name, and from the deletion that it came after, so every clone comes to the same; its first registration tells the
name and nothing else, so its line is the same everywhere, too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from thrum_kernel import ids
from thrum_kernel.clock import format_us
from thrum_kernel.events.core import AgentRef, AgentRegister
from thrum_kernel.migrate.gathered import Gathered
from thrum_kernel.projection.apply import is_sender

UNDATED: Final = format_us(0)
"""The time of a first registration: when that was is told by the next one."""


class Names:
    """The agents that a set of facts speaks of.

    Attributes:
        used: the incarnations that were asked for, by incarnation.
    """

    def __init__(self, gathered: Gathered) -> None:
        self.used: dict[str, AgentRef] = {}
        self._renewed = _renewed(gathered)
        self._known: dict[tuple[str, int], AgentRef] = {}

    def at(self, name: str, at: str) -> AgentRef:
        """Who was called *name* at a time; a name that writes without being registered has no incarnation."""
        ends = self._renewed.get(name, [])
        number = bisect_left(ends, at)
        ref = self._known.get((name, number))
        if ref is None:
            ref = self._known[name, number] = self._make(name, ends[number - 1] if number else "")
        return ref

    def beginnings(self) -> Iterator[AgentRegister]:
        """The first registration of every agent that was asked for."""
        for incarnation, ref in sorted(self.used.items()):
            yield AgentRegister(
                event_id=ids.event_id(incarnation),
                timestamp=UNDATED,
                origin_daemon=ids.EARLIER_DAEMON,
                agent_id=ref.name,
                kind="user" if ref.name.startswith("user:") else "agent",
                role="",
                module="",
            )

    def _make(self, name: str, after: str) -> AgentRef:
        if is_sender(name) and not name.startswith("agent:"):
            return AgentRef(name, ids.EARLIER_DAEMON, "")
        incarnation = ids.derived_ulid(0, "agent", name, after)
        ref = self.used[incarnation] = AgentRef(name, ids.EARLIER_DAEMON, incarnation)
        return ref


def _renewed(gathered: Gathered) -> dict[str, list[str]]:
    """When names were deleted and registered again later, ascending: another agent begins there."""
    last: dict[str, str] = {}
    for fact in gathered.registrations.values():
        last[fact.agent] = max(last.get(fact.agent, ""), fact.at)
    found: dict[str, list[str]] = defaultdict(list)
    for name, at in sorted(gathered.cleanups):
        if at < last.get(name, ""):
            found[name].append(at)
    return found

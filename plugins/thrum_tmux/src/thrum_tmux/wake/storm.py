"""The storm breaker: no more wakes for an agent that never reads, or for agents that answer each other without end.

In memory: a storm that goes on after a restart of the daemon is found again. Messages are never held back, only wakes.

Source: issue "Terminal", Waking.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

WINDOW_S: Final = 60.0
"""Over so long a time the rate of answers is counted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is too much.

    Attributes:
        wakes: without reading anything that it was woken for; 0 or less: never.
        per_minute: messages that each of a circle of agents sends the next; 0 or less: never.
        pause_s: how long nothing is typed then.
    """

    wakes: int = 10
    per_minute: int = 12
    pause_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Storm:
    """Why an agent is not woken.

    Attributes:
        is_new: it was not known before; the supervisor is to be told.
    """

    why: str
    is_new: bool


@dataclass(slots=True)
class _Agent:
    """What is known of one."""

    woken_for: list[str] = field(default_factory=list)
    """Messages it was woken for since it read one of them."""
    until: float = 0.0
    why: str = ""
    is_deaf: bool = False
    """The pause is because it does not read; it ends when it does."""


class Breaker:
    """Whether agents may be woken.

    Args:
        monotonic: seconds that never go back.
    """

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._agents: dict[str, _Agent] = {}
        self._sent: dict[tuple[str, str], deque[tuple[float, str]]] = {}

    def judge(self, agent: str, messages: Iterable[tuple[str, str]], limits: Limits) -> Storm | None:
        """Whether *agent* may not be woken now for *messages*, as (id, sender)."""
        now = self._monotonic()
        self._count(agent, messages, now)
        known = self._agents.setdefault(agent, _Agent())
        if now < known.until:
            return Storm(known.why, is_new=False)
        known.why, known.is_deaf = self._why(known, agent, limits)
        if not known.why:
            return None
        known.until = now + limits.pause_s
        return Storm(known.why, is_new=True)

    def woken_for(self, agent: str) -> Sequence[str]:
        """The messages that *agent* was woken for since it read one of them."""
        known = self._agents.get(agent)
        return tuple(known.woken_for) if known is not None else ()

    def read(self, agent: str) -> None:
        """*agent* read something that it was woken for."""
        known = self._agents.setdefault(agent, _Agent())
        known.woken_for.clear()
        if known.is_deaf:
            known.until = 0.0

    def woken(self, agent: str, message_id: str) -> None:
        """*agent* was woken for a message: a line was typed and entered."""
        self._agents.setdefault(agent, _Agent()).woken_for.append(message_id)

    def _why(self, known: _Agent, agent: str, limits: Limits) -> tuple[str, bool]:
        if known.why and known.is_deaf:
            del known.woken_for[: -max(1, limits.wakes - 1)]  # after a pause it gets one more
        if 0 < limits.wakes <= len(known.woken_for):
            return f"storm: it was woken {len(known.woken_for)} times without reading anything", True
        if limits.per_minute > 0:
            busy = (pair for pair, sent in self._sent.items() if len(sent) >= limits.per_minute)
            if circle := circle_of(agent, busy):
                around = " → ".join(f"@{name}" for name in (*circle, circle[0]))
                return f"storm: {around} write to each other {limits.per_minute} times a minute", False
        return "", False

    def _count(self, agent: str, messages: Iterable[tuple[str, str]], now: float) -> None:
        """Note who wrote to whom, each message once."""
        for message_id, sender in messages:
            sent = self._sent.setdefault((sender, agent), deque())
            if all(message_id != known for _, known in sent):
                sent.append((now, message_id))
        for pair, sent in list(self._sent.items()):
            while sent and now - sent[0][0] > WINDOW_S:
                sent.popleft()
            if not sent:
                del self._sent[pair]


def circle_of(agent: str, pairs: Iterable[tuple[str, str]]) -> list[str]:
    """The shortest way from *agent* over (sender, recipient) *pairs* back to it; empty when there is none."""
    ways: dict[str, list[str]] = {}
    for sender, recipient in pairs:
        if sender != recipient:
            ways.setdefault(sender, []).append(recipient)
    paths = [[agent]]
    seen = {agent}
    while paths:
        path = paths.pop(0)
        for following in ways.get(path[-1], ()):
            if following == agent:
                return path
            if following not in seen:
                seen.add(following)
                paths.append([*path, following])
    return []

"""The wake ladder: getting a recipient to notice, one rung after the other, until there is proof.

Level-triggered: what is to be noticed is read anew before each rung, so nothing is lost between two wakes and nothing
is woken for that was read meanwhile. One wake an agent is in flight. Messages of high priority get a wake of their
own, next after the one in flight; low ones never wake. With no rungs nothing is done at all.

Source: DESIGN.md D8; spec/decisions.md, "Messaging".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from thrum_kernel.api import Evidence, Wake

_log = logging.getLogger(__name__)

Rung = Callable[[Wake], Awaitable[Evidence | None]]
"""Tries to get a recipient's attention; None when it does not apply to that agent now."""

NEXT_RUNG_S = 60.0
AGAIN_S = 15 * 60.0


@dataclass(frozen=True, slots=True)
class Unseen:
    """A message that its recipient, resident here, has not seen.

    Attributes:
        sender: name of its author.
    """

    message_id: str
    sender: str
    priority: Literal["low", "normal", "high"]


@dataclass(slots=True)
class _Climb:
    """The work on one agent."""

    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    tried: dict[str, int] = field(default_factory=dict)
    """By message: how many rungs were tried for it."""
    due: float = 0.0
    """When the next rung may be tried, by the loop's clock."""
    retry_s: float | None = None
    """Of the last rungs that were tried: when to try them again, because none of them could do anything yet."""
    ended: float = 0.0
    """When rungs were tried last."""
    later: asyncio.TimerHandle | None = None
    """Tells of messages that came while their time had not."""

    def keep(self, message_ids: set[str]) -> None:
        """Forget what was seen; when nothing that was tried is left, what is new need not wait."""
        self.tried = {key: tried for key, tried in self.tried.items() if key in message_ids}
        if not self.tried:
            self.due = 0.0

    def change(self) -> None:
        """Look anew now."""
        if self.later is not None:
            self.later.cancel()
            self.later = None
        self.changed.set()


class Waker:
    """Climbs the ladder for every agent of this daemon that has something to notice.

    Args:
        rungs: tried in this order; may be changed at any time.
        unseen: by incarnation, the agent's name and what it has not seen, oldest first.
        record: keeps evidence, by incarnation.
        next_rung_s: seconds after which the next rung is tried while a message is not seen.
        again_s: seconds after the last rung until the ladder is climbed anew.
    """

    def __init__(
        self,
        rungs: Sequence[Rung] = (),
        *,
        unseen: Callable[[str], tuple[str, Sequence[Unseen]]],
        record: Callable[[str, Evidence], None],
        next_rung_s: float = NEXT_RUNG_S,
        again_s: float = AGAIN_S,
    ) -> None:
        self.rungs: list[Rung] = list(rungs)
        self._unseen = unseen
        self._record = record
        self._next_rung_s = next_rung_s
        self._again_s = again_s
        self._climbs: dict[str, _Climb] = {}

    def notice(self, incarnation: str, *, can_wait: bool = False) -> None:
        """Something of this agent changed: a message came, or was seen.

        Args:
            can_wait: only a message came that is no reason for another wake before the next rung's time. All that
                come until then are looked at once: an agent may get hundreds in a second.
        """
        climb = self._climbs.get(incarnation)
        if climb is not None:
            if not can_wait:
                climb.change()
            elif climb.later is None:
                loop = asyncio.get_running_loop()
                climb.later = loop.call_at(climb.ended + self._next_rung_s, climb.change)
        elif self.rungs:
            climb = self._climbs[incarnation] = _Climb()
            climb.task = asyncio.create_task(self._run(incarnation, climb), name=f"wake {incarnation}")
            climb.task.add_done_callback(lambda task: self._ended(incarnation, task))

    def begun(self, incarnation: str) -> None:
        """A runtime of this agent began: what was in vain while it had none is tried again soon.

        Not at once: it reads its briefing first, which tells of its mail, and has the time of a rung for both.
        """
        climb = self._climbs.get(incarnation)
        if climb is not None:
            climb.due = min(climb.due, asyncio.get_running_loop().time() + self._next_rung_s)
            climb.change()

    async def close(self) -> None:
        """Stop all work."""
        tasks = [climb.task for climb in self._climbs.values() if climb.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, incarnation: str, climb: _Climb) -> None:
        while True:
            climb.changed.clear()
            name, unseen = self._unseen(incarnation)
            waiting = [message for message in unseen if message.priority != "low"]
            if not waiting:
                return
            climb.keep({message.message_id for message in waiting})
            now = asyncio.get_running_loop().time()
            due = self._when(waiting, climb)
            batches = self._due(waiting, climb, is_due=now >= due)
            for batch in batches:
                await self._climb(incarnation, name, batch, climb)
            if batches:
                self._set_due(waiting, climb, asyncio.get_running_loop().time())
            else:
                await self._pause(climb, due - now)

    def _when(self, waiting: Sequence[Unseen], climb: _Climb) -> float:
        """When the next rung may be tried: what nothing was tried for yet need not wait for the next climb."""
        if all(climb.tried.get(message.message_id) for message in waiting):
            return climb.due
        return min(climb.due, climb.ended + self._next_rung_s)

    def _due(self, waiting: Sequence[Unseen], climb: _Climb, *, is_due: bool) -> list[list[Unseen]]:
        """What to wake for now, each its own wake: new high ones at once, the others when their time has come."""
        fresh = [
            message
            for message in waiting
            if message.priority == "high" and not climb.tried.get(message.message_id)
        ]
        if fresh:
            return [fresh]
        if not is_due:
            return []
        if all(climb.tried.get(message.message_id, 0) >= len(self.rungs) for message in waiting):
            climb.tried.clear()
        return [batch for priority in ("high", "normal") if (batch := self._lowest(waiting, climb, priority))]

    def _lowest(self, waiting: Sequence[Unseen], climb: _Climb, priority: str) -> list[Unseen]:
        """Those of a priority that stand on the lowest rung and have one above them."""
        rung = {message.message_id: climb.tried.get(message.message_id, 0) for message in waiting}
        open_ = [m for m in waiting if m.priority == priority and rung[m.message_id] < len(self.rungs)]
        lowest = min((rung[message.message_id] for message in open_), default=0)
        return [message for message in open_ if rung[message.message_id] == lowest]

    def _set_due(self, waiting: Sequence[Unseen], climb: _Climb, now: float) -> None:
        """The time of the next rung, or of the next climb when all rungs were tried."""
        climb.ended = now
        if now < climb.due:
            return
        done = all(climb.tried.get(message.message_id, 0) >= len(self.rungs) for message in waiting)
        again_s = self._again_s if climb.retry_s is None else min(climb.retry_s, self._again_s)
        climb.due = now + (again_s if done else self._next_rung_s)

    async def _climb(self, incarnation: str, name: str, batch: Sequence[Unseen], climb: _Climb) -> None:
        """Try rungs for a batch until one applies."""
        wake = Wake(
            agent_id=name,
            message_ids=tuple(message.message_id for message in batch),
            senders=tuple(message.sender for message in batch),
            priority="high" if batch[0].priority == "high" else "normal",
        )
        first = climb.tried.get(batch[0].message_id, 0)
        climb.retry_s = None
        for number, rung in enumerate(list(self.rungs)[first:], start=first + 1):
            for message_id in wake.message_ids:
                climb.tried[message_id] = number
            evidence = await rung(wake)
            if evidence is not None:
                self._record(incarnation, evidence)
                if evidence.fact != "failed":
                    climb.retry_s = None
                    return
                climb.retry_s = evidence.retry_s

    async def _pause(self, climb: _Climb, seconds: float) -> None:
        """Wait until something changes, at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(climb.changed.wait(), seconds)

    def _ended(self, incarnation: str, task: asyncio.Task[None]) -> None:
        climb = self._climbs.pop(incarnation)
        came = climb.changed.is_set() or climb.later is not None
        climb.change()
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            _log.error("waking %s stopped", incarnation, exc_info=error)
        elif came:
            self.notice(incarnation)

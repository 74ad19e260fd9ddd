"""Committed events on their way to one plugin: in turn, at least once, over restarts and rebuilds.

What was just written here comes straight from the committer; everything else (what was missed while the daemon was
down or the plugin off, what was held back and counts now, what was synced) is read from the log: all places that are
projected and not held, less those that were heard.

Source: DESIGN.md D6.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from thrum_kernel.api import Clock, Event
from thrum_kernel.errors import Projecting, ShuttingDown
from thrum_kernel.events import EventTypes, UnknownEvent
from thrum_kernel.plugins.context import Delivery, delivery
from thrum_kernel.plugins.cursors import Cursor, DeadLetter, Ranges
from thrum_kernel.plugins.hooks import Bound, HookFailed, Hooks
from thrum_kernel.projection.spans import Spans
from thrum_kernel.projection.tables import LogLine

_log = logging.getLogger(__name__)

TRIES: Final = 3
PAUSES_S: Final = (0.05, 0.5)
"""Before the second and the third try."""

QUEUED: Final = 4096
"""More events than this are not kept in memory but read from the log when their turn comes."""


@dataclass(frozen=True, slots=True)
class Log:
    """What the feed reads.

    Attributes:
        counted: the places whose events count: projected and not held; raises Projecting.
        lines: everything in the log but these places, in batches, telling of what cannot be read; blocking.
    """

    counted: Callable[[], dict[str, Spans]]
    lines: Callable[[Ranges, Callable[[object], None]], Iterator[Sequence[LogLine]]]


class Feed:
    """The way of events to one plugin. Belongs to the loop's thread."""

    def __init__(
        self,
        bound: Bound,
        cursor: Cursor,
        *,
        hooks: Hooks,
        log: Log,
        types: EventTypes,
        clock: Clock,
        history: bool,
    ) -> None:
        self._bound = bound
        self._cursor = cursor
        self._hooks = hooks
        self._source = log
        self._types = types
        self._clock = clock
        self._history = history
        self._queue: deque[tuple[str, int, Event]] = deque()
        self._local: deque[Event] = deque(maxlen=QUEUED)
        self._must_look = True
        self._news = asyncio.Event()
        bound.plugin.dead_letters = len(cursor.dead_letters())

    def heard(self, event: Event, writer: str, sequence: int) -> None:
        """An event counts now; *writer* is empty when its place must be looked up."""
        if not writer or len(self._queue) >= QUEUED:
            self._must_look = True
        else:
            self._queue.append((writer, sequence, event))
        self._news.set()

    def told(self, event: Event) -> None:
        """An event of local scope: it has no place in the log and is told once."""
        self._local.append(event)
        self._news.set()

    def look(self) -> None:
        """Something may count now that nobody told of, or the plugin may be called again."""
        self._must_look = True
        self._news.set()

    async def start(self) -> None:
        """Know where to begin; once, before events are heard.

        Raises:
            Projecting: that cannot be told now.
        """
        if not self._cursor.began:
            await self._cursor.begin({} if self._history else _ranges(self._source.counted()))

    async def run(self, started: Callable[[], None]) -> None:
        """The service."""
        started()
        while True:
            self._news.clear()
            try:
                await self._take_all()
            except Projecting:
                _log.debug("the feed of %s waits for the cache", self._bound.plugin.name)
            except ShuttingDown:
                return
            await self._news.wait()

    async def retry(self) -> tuple[int, int]:
        """Give the plugin its dead letters again; how many it took, and how many are left."""
        taken = 0
        for letter in self._cursor.dead_letters():
            event = self._types.decode(letter.line)
            if isinstance(event, UnknownEvent):
                continue
            try:
                await self._hooks.ask(self._bound, {"event": event})
            except HookFailed:
                if self._bound.off:
                    break
                continue
            await self._cursor.dig_up(letter)
            taken += 1
        self._bound.plugin.dead_letters = left = len(self._cursor.dead_letters())
        return taken, left

    async def _take_all(self) -> None:
        while not self._bound.off:
            if self._local:
                with contextlib.suppress(HookFailed):  # counted and logged
                    await self._hooks.ask(self._bound, {"event": self._local.popleft()})
            elif self._must_look:
                self._must_look = False
                await self._catch_up()
            elif self._queue:
                writer, sequence, event = self._queue[0]
                if await self._deliver(writer, sequence, event):
                    self._queue.popleft()
            else:
                break
        if self._bound.off:  # read from the log again when it is enabled
            self._queue.clear()
            self._must_look = True
        await self._cursor.save()

    async def _catch_up(self) -> None:
        """Deliver what counts and was not heard; lines that are gone (purged) count as heard."""
        counted, heard = self._source.counted(), self._cursor.ranges()
        missing = {
            writer: Spans(gaps)
            for writer, spans in counted.items()
            if (gaps := list(_missing(spans, heard.get(writer, []))))
        }
        if not missing:
            return
        unreadable: list[object] = []
        batches = self._source.lines(heard, unreadable.append)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            for writer, _, sequence, line in batch:
                if sequence not in missing.get(writer, ()):
                    continue
                event = self._decoded(line)
                if event is None:
                    self._cursor.note(writer, sequence)
                elif not await self._deliver(writer, sequence, event):
                    return
            await self._cursor.save()
        if unreadable:  # what is mended by hand may still be told later
            return
        for writer, spans in missing.items():
            for first, last in spans:
                for sequence in range(first, last + 1):
                    self._cursor.note(writer, sequence)

    def _decoded(self, line: bytes) -> Event | None:
        try:
            event = self._types.decode(line)
        except msgspec.MsgspecError:
            return None
        return None if isinstance(event, UnknownEvent) else event

    async def _deliver(self, writer: str, sequence: int, event: Event) -> bool:
        """Have the plugin take one event; False when it was switched off meanwhile."""
        if self._cursor.has(writer, sequence):
            return True
        for number in range(TRIES):
            under_way = Delivery(
                advance=lambda db: self._cursor.write(db, writer, sequence),
                done=lambda: self._cursor.note(writer, sequence, saved=True),
            )
            try:
                await self._ask(event, under_way)
            except HookFailed as failure:
                if under_way.is_done:
                    return True  # its writes are done and the cursor moved with them
                if self._bound.off:
                    return False
                if number == TRIES - 1:
                    await self._bury(writer, sequence, event, failure)
                else:
                    await asyncio.sleep(PAUSES_S[number])
                continue
            if not under_way.is_done:
                self._cursor.note(writer, sequence)
            break
        return True

    async def _ask(self, event: Event, under_way: Delivery) -> None:
        token = delivery.set(under_way)
        try:
            await self._hooks.ask(self._bound, {"event": event})
        finally:
            delivery.reset(token)

    async def _bury(self, writer: str, sequence: int, event: Event, failure: HookFailed) -> None:
        line = self._types.encode(event)
        await self._cursor.bury(
            DeadLetter(writer, sequence, event.event_id, event.type, line, str(failure), self._clock.now_us())
        )
        self._bound.plugin.dead_letters += 1
        _log.error(
            "plugin %s failed %d times on %s (%s): it is kept as a dead letter",
            self._bound.plugin.label,
            TRIES,
            event.event_id,
            event.type,
        )


def _ranges(found: Mapping[str, Spans]) -> dict[str, list[tuple[int, int]]]:
    return {writer: list(spans) for writer, spans in found.items()}


def _missing(spans: Spans, heard: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    known = Spans(heard)
    for first, last in spans:
        yield from known.missing(first, last)


__all__ = ["Feed", "Log"]

"""Lets events of other clones count here: they move our clock, are projected, and everyone who waits is told.

Reading and decoding happen in a thread, projecting in small batches on the loop, so that it goes on answering. A great
many lines at once (a fresh clone) are projected by making the cache anew, which is faster and tells how far it is.

Source: DESIGN.md D2, D3.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

import msgspec

from thrum_kernel.errors import FileDamaged, FileMissing, Projecting
from thrum_kernel.events import Event, EventTypes, UnknownEvent
from thrum_kernel.ids import HybridClock, is_ulid
from thrum_kernel.projection.apply import Applied, Projected, Projector
from thrum_kernel.projection.lines import LogLine
from thrum_kernel.store.read import Ranges, read_events, read_shard
from thrum_kernel.store.spans import Coverage
from thrum_kernel.store.tree import Line, Tree
from thrum_kernel.store.units import Unit
from thrum_kernel.sync.purged_unread import Tell, Unread, cutoff_in, tell_senders, unread_before

_log = logging.getLogger(__name__)

BATCH: Final = 256
MANY: Final = 20_000
"""From so many lines on the cache is made anew instead."""

Taken = tuple[list[Projected], list[LogLine]]
"""Lines that are events, and lines that are none: those are kept and shown as refused."""

Gone = tuple[Unread, str]
"""What nobody read of an agent's, and the cutoff of the purge that takes it away."""


class Listeners(Protocol):
    """What ingesting needs of the committer."""

    hearers: list[Callable[[Event, str, int], None]]

    def tell(self, events: Sequence[Event]) -> None: ...


class Ingest:
    """Projects what a merge brought.

    Args:
        projector, ids, types, tree: of this daemon.
        committer: whose listeners and hearers are told.
        projected: what of the log is in the cache; raises Projecting.
        rebuild: makes the cache anew from the log.
        catch_up: projects whatever the log has and the cache has not, once nothing rebuilds it any more.
        in_doubt: told why the cache should be made anew soon.
        daemon: our own id.
        tell: sends a text of the daemon's to agents: whose unread messages another clone's purge takes away.

    Attributes:
        skewed: events whose clock was more than a day ahead of ours; they are kept and do not count yet.
    """

    def __init__(
        self,
        *,
        projector: Projector,
        ids: HybridClock,
        types: EventTypes,
        tree: Tree,
        committer: Listeners,
        projected: Callable[[], Ranges],
        rebuild: Callable[[], Awaitable[None]],
        catch_up: Callable[[], Awaitable[None]],
        in_doubt: Callable[[str], None],
        daemon: str,
        tell: Tell,
    ) -> None:
        self.skewed = 0
        self._projector = projector
        self._ids = ids
        self._types = types
        self._tree = tree
        self._committer = committer
        self._projected = projected
        self._rebuild = rebuild
        self._catch_up = catch_up
        self._in_doubt = in_doubt
        self._daemon = daemon
        self._tell_agents = tell

    async def take(self, units: Sequence[Unit]) -> int:
        """Project every line of *units*, events before messages; how many lines.

        Places that were taken before are passed over, so it may be given again.

        Raises:
            StoreError: a file cannot be read.
        """
        try:
            taken = Coverage(self._projected())
            news = [unit for unit in units if not all(taken.covers(*window) for window in unit.windows)]
            if sum(unit.lines for unit in news) > MANY:
                return await self._take_many(news)
            return await self._take_few(news, taken)
        except Projecting:  # the files are there: whoever makes the cache reads them, or the next look does
            await self._catch_up()
            return sum(unit.lines for unit in units)

    async def _take_few(self, units: Sequence[Unit], taken: Coverage) -> int:
        lines = 0
        gone: list[Gone] = []
        batches = self._batches(units, taken)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            gone += self._goes(cutoff_in(item.line for item in batch[0]))
            self._apply(batch)
            lines += len(batch[0]) + len(batch[1])
        await self._tell_senders(gone)
        return lines

    async def _take_many(self, units: Sequence[Unit]) -> int:
        def observe() -> tuple[int, str]:
            lines, cutoff = 0, ""
            for events, others in self._batches(units, Coverage()):
                lines += len(events) + len(others)
                cutoff = max(cutoff, cutoff_in(item.line for item in events))
            return lines, cutoff

        lines, cutoff = await asyncio.to_thread(observe)
        gone = self._goes(cutoff)
        await self._rebuild()
        await self._tell_senders(gone)
        return lines

    def _goes(self, cutoff: str) -> list[Gone]:
        """What a purge takes away that nobody read; to be asked before it is projected, with nothing awaited between."""
        return [(unread, cutoff) for unread in unread_before(self._projector.cache, self._daemon, cutoff)]

    async def _tell_senders(self, gone: Sequence[Gone]) -> None:
        for unread, cutoff in gone:
            await tell_senders((unread,), cutoff, self._tell_agents)

    def _apply(self, batch: Taken) -> None:
        events, others = batch
        places = {id(item.event): (item.writer, item.sequence) for item in events}
        self._tell(self._projector.apply(events), places)
        if others:
            self._tell(self._projector.apply_lines(others), {})

    def _tell(self, applied: Applied, places: dict[int, tuple[str, int]]) -> None:
        """Tell who listens; an event that had waited for these lies elsewhere, its place is not known here."""
        if applied.in_doubt:
            self._in_doubt("two lines with one event id")
        for event in applied.events:
            self._committer.tell((event,))
            writer, sequence = places.get(id(event), ("", event.sequence))
            for hearer in self._committer.hearers:
                hearer(event, writer, sequence)

    def _batches(self, units: Sequence[Unit], taken: Coverage) -> Iterator[Taken]:
        """Batches of the lines of *units* that are not *taken*, events files before message files; in a thread."""
        lines = (
            (line.writer, unit.daemon, line.sequence, line.line)
            for read in (self._events, self._messages)
            for unit in units
            for line in read(unit)
            if line.sequence not in taken.of(line.writer)
        )
        while batch := list(islice(lines, BATCH)):
            yield self._decoded(batch)

    def _events(self, unit: Unit) -> list[Line]:
        return self._readable(unit.path, lambda: read_events(self._tree, unit))

    def _messages(self, unit: Unit) -> list[Line]:
        order = {window.writer: at for at, window in enumerate(unit.windows)}
        lines = [
            line
            for shard in unit.header.shards
            for line in self._readable(unit.shard_path(shard), partial(read_shard, self._tree, unit, shard))
        ]
        return sorted(lines, key=lambda line: (order[line.writer], line.sequence))

    @staticmethod
    def _readable(path: Path, read: Callable[[], list[Line]]) -> list[Line]:
        try:
            return read()
        except (FileDamaged, FileMissing) as error:
            _log.error("%s was not projected: %s", path, error)
            return []

    def _decoded(self, lines: Sequence[LogLine]) -> Taken:
        events: list[Projected] = []
        others: list[LogLine] = []
        for found in lines:
            writer, daemon, sequence, line = found
            try:
                event = self._types.decode(line)
            except msgspec.MsgspecError:
                others.append(found)
                continue
            self._observe(event)
            events.append(Projected(writer, daemon, sequence, event, line))
        return events, others

    def _observe(self, event: Event | UnknownEvent) -> None:
        """Number our next events above this one."""
        event_id = event.head.event_id if isinstance(event, UnknownEvent) else event.event_id
        ulid = event_id.removeprefix("evt_")
        if is_ulid(ulid) and not self._ids.observe(ulid):
            self.skewed += 1
            if self.skewed == 1:
                _log.warning("events of another clone are more than a day ahead of this machine's clock")

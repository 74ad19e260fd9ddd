"""The one way in for an event: validate, journal, project, tell the listeners, return.

`commit` returns when the events are on disk and in the projection. Events that arrive while a sync is running wait
for it and then share the next one (group commit). When the journal fails (disk full, failed sync) everything in that
batch fails, nothing of it is projected, and the next commit begins a new writer.

Source: DESIGN.md D1, "Journal".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from thrum_kernel.clock import Clock, format_us
from thrum_kernel.commit.requests import RequestIndex
from thrum_kernel.commit.writer_thread import WriterThread, Writing
from thrum_kernel.errors import Projecting, ShuttingDown, StoreError
from thrum_kernel.events import Event, EventTypes, UnknownEvent
from thrum_kernel.ids import HybridClock, event_id
from thrum_kernel.projection.apply import Projected, Projector

_log = logging.getLogger(__name__)

E = TypeVar("E", bound=Event)


class JournalFile(Protocol):
    """What the committer needs of a journal; see `store.journal.Journal`."""

    @property
    def writer(self) -> str: ...
    def append(self, lines: Sequence[bytes]) -> None: ...
    def end(self) -> object: ...


class Journals(Protocol):
    """Opens the journal of a new writer; blocking."""

    def __call__(self, writer: str, previous: tuple[str, int] | None, /) -> JournalFile: ...


@dataclass(slots=True)
class _Waiting:
    events: tuple[Event, ...]
    done: asyncio.Future[None]
    lines: list[bytes] = field(default_factory=list)
    is_repeat: bool = False


class Committer:
    """Takes events, one daemon's only way to write.

    Attributes:
        daemon_id: the id that its events carry as origin.
        listeners: called on the loop for every event that counts now, after its projection, in order; also for
            earlier ones that had waited for these. Must not block.
        hearers: called like `listeners`, with the writer and sequence of the event; the writer is empty where the
            event came to count later than it was written.
        durable: the current writer and the number of its last durable event, replaced in one step, for whoever reads
            them while events are written; an empty writer before the first event.
    """

    def __init__(
        self,
        *,
        daemon_id: str,
        clock: Clock,
        ids: HybridClock,
        types: EventTypes,
        projector: Projector,
        journals: Journals,
        still_ours: Callable[[], None],
        in_doubt: Callable[[str], None],
        previous: tuple[str, int] | None = None,
        writing: Writing | None = None,
    ) -> None:
        """Make it on the loop; *writing* appends to the journal, in a thread of its own unless told otherwise."""
        self.daemon_id = daemon_id
        self.listeners: list[Callable[[Event], None]] = []
        self.hearers: list[Callable[[Event, str, int], None]] = []
        self.durable = ("", 0)
        self.requests = RequestIndex(clock)
        self._clock = clock
        self._ids = ids
        self._types = types
        self._projector = projector
        self._journals = journals
        self._still_ours = still_ours
        self._in_doubt = in_doubt
        self._previous = previous
        self._journal: JournalFile | None = None
        self._waiting: list[_Waiting] = []
        self._is_writing = False
        self._settled: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = writing or WriterThread(self._loop, name="thrum-journal")
        self._closed = False

    @property
    def writer(self) -> str:
        """The current writer."""
        return self.durable[0]

    @property
    def last_sequence(self) -> int:
        """The number of the current writer's last durable event."""
        return self.durable[1]

    @property
    def cutoff_us(self) -> int:
        """Messages with an earlier timestamp are purged, microseconds; 0 when none are.

        Raises:
            Projecting: the cache is being rebuilt.
        """
        return self._projector.cutoff_us

    def draft(self, cls: type[E], **fields: Any) -> E:
        """An event of this daemon with its id and time, not yet committed; its ``ulid`` is final."""
        return cls(
            event_id=event_id(self._ids.next_ulid()),
            timestamp=format_us(self._clock.now_us()),
            origin_daemon=self.daemon_id,
            **fields,
        )

    async def commit(self, *events: Event, request_id: str = "") -> None:
        """Make *events* durable, in this order and all or none, and project them.

        Raises:
            StoreError: they could not be stored; nothing happened.
            ShuttingDown: the daemon takes nothing any more.
        """
        if self._closed:
            raise ShuttingDown
        if request_id:
            for event in events:
                event.request_id = request_id
        await self._enter(_Waiting(events, self._loop.create_future()))

    async def repeat(self, *lines: bytes) -> None:
        """Journal events again that count here already: same ids, new places. Nobody is told of them.

        Raises:
            ValueError: a line is not one that this daemon would write, such as one of a type that nobody knows now;
                nothing happened.
            Projecting: the cache is being rebuilt; nothing happened.
            StoreError, ShuttingDown: as `commit`.
        """
        if self._closed:
            raise ShuttingDown
        events = tuple(map(self._decoded, lines))
        for event, line in zip(events, lines, strict=True):
            self._projector.recognise(event, line)
        await self._enter(_Waiting(events, self._loop.create_future(), is_repeat=True))

    def _decoded(self, line: bytes) -> Event:
        event = self._types.decode(line)
        if isinstance(event, UnknownEvent):
            raise ValueError(
                f"{event.head.event_id} is of the type {event.head.type}, which is not known here"
            )
        if event.origin_daemon != self.daemon_id or self._types.encode(event) != line:
            raise ValueError(f"{event.event_id} cannot be written again as it is")
        return event

    async def _enter(self, item: _Waiting) -> None:
        # A caller that goes away cancels this future and nothing else: the event is on its way.
        self._waiting.append(item)
        if not self._is_writing:
            self._is_writing = True
            self._loop.call_soon(self._next_batch)  # with what else came with this turn of the loop
        await item.done

    def events_of_request(self, request_id: str) -> list[Event]:
        """The events that a request of the last ten minutes caused, oldest first."""
        return self.requests.find(request_id)

    async def rotate(self) -> None:
        """End the current journal; the next event begins a new writer."""
        await self.settle()
        if self._journal is not None:
            await self._thread.run(self._end_journal)

    async def settle(self) -> None:
        """Wait until everything taken so far is durable and projected, or failed."""
        while self._is_writing:
            if self._settled is None:
                self._settled = self._loop.create_future()
            await asyncio.shield(self._settled)

    async def close(self) -> None:
        """Take nothing more, finish what was taken, close the journal."""
        self._closed = True
        await self.rotate()
        await self._thread.close()

    def _next_batch(self) -> None:
        """Hand what waits to the journal's thread. Callbacks and no task: every turn of the loop delays a sender."""
        batch = self._take()
        if batch:
            self._thread.start(lambda: self._append(batch), lambda _, error: self._written(batch, error))
            return
        self._is_writing = False
        if self._settled is not None:
            self._settled.set_result(None)
            self._settled = None

    def _take(self) -> list[_Waiting]:
        batch, self._waiting = self._waiting, []
        return batch

    def _written(self, batch: list[_Waiting], error: BaseException | None) -> None:
        """On the loop: the batch is on disk, or failed."""
        try:
            if error is not None:
                _log.error("journal: %s", error, exc_info=None if isinstance(error, StoreError) else error)
            else:
                self.requests.add(event for item in batch if not item.is_repeat for event in item.events)
                repeated = {id(event) for item in batch if item.is_repeat for event in item.events}
                counted = [event for event in self._project(batch) if id(event) not in repeated]
                for event in counted:
                    self._tell(event)
                if self.hearers:
                    self._tell_places(batch, counted)
        finally:
            for item in batch:
                _settle_with(item.done, error)
            self._next_batch()

    def _append(self, batch: list[_Waiting]) -> None:
        """Number, encode and append; in the journal's thread. Numbers are given only here, so they have no gaps."""
        try:
            self._still_ours()
            if self._journal is None:
                self._open_journal()
            assert self._journal is not None
            sequence = self.last_sequence
            for item in batch:
                item.lines.clear()
                for event in item.events:
                    sequence += 1
                    event.sequence = sequence
                    item.lines.append(self._types.encode(event))
            self._journal.append([line for item in batch for line in item.lines])
            self.durable = (self._journal.writer, sequence)
        except StoreError:
            self._abandon_journal()
            raise

    def _open_journal(self) -> None:
        writer = self._ids.next_ulid()
        self._journal = self._journals(writer, self._previous)
        self.durable = (writer, 0)

    def _end_journal(self) -> None:
        if self._journal is not None:
            self._journal.end()
            self._previous = self.durable
            self._journal = None

    def _abandon_journal(self) -> None:
        """After a failed append or sync that file is never touched again; what was acknowledged is in it."""
        if self._journal is not None:
            self._previous = self.durable
            self._journal = None

    def _project(self, batch: list[_Waiting]) -> Sequence[Event]:
        """Project what is durable now; the events that count now."""
        events = [event for item in batch for event in item.events]
        lines = [line for item in batch for line in item.lines]
        items = [
            Projected(self.writer, self.daemon_id, event.sequence, event, line)
            for event, line in zip(events, lines, strict=True)
        ]
        try:
            applied = self._projector.apply(items)
        except Projecting:
            return ()  # the rebuild that is running takes them from the journal
        except Exception as error:  # noqa: BLE001 - the events are durable: the cache is rebuilt, the send succeeded
            _log.exception("projection failed; the cache will be rebuilt from the log")
            self._in_doubt(f"projection failed: {error}")
            return ()
        if applied.in_doubt:
            self._in_doubt("two lines with one event id")
        return applied.events

    def tell(self, events: Sequence[Event]) -> None:
        """Tell the listeners of events that count only now, though they were taken earlier."""
        for event in events:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - one listener's fault is not the sender's
                _log.exception("listener %r failed on %s", listener, event.event_id)

    def _tell_places(self, batch: list[_Waiting], counted: Sequence[Event]) -> None:
        """Tell where the events lie; those that had waited for these lie elsewhere, their place is not known here."""
        fresh = {id(event) for item in batch for event in item.events}
        for event in counted:
            for hearer in self.hearers:
                hearer(event, self.writer if id(event) in fresh else "", event.sequence)


def _settle_with(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()  # retrieved here: a caller that went away leaves no warning behind

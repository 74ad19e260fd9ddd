"""One connection of the Unix socket: JSON lines, served in order, by an asyncio protocol of our own.

Streams cost more than the work they would carry here, so bytes go from the transport to the dispatcher and back.

- The peer is asked of the kernel at accept; another user's process is refused. Who it is as an agent is found out
  when a request needs it.
- A first byte below 9 is no JSON: the connection is handed to the command protocol (*foreign*).
- Memory is bounded on both sides: a line by *max_line*, waiting requests by `_MAX_QUEUED` bytes (then reading
  pauses), answers by the write buffer (then serving pauses). A client that takes nothing for *stall_s*, or lets more
  than *max_outgoing* bytes of notifications pile up, is cut off. One that asks nothing for *idle_s* and subscribed to
  nothing is closed.

Source: DESIGN.md D5, D7; spec/kernel.md §4.1.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from thrum_kernel.api import Caller
from thrum_kernel.bus.call import Grant, Transport
from thrum_kernel.bus.peer import Peer, peer_of
from thrum_kernel.bus.protocol import (
    Item,
    LineReader,
    Malformed,
    encode_error,
    encode_malformed,
    parse_one,
)
from thrum_kernel.bus.shown import Shown, is_hung_up
from thrum_kernel.bus.topics import Subscriptions
from thrum_kernel.errors import Refused

if TYPE_CHECKING:
    from thrum_kernel.bus.unix import UnixServer

Resolver = Callable[[Peer, str], Caller]
"""Who a peer is, given its claim (``caller_agent_id``); raises GuardFired or IdentityError."""
Foreign = Callable[[Peer], asyncio.BaseProtocol]
"""Makes the protocol for a connection that does not speak JSON; it gets the transport and the bytes read so far."""

_WRITE_HIGH: Final = 256 * 1024
_MAX_QUEUED: Final = 1024 * 1024
_MAX_CACHED_CLAIMS: Final = 8
_CALLER_AGE_S: Final = 2.0
_LINGER_S: Final = 2.0
_SLICE_S: Final = 0.005
"""So long one connection's requests are answered in a row while others wait."""
_FIRST_JSON_BYTE: Final = 0x09

_log = logging.getLogger(__name__)


class UnixConnection(asyncio.Protocol):
    """One connection: the shell around `LineReader` and the dispatcher; implements `call.Connection` and `Sink`."""

    transport: Transport = "unix"
    open_methods: frozenset[str] | None = None

    def __init__(self, server: UnixServer) -> None:
        self._server = server
        self._dispatcher = server.dispatcher
        self._reader = LineReader(max_line=server.limits.max_line)
        self._queue: deque[Item] = deque()
        self._queued_bytes = 0
        self._task: asyncio.Future[Any] | None = None
        self._writable: asyncio.Event | None = (
            None  # set while the write buffer has room; None = it always had
        )
        self._is_begun = self._is_ended = self._is_gone = self._reading_paused = False
        self._is_touched = True  # since the last look over it
        self._idle_since = self._stalled_at = 0.0
        self._stalled_size = self._exempt = 0
        self._callers: dict[str, tuple[Hashable, float, Caller]] = {}
        self.grant: Grant | None = None
        self._subscriptions = Subscriptions(server.topics, self)

    # --- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._loop = asyncio.get_running_loop()
        self._wire = cast(asyncio.Transport, transport)
        self._wire.set_write_buffer_limits(high=_WRITE_HIGH)
        self._shown = Shown(self._wire)
        self._peer = peer_of(self._wire.get_extra_info("socket"))
        self._idle_since = self._loop.time()
        self._server.joined(self)
        if self._peer.uid not in (-1, 0, self._server.own_uid):
            self._refuse(f"connections of user {self._peer.uid} are refused")

    def data_received(self, data: bytes) -> None:
        if not self._is_begun:
            self._is_begun = True
            if data[0] < _FIRST_JSON_BYTE and self._server.foreign is not None:
                self._hand_over(self._server.foreign, data)
                return
        self._is_touched = True
        if self._shown.is_due:
            self._shown.heard()
        is_free = self._task is None and (self._writable is None or self._writable.is_set())
        if is_free and self._reader.is_whole(data):
            self._serve_one(parse_one(data))
        elif is_free:
            self._serve(self._reader.feed(data))
        elif items := self._reader.feed(data):
            self._enqueue(items, len(data))
        if self._reader.is_over:
            self.finish()

    def eof_received(self) -> bool:
        self._is_ended = True
        self._shown.ended()
        items = self._reader.end()
        if items:
            self._enqueue(items, 0)
            self._begin()
        busy = self._task is not None
        return busy and not is_hung_up(self._wire.get_extra_info("socket").fileno())

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_gone = True
        self._shown.drop()
        self._subscriptions.end()
        if self._writable is not None:
            self._writable.set()
        if self._task is not None and not self._queue:
            self._task.cancel()  # nobody waits for the answer; what it changes goes on
        self._server.left(self)

    def pause_writing(self) -> None:
        self._stalled_at = self._loop.time()
        self._stalled_size = self._wire.get_write_buffer_size()
        if self._writable is None:
            self._writable = asyncio.Event()
        self._writable.clear()

    def resume_writing(self) -> None:
        self._exempt = 0
        if self._writable is not None:
            self._writable.set()
        self._begin()

    # --- call.Connection ---------------------------------------------------------------------------------------------

    def caller(self, claim: str) -> Caller:
        if self.grant is not None and not self.grant.is_valid:
            self.present(None)
        facts = None if self._server.facts_of is None else self._server.facts_of(self._peer)
        now = self._loop.time()
        known = self._callers.get(claim)
        if known is not None and facts is not None and known[0] == facts and now - known[1] < _CALLER_AGE_S:
            return known[2]
        found = self._server.resolver(self._peer, claim)
        if found.is_known:  # who is nobody may be about to register
            if len(self._callers) >= _MAX_CACHED_CLAIMS:
                self._callers.clear()
            self._callers[claim] = (facts, now, found)
        return found

    def subscribe(self, topic: str, *, as_method: str) -> None:
        if not self._is_gone:
            self._subscriptions.add(topic, as_method=as_method)

    def when_shown(self, effect: Callable[[], None]) -> None:
        self._shown.add(effect)

    def present(self, grant: Grant | None) -> None:
        self.grant = grant
        self._peer = replace(self._peer, principal=None if grant is None else grant.principal)
        self._callers.clear()

    # --- Sink --------------------------------------------------------------------------------------------------------

    def push(self, frame: bytes) -> None:
        """Send a notification; cuts the connection when too many wait."""
        wire = self._wire
        if wire.is_closing():
            return
        wire.write(frame)
        if wire.get_write_buffer_size() > self._server.limits.max_outgoing + self._exempt:
            self.cut("it does not read its notifications")

    # --- serving -----------------------------------------------------------------------------------------------------

    def _serve_one(self, item: Item) -> None:
        answer = self._answer_now(item)
        if answer is not None:
            self._send(answer)
            return
        change = self._dispatcher.begin(cast(Any, item), self)
        if change is not None:
            self._task = change
            change.add_done_callback(self._changed)
        else:
            self._enqueue((item,), 0)
            self._begin()

    def _changed(self, change: asyncio.Future[bytes]) -> None:
        """A change that was begun at once has its answer, or nobody waits for it any more."""
        self._task = None
        self._is_touched = True
        if not change.cancelled():
            self._send(change.result())
        if self._queue:
            self._begin()
        else:
            self._after_queue()

    def _serve(self, items: Iterable[Item]) -> None:
        """Answer at once what can be; the rest becomes a task."""
        answers: list[bytes] = []
        size = 0
        waiting = iter(items)
        until = self._loop.time() + _SLICE_S
        for item in waiting:
            answer = self._answer_now(item)
            if answer is None:
                self._enqueue([item, *waiting], 0)
                break
            answers.append(answer)
            size += len(answer)
            if size > _WRITE_HIGH or self._loop.time() > until:
                self._enqueue(waiting, 0)
                break
        if answers:
            self._send(answers[0] if len(answers) == 1 else b"".join(answers))
        if self._queue:
            self._begin()

    def _answer_now(self, item: Item) -> bytes | None:
        if type(item) is not Malformed:
            return self._dispatcher.answer_now(item, self)  # type: ignore[arg-type]
        if (
            item.fatal
        ):  # what it still sends is thrown away for a while: hanging up at once would lose the answer
            self._loop.call_later(_LINGER_S, self.finish)
        return encode_malformed(item)

    def _begin(self) -> None:
        if self._queue and self._task is None and (self._writable is None or self._writable.is_set()):
            self._task = self._loop.create_task(self._serve_queue())

    async def _serve_queue(self) -> None:
        try:
            until = self._loop.time() + _SLICE_S
            while self._queue:
                item = self._queue.popleft()
                if self._is_gone and not self._changes(item):
                    continue
                answer = self._answer_now(item)
                if answer is None:
                    answer = await self._dispatcher.answer(cast(Any, item), self)
                self._send(answer)
                if self._writable is not None and not self._is_gone:
                    await self._writable.wait()
                if self._loop.time() > until:
                    await asyncio.sleep(0)
                    until = self._loop.time() + _SLICE_S
        finally:
            self._task = None
            self._is_touched = True
            self._after_queue()

    def _changes(self, item: Item) -> bool:
        """Whether a request has to be carried out also when nobody waits for the answer."""
        if isinstance(item, Malformed):
            return False
        method = self._dispatcher.method(item.method)
        return method is not None and method.mutates

    def _after_queue(self) -> None:
        self._queued_bytes = 0
        if self._is_ended:
            self.finish()
        elif self._reading_paused and not self._is_gone:
            self._reading_paused = False
            self._wire.resume_reading()

    def _enqueue(self, items: Iterable[Item], size: int) -> None:
        self._queue.extend(items)
        self._queued_bytes += size
        if self._queued_bytes > _MAX_QUEUED and not self._reading_paused and not self._wire.is_closing():
            self._reading_paused = True
            self._wire.pause_reading()

    def _send(self, answer: bytes) -> None:
        if self._is_gone:
            return
        self._wire.write(answer)
        if len(answer) > _WRITE_HIGH:
            self._exempt = self._wire.get_write_buffer_size()
        if self._shown.is_due:
            self._shown.sent()

    # --- ending ------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Close when everything accepted is answered and written."""
        self._is_ended = True
        if self._task is None and not self._queue and not self._is_gone:
            self._wire.close()

    def cut(self, reason: str) -> None:
        """Close at once; what waits is lost."""
        if not self._is_gone:
            _log.info("connection of pid %s cut: %s", self._peer.pid, reason)
            self._subscriptions.end()
            self._wire.abort()

    def look_over(self, now: float) -> None:
        """Close what is idle, cut what takes nothing."""
        if self._is_touched:
            self._is_touched, self._idle_since = False, now
        quiet_s = now - self._idle_since
        if self.grant is not None and not self.grant.is_valid:
            self.present(None)
            self._subscriptions.end()  # they were the principal's
        if self._wire.is_closing():
            if quiet_s > self._server.limits.stall_s:
                self.cut("it does not take its last answer")
        elif self._writable is not None and not self._writable.is_set():
            size = self._wire.get_write_buffer_size()
            if size < self._stalled_size:
                self._stalled_size, self._stalled_at = size, now
            elif now - self._stalled_at > self._server.limits.stall_s:
                self.cut("it reads nothing")
        elif self._task is None and not self._subscriptions and quiet_s > self._server.limits.idle_s:
            self.finish()

    def _refuse(self, reason: str) -> None:
        self._wire.write(encode_error(Refused(reason)))
        self._is_begun = self._reader.failed = True
        self.finish()

    def _hand_over(self, foreign: Foreign, data: bytes) -> None:
        self._server.left(self)
        protocol = cast(asyncio.Protocol, foreign(self._peer))
        self._wire.set_protocol(protocol)
        protocol.connection_made(self._wire)
        protocol.data_received(data)

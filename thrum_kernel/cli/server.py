"""Commands inside the daemon: each connection is one command of one client.

The loop reads the request, finds the command and awaits whatever takes long; the command's function runs aside of it:
in a greenlet when it is brief, else in a thread that lives milliseconds. Input is fetched without either: a function
that asks for it ends, and starts again when it is here. What a function writes goes out together with its exit status,
in one packet where it is short. Effects that mean *shown* are applied when the client has confirmed the last byte;
closing the connection cancels everything.

Source: DESIGN.md D4, D5.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol, cast

from thrum_kernel import __version__
from thrum_kernel.api import Caller, Hint, Moment
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.peer import Peer
from thrum_kernel.cli import client
from thrum_kernel.cli.app import Found, Tree
from thrum_kernel.cli.command import Pending
from thrum_kernel.cli.conduct import Conduct
from thrum_kernel.cli.outgoing import Outgoing
from thrum_kernel.cli.output import Output
from thrum_kernel.cli.protocol import (
    FrameReader,
    ProtocolError,
    Request,
    frame,
    parse_request,
    speaks_our_protocol,
    want,
)
from thrum_kernel.cli.running import InputNeeded, fail, input_failure, too_long
from thrum_kernel.errors import ThrumError

CallerOf = Callable[[Peer, Request], Callable[[str], Caller]]
"""``(peer, request)`` → ``(claim)`` → who calls, for one command: the request carries the environment and the folder
that the client says it stands in, *claim* is what a method's parameters claim. Raises GuardFired or IdentityError."""

_THREADS: Final = 32
_SAY_RUNNING_S: Final = 0.5

_log = logging.getLogger(__name__)


class HintSource(Protocol):
    """Who has hints around commands (`briefing.hints.Hints`)."""

    def concern(self, command: str) -> bool: ...
    async def gather(self, moment: Moment) -> Sequence[Hint]: ...


class Gate(Protocol):
    """Who lets commands pass (`daemon.gate.Gate`)."""

    def concerns(self, command: str) -> bool: ...
    async def before(
        self, command: str, *, args: Sequence[str], tmux_pane: str, caller: Caller
    ) -> Sequence[str]: ...


class CommandServer:
    """Serves commands to the connections that the Unix socket hands over (`foreign`).

    Args:
        tree: the commands; prepared before the first client comes.
        dispatcher: answers their calls.
        caller_of: see `CallerOf`.
        hints: who has hints around commands; None when nobody.
        gate: who lets commands pass; None when nobody is asked.
        complete: set once every command and every guard is known; what comes earlier waits. None when they are.
        version: the daemon's; clients of another version are refused and run by themselves.
    """

    def __init__(
        self,
        tree: Tree,
        dispatcher: Dispatcher,
        *,
        caller_of: CallerOf,
        hints: HintSource | None = None,
        gate: Gate | None = None,
        complete: asyncio.Event | None = None,
        version: str = __version__,
    ) -> None:
        self.tree = tree
        self.dispatcher = dispatcher
        self.caller_of = caller_of
        self.hints = hints
        self.gate = gate
        self.complete = complete
        self.version = version
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="command")
        self.is_draining = False
        self._running: set[asyncio.Task[None]] = set()
        self._polling: set[asyncio.Task[Any]] = set()

    def foreign(self, peer: Peer) -> asyncio.Protocol:
        """The protocol of one connection."""
        return CommandConnection(self, peer)

    def start(self, serve: Any) -> asyncio.Task[None]:
        """Run one command; kept until it ends."""
        task = asyncio.get_running_loop().create_task(serve)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return cast("asyncio.Task[None]", task)

    async def drain(self, *, limit_s: float = 12.0) -> None:
        """Refuse new commands and wait until those accepted have answered; what is left after *limit_s* is cut.

        Those that wait for something to happen are cut at once: nothing was shown, so their clients ask the next
        daemon under the same request id.
        """
        self.is_draining = True
        if self.complete is not None:
            self.complete.set()  # who still waited is refused
        for task in tuple(self._polling):
            task.cancel()
        if self._running:
            _, left = await asyncio.wait(tuple(self._running), timeout=limit_s)
            for task in left:
                task.cancel()
        self.threads.shutdown(wait=False, cancel_futures=True)

    def is_poll(self, method: str) -> bool:
        """Whether a method waits for something to happen and changes nothing that the next daemon does not go on with."""
        found = self.dispatcher.method(method)
        return found is not None and found.long_poll and (not found.mutates or found.resumes)

    @contextlib.contextmanager
    def polling(self, pending: Pending) -> Iterator[None]:
        """The running command awaits *pending*; one that can be asked again is not waited for when draining.

        Raises:
            CancelledError: it would begin to wait now, and the daemon stops.
        """
        task = asyncio.current_task()
        if task is None or (pending.resume is None and not self.is_poll(pending.method)):
            yield
            return
        if self.is_draining:
            raise asyncio.CancelledError
        self._polling.add(task)
        try:
            yield
        finally:
            self._polling.discard(task)

    @property
    def running(self) -> int:
        """How many commands have not ended yet."""
        return len(self._running)


class CommandConnection(asyncio.Protocol):
    """One client and its one command."""

    def __init__(self, server: CommandServer, peer: Peer) -> None:
        self._server = server
        self._peer = peer
        self._reader = FrameReader()
        self._task: asyncio.Task[None] | None = None
        self._input: InputTaken | None = None
        self._shown = asyncio.get_running_loop().create_future()
        self.is_gone = False

    # --- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast(asyncio.Transport, transport)
        self._out = Outgoing(self._wire, asyncio.get_running_loop())

    def data_received(self, data: bytes) -> None:
        try:
            for kind, payload in self._reader.feed(data):
                self._take(kind, payload)
        except ProtocolError as error:
            _log.warning("a client was cut off: %s", error)
            self._wire.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = True
        self._out.close()
        self._shown.cancel()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._out.pause()

    def resume_writing(self) -> None:
        self._out.resume()

    def _take(self, kind: bytes, payload: bytes) -> None:
        if kind == client.REQUEST and self._task is None:
            self._task = self._server.start(self._serve(parse_request(payload)))
        elif kind == client.SHOWN and not self._shown.done():
            self._shown.set_result(None)
        elif self._input is not None and kind in (client.DATA, client.END, client.FAILED):
            self._input.take(kind, payload)
        elif kind not in (client.DATA, client.END, client.FAILED):
            raise ProtocolError(f"unexpected frame {kind!r}")

    # --- one command -------------------------------------------------------------------------------------------------

    async def _serve(self, request: Request) -> None:
        try:
            if self._server.complete is not None:
                await self._server.complete.wait()
            found = self._decide(request)
            if found is not None:
                await self._run(request, found)
        except Exception:  # noqa: BLE001 - the task's end
            _log.exception("a command failed: %s", " ".join(request.argv[:2]))
        finally:
            self._wire.close()

    def _decide(self, request: Request) -> Found | ThrumError | None:
        """The command, or what is wrong with its words; None when the client was told to run it itself."""
        if self._server.is_draining or not speaks_our_protocol(request, self._server.version):
            self._wire.write(frame(client.REFUSED))
            return None
        try:
            found = self._server.tree.find(request.argv)
        except ThrumError as error:
            return error
        if found.is_local:
            self._wire.write(frame(client.LOCAL))
            return None
        return found

    async def _run(self, request: Request, found: Found | ThrumError) -> None:
        loop = asyncio.get_running_loop()
        self._out.begin_with(frame(client.RUN), after_s=_SAY_RUNNING_S)
        output = Output(self._out.write, env=request.env)
        effects: list[Callable[[], None]] = []
        if isinstance(found, ThrumError):
            status = fail(found, output)
        else:
            conduct = Conduct(self, self._server, self._peer, request, loop, output, effects)
            status = await conduct.command(found)
            if conduct.is_refused and self._out.end_instead(frame(client.REFUSED)):
                return
        self._out.end_with(frame(client.STATUS, bytes((status & 255,))))
        await self._shown
        for effect in effects:
            _apply(effect)

    def send_held(self) -> None:
        """Let the client see what was written so far."""
        self._out.send()

    async def read_input(self, needed: InputNeeded) -> bytes | ThrumError:
        """What the client sends when asked for a file or its standard input, or why there is nothing."""
        self._input = InputTaken(needed, asyncio.get_running_loop().create_future())
        self._out.write_now(frame(client.WANT, want(needed.path, needed.max_bytes)))
        try:
            return await self._input.done
        finally:
            self._input = None


class InputTaken:
    """Bytes of the client as they arrive."""

    def __init__(self, needed: InputNeeded, done: asyncio.Future[bytes | ThrumError]) -> None:
        self.done = done
        self._needed = needed
        self._held = bytearray()

    def take(self, kind: bytes, payload: bytes) -> None:
        """One frame of input."""
        if self.done.done():
            return
        if kind == client.FAILED:
            code = int(payload) if payload.isdigit() else 0
            self.done.set_result(input_failure(self._needed.path, OSError(code, os.strerror(code))))
            return
        self._held += payload
        if len(self._held) > self._needed.max_bytes:
            self.done.set_result(too_long(self._needed.path, self._needed.max_bytes))
        elif kind == client.END:
            self.done.set_result(bytes(self._held))


def _apply(effect: Callable[[], None]) -> None:
    try:
        effect()
    except Exception:  # noqa: BLE001 - the answer is out: there is nobody left to tell
        _log.exception("an effect of a shown answer failed")

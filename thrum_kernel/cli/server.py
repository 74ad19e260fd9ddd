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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal, Protocol, cast

from thrum_kernel import __version__
from thrum_kernel.api import Api, Caller, Hint, Invocation, Moment
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.peer import Peer
from thrum_kernel.cli import client
from thrum_kernel.cli.app import Found, Tree
from thrum_kernel.cli.aside import answer, run_brief, run_threaded
from thrum_kernel.cli.command import Outcome, Pending, Run
from thrum_kernel.cli.hinting import Around, tell_of_ignored_name
from thrum_kernel.cli.outgoing import ClientGone, Outgoing
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
from thrum_kernel.cli.running import InputNeeded, checked, fail, input_failure, step, too_long
from thrum_kernel.errors import Projecting, ShuttingDown, ThrumError

CallerOf = Callable[[Peer, Request], Callable[[str], Caller]]
"""``(peer, request)`` → ``(claim)`` → who calls, for one command: the request carries the environment and the folder
that the client says it stands in, *claim* is what a method's parameters claim. Raises GuardFired or IdentityError."""

_THREADS: Final = 32
_SAY_RUNNING_S: Final = 0.5
_LOOK_AGAIN_S: Final = 0.1
_START_PATIENCE_S: Final = 5.0
_SAY_PROGRESS_S: Final = 1.0

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
        """Whether a method waits for something to happen and changes nothing."""
        found = self.dispatcher.method(method)
        return found is not None and found.long_poll and not found.mutates

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


class Conduct:
    """The course of one command: its function aside, its long answers and its input on the loop.

    Attributes:
        is_refused: the daemon ends and did not do what the command asked for: another is to be asked, which the
            request id keeps from doing anything twice.
    """

    def __init__(
        self,
        connection: CommandConnection,
        server: CommandServer,
        peer: Peer,
        request: Request,
        loop: asyncio.AbstractEventLoop,
        output: Output,
        effects: list[Callable[[], None]],
    ) -> None:
        self._connection = connection
        self._server = server
        self._peer = peer
        self._request = request
        self._loop = loop
        self._output = output
        self._effects = effects
        self._caller = server.caller_of(peer, request)
        self._inputs: dict[str | None, bytes | ThrumError] = {}
        self._calls = 0
        self.is_refused = False

    async def command(self, found: Found) -> int:
        """Run it to its end; gives the exit status."""
        try:
            await self._pass_gate(found)
        except ThrumError as error:
            error.exit_code = getattr(found.entry, "error_status", 0) or error.exit_code
            return fail(error, self._output)
        inv = self._invocation()
        api: Api = checked(_InsideApi(self), inv.argv)
        around = self._around(" ".join(found.words))
        ignored_name = self._known_caller().ignored_name if inv.env.get("THRUM_NAME") else ""

        def begin() -> Outcome:
            self._calls = 0
            self._effects.clear()
            if ignored_name:
                tell_of_ignored_name(self._output, ignored_name)
            run = Run(inv, api=api, out=self._output, tree=self._server.tree, read=self._read, around=around)
            return self._server.tree.run(found, run)

        outcome = await self._aside(found, begin)
        while isinstance(outcome, Pending):
            self._connection.send_held()
            outcome = await self._aside(found, await self._answer(outcome))
        return outcome

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Ask the dispatcher in the caller's name; on the loop.

        The n-th call carries ``<request id>.<n>``, as `SocketApi` numbers the calls of the same command in process:
        a retry may take the other way.
        """
        self._calls += 1
        return await self._ask(method, params, self._calls)

    async def _ask(self, method: str, params: Mapping[str, Any], number: int) -> Any:
        request_id = f"{self._request.request_id}.{number}" if self._request.request_id else ""
        try:
            return await self._server.dispatcher.call(
                method,
                params,
                caller=self._caller,
                request_id=request_id,
                transport="unix",  # where the client's connection came in, and what its process may ask for
                shown=self._effects.append,
                warned=self._output.warn,
            )
        except ShuttingDown:
            self.is_refused = True
            raise

    async def call_patiently(self, method: str, params: Mapping[str, Any]) -> Any:
        """`call`, but a start that takes a moment is no reason to refuse a command."""
        until = self._loop.time() + _START_PATIENCE_S
        self._calls += 1
        number = self._calls
        while True:
            try:
                return await self._ask(method, params, number)
            except Projecting as error:
                if error.what != "projecting" or self._loop.time() > until:
                    raise
            await asyncio.sleep(_LOOK_AGAIN_S)

    def call_and_wait(self, method: str, params: Mapping[str, Any]) -> Any:
        """The same, for the command's function."""
        if self._connection.is_gone:
            raise ClientGone
        return answer(self.call_patiently(method, params), self._loop)

    async def _aside(self, found: Found, action: Callable[[], Outcome]) -> int | Pending:
        while True:
            try:
                if found.is_brief:
                    return await run_brief(step, action, self._output)
                return await run_threaded(self._server.threads, step, action, self._output)
            except InputNeeded as needed:
                self._inputs[needed.path] = await self._connection.read_input(needed)

    async def _answer(self, pending: Pending) -> Callable[[], Outcome]:
        """Await the method of a long answer; what is left is to finish with its result or its error."""
        try:
            with self._server.polling(pending):
                result = await self._answer_of(pending)
        except ThrumError as error:
            return pending.after_failure(error)
        return lambda: pending.finish(result)

    async def _answer_of(self, pending: Pending) -> Any:
        """The answer of a long method; one that can be asked again is, until the cache or the index is there.

        So a `wait` that a restart cut off goes on with the next daemon, which has just begun to project. Where nothing
        but that is waited for, its progress is told.
        """
        begun, told, params = self._loop.time(), "", pending.params
        while True:
            try:
                return await self.call(pending.method, params)
            except Projecting as error:
                if pending.resume is None:
                    raise
                waited_s, progress = self._loop.time() - begun, str(error)
            if progress != told and waited_s >= _SAY_PROGRESS_S and not self._server.is_poll(pending.method):
                told = progress
                self._output.note(told)
                self._output.flush()
                self._connection.send_held()
            await asyncio.sleep(_LOOK_AGAIN_S)
            params = pending.resume(self._loop.time() - begun)

    async def _pass_gate(self, found: Found) -> None:
        """Ask whether the command may run, where somebody judges it; warnings come before its own output.

        Raises:
            GuardFired: it may not.
        """
        gate, command = self._server.gate, " ".join(found.words)
        if gate is None or not gate.concerns(command):
            return
        env = self._request.env
        for warning in await gate.before(
            command,
            args=found.args,
            tmux_pane=env.get("TMUX_PANE", "") if env.get("TMUX") else "",
            caller=self._known_caller(),
        ):
            self._output.note(warning)
        self._output.flush()

    def _around(self, command: str) -> Around | None:
        """What asks for hints around a command, where somebody has any."""
        source = self._server.hints
        if source is None or not source.concern(command):
            return None

        def ask(
            command: str,
            phase: Literal["before", "after"],
            *,
            params: Mapping[str, Any],
            result: Any,
            force: bool,
        ) -> Sequence[Hint]:
            moment = Moment(
                command=command,
                phase=phase,
                caller=self._known_caller(),
                params=params,
                result=result,
                force=force,
            )
            return answer(source.gather(moment), self._loop)

        return Around(command, ask, self._output)

    def _known_caller(self) -> Caller:
        try:
            return self._caller("")
        except ThrumError as error:  # the command's own calls will say so
            stranger = getattr(error, "caller", None)
            return stranger if isinstance(stranger, Caller) else Caller(kind="anonymous")

    def _read(self, path: str | None, max_bytes: int) -> bytes:
        if path not in self._inputs:
            raise InputNeeded(path, max_bytes)
        found = self._inputs[path]
        if isinstance(found, ThrumError):
            raise found
        return found

    def _invocation(self) -> Invocation:
        request = self._request
        return Invocation(
            argv=request.argv,
            cwd=folder_of(self._peer) or Path(request.cwd or "/"),
            env=request.env,
            request_id=request.request_id,
            in_daemon=True,
        )


class _InsideApi:
    """`Api` of a command's function."""

    def __init__(self, conduct: Conduct) -> None:
        self._conduct = conduct

    def call(self, method: str, /, **params: Any) -> Any:
        return self._conduct.call_and_wait(method, params)


def folder_of(peer: Peer) -> Path | None:
    """Where a peer stands, as the system tells; None when it does not."""
    if not peer.pid:
        return None
    try:
        return Path(os.readlink(f"/proc/{peer.pid}/cwd"))  # noqa: PTH115 - in half the time
    except FileNotFoundError:
        return _folder_by_psutil(peer.pid)
    except OSError:
        return None


def _folder_by_psutil(pid: int) -> Path | None:
    import psutil

    try:
        return Path(psutil.Process(pid).cwd())
    except (psutil.Error, OSError):
        return None


def _apply(effect: Callable[[], None]) -> None:
    try:
        effect()
    except Exception:  # noqa: BLE001 - the answer is out: there is nobody left to tell
        _log.exception("an effect of a shown answer failed")

"""One command inside the daemon, from its gate to its exit status: its function aside, what takes long on the loop.

Source: DESIGN.md D4, D5.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from thrum_kernel.api import Api, Caller, Hint, Invocation, Moment
from thrum_kernel.bus.peer import Peer
from thrum_kernel.cli.app import Found
from thrum_kernel.cli.aside import answer, run_brief, run_threaded
from thrum_kernel.cli.command import Outcome, Pending, Run
from thrum_kernel.cli.hinting import Around, tell_of_ignored_name
from thrum_kernel.cli.outgoing import ClientGone
from thrum_kernel.cli.output import Output
from thrum_kernel.cli.protocol import Request
from thrum_kernel.cli.running import InputNeeded, checked, fail, step
from thrum_kernel.errors import Projecting, ShuttingDown, ThrumError

if TYPE_CHECKING:
    from thrum_kernel.cli.server import CommandConnection, CommandServer

_LOOK_AGAIN_S: Final = 0.1
_START_PATIENCE_S: Final = 5.0
_SAY_PROGRESS_S: Final = 1.0


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

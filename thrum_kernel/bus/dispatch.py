"""Takes a request to its method and its outcome back.

The order is fixed: parse → method known → shape of parameters → caller → refusal → guards → handler → errors, so a
mistake in the parameters is told before any question about who is calling.

- A synchronous handler that nothing has to be awaited for is answered at once (`Dispatcher.answer_now`): no task. A
  change that begins at once is one task (`Dispatcher.begin`): a task costs a tenth of what a message costs in all.
- A change is never cancelled half way: neither by its time limit nor by its client going away. What only reads is.
- A change with a request id is carried out once for its caller, whatever is retried (`answers`).
- What a handler raises on purpose (`ThrumError`) is told; anything else is logged here, once, and told without
  internals.

Source: DESIGN.md D4, D5, D7; spec/kernel.md §4.1, §4.3.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from thrum_kernel.api import Caller, Method
from thrum_kernel.bus.answers import Answers, Recall, key_of
from thrum_kernel.bus.call import Call, Connection, Inside, Transport, under_way
from thrum_kernel.bus.describe import describe_method
from thrum_kernel.bus.params import ParamsReader
from thrum_kernel.bus.protocol import Request, encode_error, encode_internal_error, encode_result
from thrum_kernel.errors import (
    AnonymousCaller,
    DaemonError,
    GuardFired,
    IdentityAmbiguous,
    IdentityError,
    MethodNotFound,
    ShuttingDown,
    ThrumError,
    Timeout,
    refused_by_system,
)

REQUEST_LIMIT_S: Final = 10.0
LONG_POLL_LIMIT_S: Final = 360.0

Guard = Callable[[Call, Any], Awaitable[None]]
"""Judges a change before it runs: returns, or raises to refuse it. One that fails refuses, too."""
Identify = Callable[[Call, IdentityAmbiguous], Awaitable[Caller | None]]
"""Decides between the candidates that the kernel's order left, or gives None."""

_log = logging.getLogger(__name__)


class _Entry:
    """A method as the dispatcher runs it."""

    __slots__ = (
        "claims",
        "handler",
        "is_async",
        "is_free",
        "limit_s",
        "method",
        "mutates",
        "name",
        "reader",
        "transports",
    )

    def __init__(self, method: Method, *, limit_s: float) -> None:
        handler = method.handler
        self.method = method
        self.name = method.name
        self.handler = handler
        self.mutates = method.mutates
        self.transports = method.transports
        self.reader = ParamsReader(method.params)
        self.claims = "caller_agent_id" in method.params.__struct_fields__
        self.is_free = method.anonymous and method.while_projecting and not method.mutates
        """Whether nothing has to be asked before it runs, where anonymous methods are open."""
        self.is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004 - a callable object may have an async __call__
        )
        self.limit_s = limit_s


class Dispatcher:
    """The methods of one daemon and the way to them; belongs to the loop's thread.

    Args:
        guards: asked in order before every change.
        is_guarded: whether any of them may judge a method.
        recall: the events of a request id, oldest first (`Committer.events_of_request`).
        state: the error to answer while the cache cannot be asked (`Projecting`), or None.
        identify: asked when the kernel's order leaves several identities.
        provided_by: the distribution that would add an unknown method, or None.
        absent: why a plugin that is there does not give its method; empty when none is.
        limit_s, long_poll_limit_s: how long a request may take.
    """

    def __init__(
        self,
        *,
        guards: Sequence[Guard] = (),
        is_guarded: Callable[[str], bool] = lambda method: True,
        recall: Recall = lambda request_id: (),
        state: Callable[[], DaemonError | None] = lambda: None,
        identify: Identify | None = None,
        provided_by: Callable[[str], str | None] = lambda method: None,
        absent: Callable[[str], str] = lambda method: "",
        limit_s: float = REQUEST_LIMIT_S,
        long_poll_limit_s: float = LONG_POLL_LIMIT_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries: dict[str, _Entry] = {}
        self._guards = guards
        self._is_guarded = is_guarded
        self._answers = Answers(recall, now=now)
        self._state = state
        self._identify = identify
        self._provided_by = provided_by
        self._absent = absent
        self._limits_s = (limit_s, long_poll_limit_s)
        self._draining = False
        self._active = 0
        self._idle: asyncio.Event | None = None
        self._polls: set[asyncio.Timeout] = set()
        self._changes: set[asyncio.Task[Any]] = set()
        self._resumed: set[asyncio.Task[Any]] = set()
        """Of the changes those that the next daemon goes on with."""
        self.add(describe_method(self))

    # --- methods -----------------------------------------------------------------------------------------------------

    @property
    def methods(self) -> Mapping[str, Method]:
        """Every method by name, in the order added."""
        return {name: entry.method for name, entry in self._entries.items()}

    def method(self, name: str) -> Method | None:
        """The method of a name."""
        entry = self._entries.get(name)
        return None if entry is None else entry.method

    def add(self, method: Method) -> None:
        """Make a method callable.

        Raises:
            ValueError: its name is taken, or its parameters are no Struct.
        """
        if method.name in self._entries:
            raise ValueError(f"method {method.name} is already registered")
        if not (isinstance(method.params, type) and issubclass(method.params, msgspec.Struct)):
            raise ValueError(f"method {method.name}: params must be a msgspec.Struct, not {method.params!r}")
        self._entries[method.name] = _Entry(method, limit_s=self._limits_s[method.long_poll])

    def remove(self, name: str) -> None:
        """Forget a method; calls of it that are running end as they would have."""
        self._entries.pop(name, None)

    # --- requests from outside ---------------------------------------------------------------------------------------

    def answer_now(self, request: Request, connection: Connection) -> bytes | None:
        """The answer, when nothing has to be awaited for it; None when `answer` must be used."""
        entry = self._entries.get(request.method)
        if entry is None or entry.is_async or self._draining:
            return None
        if entry.mutates and (request.request_id or self._is_judged(entry)):
            return None
        try:
            call, params = self._open(entry, request, connection)
            if not entry.is_free or connection.open_methods is not None:
                try:
                    self._admit(entry, call)
                except IdentityAmbiguous:
                    if self._identify is None:
                        raise
                    return None
            return encode_result(entry.handler(call, params), request.id)
        except Exception as error:  # noqa: BLE001 - a handler's failure stops here
            return _failure(error, request)

    def begin(self, request: Request, connection: Connection) -> asyncio.Future[bytes] | None:
        """Begin a change that nothing has to be awaited for before; None when `answer` must be used.

        The answer comes in time and never fails. Cancelled or not, the change goes on.
        """
        entry = self._entries.get(request.method)
        if entry is None or not (entry.is_async and entry.mutates) or self._draining:
            return None
        if request.request_id or self._is_judged(entry):
            return None
        try:
            call, params = self._open(entry, request, connection)
            self._admit(entry, call)
        except Exception as error:  # noqa: BLE001 - as above
            if isinstance(error, IdentityAmbiguous) and self._identify is not None:
                return None
            answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            answer.set_result(_failure(error, request))
            return answer
        return self._undertake(entry, call, params, request)

    def _undertake(self, entry: _Entry, call: Call, params: Any, request: Request) -> asyncio.Future[bytes]:
        """Run a change as a task; the answer, or that its time is over."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()

        def over() -> None:
            if not answer.done():
                answer.set_result(_failure(_too_long(entry), request))

        def ended(task: asyncio.Task[Any]) -> None:
            timer.cancel()
            self._leave()
            if answer.done():
                _log_failure(task)
            else:
                answer.set_result(_outcome(task, call, request))

        timer = loop.call_later(entry.limit_s, over)
        self._active += 1
        before = under_way.set(call)  # the task takes it along
        task = self._start(entry, entry.handler(call, params))
        under_way.reset(before)
        task.add_done_callback(ended)
        return answer

    def _is_judged(self, entry: _Entry) -> bool:
        return bool(self._guards) and self._is_guarded(entry.name)

    async def answer(self, request: Request, connection: Connection) -> bytes:
        """The answer to a request. Cancel it when the client is gone: a change goes on to its end all the same."""
        self._active += 1
        try:
            if self._draining:
                raise ShuttingDown
            entry = self._find(request.method, connection.transport)
            call, params = self._open(entry, request, connection)
            return encode_result(await self._serve(entry, call, params), request.id, call.warnings)
        except Exception as error:  # noqa: BLE001 - as above
            return _failure(error, request)
        finally:
            self._leave()

    # --- calls from inside -------------------------------------------------------------------------------------------

    async def call(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        caller: Caller | Callable[[str], Caller],
        request_id: str = "",
        transport: Transport = "internal",
        shown: Callable[[Callable[[], None]], None] | None = None,
        subscribe: Callable[[str, str], None] | None = None,
        warned: Callable[[str], None] = lambda text: None,
    ) -> Any:
        """The result of a method as plain JSON values.

        Args:
            caller: who calls, or what tells it from the claim when the dispatcher comes to it.
            shown: takes the effects that mean *shown*; without it they run at once.
            subscribe: takes ``(topic, as_method)`` subscriptions of the call.
            warned: takes what guards said that let it pass.

        Raises:
            ThrumError: whatever the call was refused with. Draining does not refuse calls from inside: accepted
                work may need them to end.
        """
        self._active += 1
        try:
            connection = Inside(caller, transport=transport, shown=shown, subscribe=subscribe)
            entry = self._find(name, transport)
            values = entry.reader.from_mapping(params or {})
            call = Call(name, connection, _claim(entry, values), request_id)
            result = await self._serve(entry, call, values)
            for warning in call.warnings:
                warned(warning)
            return msgspec.json.decode(msgspec.json.encode(result))  # exactly what a client would get
        finally:
            self._leave()

    # --- ending ------------------------------------------------------------------------------------------------------

    @property
    def is_draining(self) -> bool:
        """Whether new requests from outside are refused."""
        return self._draining

    @property
    def active(self) -> int:
        """How many requests, and calls from inside, have no answer yet."""
        return self._active

    async def drain(self, *, limit_s: float = REQUEST_LIMIT_S + 2) -> bool:
        """Refuse new work, end long polls and wait for what was accepted; False when *limit_s* did not suffice.

        A change that the next daemon goes on with is not waited for.
        """
        self._draining = True
        self._idle = asyncio.Event()
        loop_time = asyncio.get_running_loop().time()
        for poll in tuple(self._polls):
            poll.reschedule(loop_time)
        for change in tuple(self._resumed):
            change.cancel()
        try:
            async with asyncio.timeout(limit_s):
                while self._active or self._changes:
                    if self._changes:
                        await asyncio.wait(tuple(self._changes))
                    if self._active:
                        self._idle.clear()
                        await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _leave(self) -> None:
        self._active -= 1
        if self._idle is not None and not self._active:
            self._idle.set()

    # --- the steps ---------------------------------------------------------------------------------------------------

    def _find(self, name: str, transport: Transport) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            refusal = self._state()  # plugins add their methods before the cache can be asked
            raise refusal or MethodNotFound(name, provided_by=self._provided_by(name), why=self._absent(name))
        if transport not in entry.transports:
            raise MethodNotFound(name)
        return entry

    def _open(self, entry: _Entry, request: Request, connection: Connection) -> tuple[Call, Any]:
        """The call and its parameters."""
        if connection.transport not in entry.transports:
            raise MethodNotFound(entry.name)
        params = entry.reader.from_json(request.params)
        claim = _claim(entry, params) if entry.claims else ""
        return Call(entry.name, connection, claim, request.request_id), params

    def _admit(self, entry: _Entry, call: Call) -> None:
        """Refuse what cannot be answered now, and callers that may not ask for it."""
        if not entry.method.while_projecting:
            refusal = self._state()
            if refusal is not None:
                raise refusal
        open_methods = call.connection.open_methods
        is_open = entry.method.anonymous and (open_methods is None or entry.name in open_methods)
        if not is_open:
            if not call.caller.is_known:
                raise AnonymousCaller(entry.name, damage=call.caller.damage)
        elif entry.mutates:  # a forged claim is refused here; that nobody can be told is its own affair
            with contextlib.suppress(IdentityError):
                _ = call.caller

    async def _serve(self, entry: _Entry, call: Call, params: Any) -> Any:
        before = under_way.set(call)
        try:
            return await self._serve_known(entry, call, params)
        finally:
            under_way.reset(before)

    async def _serve_known(self, entry: _Entry, call: Call, params: Any) -> Any:
        try:
            self._admit(entry, call)
        except IdentityAmbiguous as error:
            found = None if self._identify is None else await self._identify(call, error)
            if found is None:
                raise
            call.caller = found
            self._admit(entry, call)
        if not entry.mutates:
            return await self._look(entry, call, params)
        await self._judge(entry, call, params)
        return await self._change(entry, call, params)

    async def _judge(self, entry: _Entry, call: Call, params: Any) -> None:
        """Ask the guards; one that fails or hangs refuses."""
        if not self._is_judged(entry):
            return
        for guard in self._guards:
            name = getattr(guard, "__name__", type(guard).__name__)
            try:
                async with asyncio.timeout(entry.limit_s):
                    await guard(call, params)
            except ThrumError:
                raise
            except Exception as error:
                _log.exception("guard %s failed on %s", name, call.method)
                raise GuardFired(name, "guard_failed", facts={"method": call.method}) from error

    async def _look(self, entry: _Entry, call: Call, params: Any) -> Any:
        """Run what changes nothing; it is cancelled when its time is over or nobody waits for it."""
        if not entry.is_async:
            return entry.handler(call, params)
        limit = asyncio.timeout(entry.limit_s)
        if entry.method.long_poll:
            self._polls.add(limit)
        try:
            async with limit:
                return await entry.handler(call, params)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ShuttingDown if self._draining else _too_long(entry) from None
        finally:
            self._polls.discard(limit)

    async def _change(self, entry: _Entry, call: Call, params: Any) -> Any:
        """Run a change, once for its request id; it goes on when its time is over or its client gone."""
        if not call.request_id:
            if not entry.is_async:
                return entry.handler(call, params)
            return await self._wait_for(entry, self._start(entry, _run(entry, call, params)))
        key = key_of(call)
        known = self._answers.find(key)
        if known is None:
            told = self._answers.from_log(entry.method, call)
            if told is not None:
                return told[0]
            known = self._start(entry, self._answers.start(key, _run(entry, call, params)))
        return await self._wait_for(entry, known) if isinstance(known, asyncio.Task) else known.result

    def _start(self, entry: _Entry, change: asyncio.Task[Any] | Any) -> asyncio.Task[Any]:
        task = change if isinstance(change, asyncio.Task) else asyncio.get_running_loop().create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        if entry.method.resumes:
            self._resumed.add(task)
            task.add_done_callback(self._resumed.discard)
        return task

    async def _wait_for(self, entry: _Entry, task: asyncio.Task[Any]) -> Any:
        """The result of a change, unless its time is over first; it goes on when nobody waits any more."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[bool] = (
            loop.create_future()
        )  # `asyncio.wait` costs a task switch and five times this
        told = functools.partial(_settle, over, True)
        timer = loop.call_later(entry.limit_s, _settle, over, False)
        task.add_done_callback(told)
        try:
            is_done = await over
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise
        finally:
            timer.cancel()
            task.remove_done_callback(told)
        if not is_done:
            task.add_done_callback(_log_failure)
            raise _too_long(entry)
        if task.cancelled():
            raise ShuttingDown
        return task.result()


def _settle(over: asyncio.Future[bool], is_done: bool, *_: object) -> None:
    if not over.done():
        over.set_result(is_done)


async def _run(entry: _Entry, call: Call, params: Any) -> Any:
    result = entry.handler(call, params)
    return await result if entry.is_async else result


def _outcome(task: asyncio.Task[Any], call: Call, request: Request) -> bytes:
    """What is answered to a request whose change has ended."""
    if task.cancelled():
        return _failure(ShuttingDown(), request)
    error = task.exception()
    if isinstance(error, Exception):
        return _failure(error, request)
    try:
        return encode_result(task.result(), request.id, call.warnings)
    except Exception as error:  # noqa: BLE001 - a result that is no JSON is the handler's failure, too
        return _failure(error, request)


def _failure(error: Exception, request: Request) -> bytes:
    """What is told of *error*: what was raised on purpose as it is, anything else without internals, and logged."""
    if isinstance(error, ThrumError):
        return encode_error(error, request.id)
    _log.error("%s failed", request.method, exc_info=error)
    told = refused_by_system(error)
    return encode_internal_error(request.id) if told is None else encode_error(told, request.id)


def _claim(entry: _Entry, params: Any) -> str:
    return str(params.caller_agent_id or "").removeprefix("@") if entry.claims else ""


def _too_long(entry: _Entry) -> Timeout:
    goes_on = "; it goes on, and the same request id asks for its outcome" if entry.mutates else ""
    return Timeout(f"{entry.name} took longer than {entry.limit_s:g} s{goes_on}")


def _log_failure(task: asyncio.Task[Any]) -> None:
    """A change whose client is gone ended: its failure would be told to nobody."""
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ThrumError):
        _log.error("a change failed after its client had gone", exc_info=error)

"""JSON-RPC methods, calls of them, and work in the background."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from thrum_kernel.api.callers import Caller


class Call(Protocol):
    """One request on its way through the dispatcher.

    ``caller`` is resolved before a method that is not anonymous runs. ``request_id`` names the n-th change of a
    command (``<id>.<n>``); empty when the client gave none.
    """

    @property
    def method(self) -> str: ...
    @property
    def caller(self) -> Caller: ...
    @property
    def request_id(self) -> str: ...
    @property
    def transport(self) -> Literal["unix", "websocket", "internal"]: ...

    def subscribe(self, topic: str, *, as_method: str) -> None:
        """Push every later frame of *topic* to this connection as notification *as_method*."""
        ...

    def when_shown(self, effect: Callable[[], None]) -> None:
        """Run *effect* once the client has taken the last byte of the answer; never when it went away before."""
        ...


@dataclass(frozen=True, slots=True)
class Method:
    """A JSON-RPC method.

    Attributes:
        name: e.g. ``message.send``.
        params: a ``msgspec.Struct`` (kw_only; ``forbid_unknown_fields`` unless *open_params*); its docstring
            documents the parameters.
        result: a Struct, or any type msgspec can encode; documents the result.
        handler: ``(call, params) -> result``, sync or async. A sync handler runs at once on the loop and must not
            block; async ones are tasks.
        mutates: changes state: refused to anonymous callers unless *anonymous*, judged by guards.
        anonymous: may be called by an anonymous caller, for its own worktree only when it mutates.
        long_poll: may take minutes.
        transports: where it can be called.
        summary: one line for the reference.
        while_projecting: answers also while the cache is being rebuilt.
        recall: for a mutating method: ``(call, events) -> result``, the answer that was given when a request with
            these events (oldest first, found by their ``request_id``) was carried out before a restart.
        resumes: for a mutating method that may take minutes: it keeps how far it came, so when the daemon stops it is
            cancelled and not waited for, and the next daemon goes on; a client asks again under the same request id.
    """

    name: str
    params: type[Any]
    result: Any
    handler: Callable[[Any, Any], Any]
    summary: str
    mutates: bool = False
    anonymous: bool = False
    long_poll: bool = False
    transports: frozenset[str] = frozenset({"unix", "websocket", "internal"})
    while_projecting: bool = False
    mcp: bool = False
    recall: Callable[[Any, Any], Any] | None = None
    resumes: bool = False


class Api(Protocol):
    """How a command asks the daemon: the dispatcher itself inside it, a socket client elsewhere."""

    def call(self, method: str, /, **params: Any) -> Any:
        """The result of a method as plain JSON values.

        Raises:
            ThrumError: whatever the method refused with.
        """
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """Background work of the daemon, restarted with back-off when it fails.

    Attributes:
        name: unique, dotted, e.g. ``kernel.publish``.
        run: ``async (started) -> None``; calls ``started()`` when it is up and returns when it is cancelled.
        stop_time_s: how long it may take to end after cancellation.
    """

    name: str
    run: Callable[[Callable[[], None]], Awaitable[None]]
    stop_time_s: float = 1.0

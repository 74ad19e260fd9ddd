"""One request on its way to its handler, and what its connection can do for it."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Literal, Protocol

from thrum_kernel.api import Caller

Transport = Literal["unix", "websocket", "internal"]


class Grant(Protocol):
    """What a token gives to the connection that presented it."""

    @property
    def principal(self) -> str:
        """The agent's name, or ``user:<name>``."""
        ...

    @property
    def token_id(self) -> str: ...

    @property
    def expires_us(self) -> int: ...

    @property
    def is_valid(self) -> bool:
        """Whether it is neither revoked nor over, nor its agent gone."""
        ...


class Connection(Protocol):
    """What the dispatcher asks of the connection that a request came by.

    Attributes:
        transport: how it came.
        open_methods: the only methods that an anonymous caller may use here; None: every one marked anonymous.
        grant: of the token it presented last; None when it presented none.
    """

    @property
    def transport(self) -> Transport: ...
    @property
    def open_methods(self) -> frozenset[str] | None: ...
    @property
    def grant(self) -> Grant | None: ...

    def caller(self, claim: str) -> Caller:
        """Who calls; *claim* is the name the request gives itself, without ``@``, or empty.

        Raises:
            GuardFired: the claim is another than what the system or the token says.
            IdentityError: who calls cannot be told.
        """
        ...

    def subscribe(self, topic: str, *, as_method: str) -> None:
        """Push every later frame of *topic* as notification *as_method*."""
        ...

    def when_shown(self, effect: Callable[[], None]) -> None:
        """Run *effect* once the client has taken the answer to the request being served."""
        ...

    def present(self, grant: Grant) -> None:
        """From now on requests of this connection come from the grant's principal."""
        ...


class Inside:
    """The connection of calls made inside the daemon.

    *shown* is given the effects that mean *shown*; without one they run at once, for callers that show nothing.
    *subscribe* takes the subscriptions of a command that streams; without one there is nothing to push to.
    """

    open_methods: frozenset[str] | None = None

    def __init__(
        self,
        caller: Caller | Callable[[str], Caller],
        *,
        transport: Transport = "internal",
        shown: Callable[[Callable[[], None]], None] | None = None,
        subscribe: Callable[[str, str], None] | None = None,
    ) -> None:
        self.transport: Transport = transport
        self._caller = caller
        self._shown = shown
        self._subscribe = subscribe
        self.grant: Grant | None = None

    def caller(self, claim: str) -> Caller:
        return self._caller if isinstance(self._caller, Caller) else self._caller(claim)

    def subscribe(self, topic: str, *, as_method: str) -> None:
        if self._subscribe is not None:
            self._subscribe(topic, as_method)

    def when_shown(self, effect: Callable[[], None]) -> None:
        if self._shown is None:
            effect()
        else:
            self._shown(effect)

    def present(self, grant: Grant) -> None:
        self.grant = grant
        kind: Literal["user", "agent"] = "user" if grant.principal.startswith("user:") else "agent"
        self._caller = Caller(kind=kind, agent_id=grant.principal, source="token")


class Call:
    """A request as handlers and guards see it; implements `thrum_kernel.api.Call`.

    Attributes:
        warnings: what guards said that let it pass; told beside its answer.
    """

    __slots__ = ("_caller", "_claim", "_connection", "method", "request_id", "warnings")

    def __init__(self, method: str, connection: Connection, claim: str, request_id: str) -> None:
        self.method = method
        self.request_id = request_id
        self.warnings: list[str] = []
        self._connection = connection
        self._claim = claim
        self._caller: Caller | None = None

    @property
    def caller(self) -> Caller:
        """Who calls, found out when first asked for.

        Raises:
            GuardFired, IdentityError: see `Connection.caller`.
        """
        if self._caller is None:
            self._caller = self._connection.caller(self._claim)
        return self._caller

    @caller.setter
    def caller(self, found: Caller) -> None:
        self._caller = found

    @property
    def transport(self) -> Transport:
        return self._connection.transport

    @property
    def connection(self) -> Connection:
        """The connection it came by, for the rooms of the bus."""
        return self._connection

    def subscribe(self, topic: str, *, as_method: str) -> None:
        self._connection.subscribe(topic, as_method=as_method)

    def when_shown(self, effect: Callable[[], None]) -> None:
        self._connection.when_shown(effect)


under_way: contextvars.ContextVar[Call | None] = contextvars.ContextVar("call_under_way", default=None)
"""The call that a handler is working on, for what is judged on its way."""

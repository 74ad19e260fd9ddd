"""The WebSocket: the same methods and topics for browsers and bridges, on loopback, by token.

The system cannot tell who connects here, so a connection speaks for the principal of the token it presents: in the
``Authorization: Bearer`` header, as subprotocol ``bearer.<token>``, as the ticket of a one-time link (``?ticket=``),
or with its first call (``token.present``, ``token.redeem``). Without one it may only ask for ``health``.

A page of another site cannot connect: ``Origin`` must be ours or absent, and ``Host`` must be a name of this machine,
which a rebound DNS name is not.

Source: DESIGN.md D5, D7; spec/kernel.md §4.2; spec/decisions.md "WebSocket, MCP, Telegram, peers".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol

from thrum_kernel.api import Caller
from thrum_kernel.bus.call import Grant, Transport
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.limits import Limits
from thrum_kernel.bus.ports import LOOPBACK, Wish, bind
from thrum_kernel.bus.protocol import Item, Malformed, encode_batch, encode_malformed, parse_frame
from thrum_kernel.bus.topics import Subscriptions, Topics
from thrum_kernel.errors import GuardFired, Refused, TokenMissing

PATHS: Final = ("/", "/ws")
SUBPROTOCOL: Final = Subprotocol("thrum")
TOKEN_SUBPROTOCOL: Final = "bearer."
OPEN_METHODS: Final = frozenset({"health", "token.present", "token.redeem"})
PING_INTERVAL_S: Final = 54.0
PING_TIMEOUT_S: Final = 20.0
RECHECK_S: Final = 30.0

_log = logging.getLogger(__name__)


class TokenCheck(Protocol):
    """What the server asks of `tokens.Tokens`."""

    revoked: list[Callable[[str], None]]

    def verify(self, text: str) -> Grant: ...
    async def redeem(self, ticket: str) -> tuple[object, Grant]: ...


class _Wire(ServerConnection):
    """A connection of the library that remembers what its handshake presented."""

    grant: Grant | None = None


class WebSocketServer:
    """Listens on the first of *ports* that is free.

    Args:
        on_grant: what a connection listens on from the moment it has shown a token: ``(topic, as_method)`` pairs.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        topics: Topics,
        tokens: TokenCheck,
        *,
        ports: Sequence[Wish],
        on_grant: Callable[[Caller], Sequence[tuple[str, str]]] = lambda caller: (),
        limits: Limits = Limits(),
        ping_interval_s: float = PING_INTERVAL_S,
        recheck_s: float = RECHECK_S,
    ) -> None:
        self.dispatcher = dispatcher
        self.topics = topics
        self.tokens = tokens
        self.on_grant = on_grant
        self.limits = limits
        self.port = 0
        self._ports = ports
        self._ping_interval_s = ping_interval_s
        self._recheck_s = recheck_s
        self._links: set[WebSocketLink] = set()
        self._server: Server | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._framed: tuple[bytes, bytes] = (b"", b"")

    async def start(self) -> int:
        """Take connections from now on; the port.

        Raises:
            DaemonError: the port asked for is taken.
        """
        listener = bind(self._ports)
        self.port = listener.getsockname()[1]
        self._server = await serve(
            self._handle,
            sock=listener,
            process_request=self._welcome,
            select_subprotocol=_select_subprotocol,
            create_connection=_Wire,
            compression=None,
            max_size=self.limits.max_line,
            max_queue=4,
            ping_interval=self._ping_interval_s,
            ping_timeout=PING_TIMEOUT_S,
            close_timeout=5,
            server_header=None,
            logger=_log.getChild("wire"),
        )
        _log.getChild("wire").setLevel(logging.WARNING)
        self.tokens.revoked.append(self._end_token)
        return self.port

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._links)

    async def stop(self, *, limit_s: float = 5.0) -> None:
        """Close every connection once what it asked is answered; those left after *limit_s* are cut."""
        if self._server is None:
            return
        self.tokens.revoked.remove(self._end_token)
        server, self._server = self._server, None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await asyncio.gather(*(link.idle.wait() for link in self._links))
                server.close()
                await server.wait_closed()
        for link in tuple(self._links):
            link.cut("the daemon stops")
        server.close()
        await server.wait_closed()
        if self._timer is not None:
            self._timer.cancel()

    def framed(self, line: bytes) -> bytes:
        """*line* as a WebSocket frame; all subscribers of a topic get the same one, so it is made once."""
        if self._framed[0] is not line:
            frame = Frame(Opcode.TEXT, line.rstrip(b"\n")).serialize(mask=False)
            self._framed = (line, frame)
        return self._framed[1]

    # --- handshake ---------------------------------------------------------------------------------------------------

    async def _welcome(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        """None to go on with the handshake, or what to refuse it with."""
        assert isinstance(connection, _Wire)
        target = urlsplit(request.path)
        if target.path not in PATHS:
            return connection.respond(HTTPStatus.NOT_FOUND, f"the WebSocket is at {PATHS[1]}\n")
        if not self._is_from_here(request.headers):
            return connection.respond(HTTPStatus.FORBIDDEN, "pages of other sites are refused\n")
        try:
            connection.grant = await self._presented(request.headers, target.query)
        except Refused as error:
            return connection.respond(HTTPStatus.UNAUTHORIZED, f"{error}\n{error.hint}\n")
        return None

    def _is_from_here(self, headers: Headers) -> bool:
        names = ("localhost", LOOPBACK)
        origins = {f"{scheme}://{name}:{self.port}" for scheme in ("http", "ws") for name in names}
        hosts = {form for name in names for form in (name, f"{name}:{self.port}")}
        return all(origin in origins for origin in headers.get_all("Origin")) and all(
            host.lower() in hosts for host in headers.get_all("Host")
        )

    async def _presented(self, headers: Headers, query: str) -> Grant | None:
        """The grant of what the handshake presented; None when it presented nothing."""
        tickets = parse_qs(query).get("ticket", [])
        if tickets:
            return (await self.tokens.redeem(tickets[0]))[1]
        for value in headers.get_all("Authorization"):
            scheme, _, text = value.partition(" ")
            if scheme.lower() == "bearer":
                return self.tokens.verify(text.strip())
        for value in headers.get_all("Sec-WebSocket-Protocol"):
            for name in value.split(","):
                if name.strip().startswith(TOKEN_SUBPROTOCOL):
                    return self.tokens.verify(name.strip().removeprefix(TOKEN_SUBPROTOCOL))
        return None

    # --- connections -------------------------------------------------------------------------------------------------

    async def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, _Wire)
        link = WebSocketLink(self, connection, connection.grant)
        self._links.add(link)
        if self._timer is None:
            self._arm()
        try:
            await link.run()
        finally:
            self._links.discard(link)

    def _end_token(self, token_id: str) -> None:
        for link in self._links:
            if link.grant is not None and link.grant.token_id == token_id:
                self._close(link)

    def _close(self, link: WebSocketLink) -> None:
        task = asyncio.get_running_loop().create_task(link.close("the token is good no more"))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._recheck_s, self._recheck)

    def _recheck(self) -> None:
        """Close connections whose token ran out or whose agent is gone: what is pushed to them is not theirs."""
        self._timer = None
        for link in self._links:
            if link.grant is not None and not link.grant.is_valid:
                self._close(link)
        if self._links:
            self._arm()


class _Gone(Exception):
    """The client went away while it was being answered."""


class WebSocketLink:
    """One connection; implements `call.Connection` and `topics.Sink`."""

    transport: Transport = "websocket"
    open_methods: frozenset[str] | None = OPEN_METHODS

    def __init__(self, server: WebSocketServer, wire: ServerConnection, grant: Grant | None) -> None:
        self.grant = grant
        self.idle = asyncio.Event()
        self.idle.set()
        self._server = server
        self._wire = wire
        self._subscriptions = Subscriptions(server.topics, self)
        self._effects: list[Callable[[], None]] = []
        self._showing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer what comes, in order, until the connection ends."""
        self._listen()
        closed = asyncio.ensure_future(self._wire.wait_closed())
        try:
            while True:
                frame = await self._wire.recv(decode=False)
                self.idle.clear()
                await self._send(await self._answer(bytes(frame), closed))
                self.idle.set()
        except (ConnectionClosed, _Gone):
            pass
        finally:
            self.idle.set()
            self._subscriptions.end()
            closed.cancel()
            for task in tuple(self._showing):
                task.cancel()

    async def _answer(self, frame: bytes, closed: asyncio.Future[None]) -> bytes:
        parsed = parse_frame(frame)
        if not isinstance(parsed, list):
            return await self._answer_one(parsed, closed)
        return encode_batch([await self._answer_one(item, closed) for item in parsed])

    async def _answer_one(self, item: Item, closed: asyncio.Future[None]) -> bytes:
        if isinstance(item, Malformed):
            return encode_malformed(item)
        dispatcher = self._server.dispatcher
        answer = dispatcher.answer_now(item, self)
        if answer is not None:
            return answer
        task = asyncio.get_running_loop().create_task(dispatcher.answer(item, self))
        await asyncio.wait((task, closed), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()  # nobody waits for it; what it changes goes on
            await asyncio.wait((task,))
            raise _Gone
        return task.result()

    async def _send(self, answer: bytes) -> None:
        try:
            async with asyncio.timeout(self._server.limits.stall_s):
                await self._wire.send(answer.rstrip(b"\n").decode())
        except TimeoutError:
            self.cut("it reads nothing")
            raise _Gone from None
        if self._effects:
            effects, self._effects = self._effects, []
            task = asyncio.get_running_loop().create_task(self._show(effects))
            self._showing.add(task)
            task.add_done_callback(self._showing.discard)

    async def _show(self, effects: Sequence[Callable[[], None]]) -> None:
        """Frames are taken in order: who answers a ping has taken what was sent before it."""
        try:
            await (await self._wire.ping())
        except ConnectionClosed:
            return
        for effect in effects:
            try:
                effect()
            except Exception:  # noqa: BLE001 - the answer is out: there is nobody left to tell
                _log.exception("an effect of a shown answer failed")

    # --- call.Connection ---------------------------------------------------------------------------------------------

    def caller(self, claim: str) -> Caller:
        grant = self.grant
        if grant is None or not grant.is_valid:
            raise TokenMissing
        if claim and claim != grant.principal:
            facts = {
                "expected agent": claim,
                "detected agent": grant.principal,
                "remediation": "use a token of that agent",
            }
            raise GuardFired("unauthenticated_rpc", "identity_mismatch", facts=facts)
        kind = "user" if grant.principal.startswith("user:") else "agent"
        return Caller(kind=kind, agent_id=grant.principal, source="token")  # type: ignore[arg-type]

    def subscribe(self, topic: str, *, as_method: str) -> None:
        if self._wire.state is State.OPEN:
            self._subscriptions.add(topic, as_method=as_method)

    def when_shown(self, effect: Callable[[], None]) -> None:
        self._effects.append(effect)

    def present(self, grant: Grant) -> None:
        if self.grant is not None and self.grant.principal != grant.principal:
            self._subscriptions.end()  # they were the other principal's
        self.grant = grant
        self._listen()

    def _listen(self) -> None:
        """Hear what is addressed to the principal."""
        if self.grant is not None and self.grant.is_valid:
            for topic, as_method in self._server.on_grant(self.caller("")):
                self.subscribe(topic, as_method=as_method)

    # --- topics.Sink -------------------------------------------------------------------------------------------------

    def push(self, frame: bytes) -> None:
        """Send a notification past the library's queue, whole; cuts the connection when too many wait."""
        if self._wire.state is not State.OPEN:
            return
        transport = self._wire.transport
        transport.write(self._server.framed(frame))
        if transport.get_write_buffer_size() > self._server.limits.max_outgoing:
            self.cut("it does not read its notifications")

    # --- ending ------------------------------------------------------------------------------------------------------

    async def close(self, reason: str) -> None:
        """Close in order, saying why."""
        self._subscriptions.end()
        await self._wire.close(1008, reason)

    def cut(self, reason: str) -> None:
        """Close at once; what waits is lost."""
        _log.info("connection of %s cut: %s", self.grant.principal if self.grant else "nobody known", reason)
        self._subscriptions.end()
        if self._wire.state is not State.CLOSED:
            self._wire.transport.abort()


def _select_subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Ours, else the one that carries the token: a browser that offers some wants one of them back."""
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    return next((name for name in offered if name.startswith(TOKEN_SUBPROTOCOL)), None)

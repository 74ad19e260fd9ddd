"""Clients of the daemon for other programs, plugins and commands that run in process.

`ThrumClient` is asynchronous, speaks over the Unix socket or the WebSocket, reconnects and carries every change out
once: each call has a request id of its own, so one that was in flight when the connection broke is asked again.
`SocketApi` is the blocking one over the Unix socket, an `Api` for commands. Errors come as `RemoteError` and also as
the class whose code they carry.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, Self

import msgspec

from thrum_kernel.bus.address import short
from thrum_kernel.bus.blocking import TIMEOUT_S, SocketApi
from thrum_kernel.bus.remote import decode_answer, remote_error, unreachable
from thrum_kernel.errors import DaemonUnreachable, Refused, ThrumError, Timeout

__all__ = ["Notification", "SocketApi", "ThrumClient"]

RECONNECT_S: Final = 30.0
MAX_UNREAD: Final = 10_000
_CHUNK: Final = 256 * 1024
_PAUSES_S: Final = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)

_encode: Final = msgspec.json.Encoder().encode


class Notification(msgspec.Struct, frozen=True):
    """Something the daemon pushed."""

    method: str
    params: Any = None


class _Wire(Protocol):
    async def send(self, message: bytes) -> None: ...
    def messages(self) -> AsyncIterator[bytes]: ...
    async def close(self) -> None: ...


class _UnixWire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, path: Path) -> Self:
        with short(path) as name:
            reader, writer = await asyncio.open_unix_connection(name)
        return cls(reader, writer)

    async def send(self, message: bytes) -> None:
        self._writer.write(message + b"\n")
        await self._writer.drain()

    async def messages(self) -> AsyncIterator[bytes]:
        rest = bytearray()
        while chunk := await self._reader.read(_CHUNK):
            rest += chunk
            if b"\n" not in chunk:
                continue
            *lines, tail = bytes(rest).split(b"\n")
            rest = bytearray(tail)
            for line in lines:
                yield line

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class _WebSocketWire:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, url: str, token: str) -> Self:
        from websockets.asyncio.client import connect as open_websocket  # as long to import as all the rest
        from websockets.exceptions import InvalidStatus, WebSocketException

        headers = {"Authorization": f"Bearer {token}"} if token else None
        try:
            connection = await open_websocket(
                url, additional_headers=headers, max_size=None, compression=None, proxy=None
            )
        except InvalidStatus as error:
            raise Refused(f"{url}: {error.response.body.decode(errors='replace').strip()}") from error
        except WebSocketException as error:
            raise ConnectionError(str(error)) from error
        return cls(connection)

    async def send(self, message: bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._connection.send(message.decode())
        except ConnectionClosed as error:
            raise ConnectionResetError(str(error)) from error

    async def messages(self) -> AsyncIterator[bytes]:
        from websockets.exceptions import ConnectionClosed

        with contextlib.suppress(ConnectionClosed):
            while True:
                yield bytes(await self._connection.recv(decode=False))

    async def close(self) -> None:
        await self._connection.close()


class _Pending:
    """A call that has no answer yet, and the bytes to ask it again with."""

    __slots__ = ("future", "message")

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class ThrumClient:
    """One connection to the daemon, opened by ``async with`` or `open`.

    Args:
        address: path of the Unix socket, or a URL ``ws://…``.
        token: presented on every connection; the WebSocket needs one.
        timeout_s: how long a call may take, reconnecting included.
        reconnect_s: how long to try again when the connection breaks; 0 = not at all.

    Attributes:
        missed: notifications thrown away because nobody read them, oldest first.
    """

    def __init__(
        self,
        address: Path | str,
        *,
        token: str = "",
        timeout_s: float = TIMEOUT_S,
        reconnect_s: float = RECONNECT_S,
    ) -> None:
        self._address = address
        self._token = token
        self._timeout_s = timeout_s
        self._reconnect_s = reconnect_s
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._subscriptions: list[tuple[str, dict[str, Any]]] = []
        self._unread: deque[Notification] = deque()
        self._news = asyncio.Event()
        self._wire: _Wire | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: ThrumError | None = None
        self.missed = 0

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect.

        Raises:
            DaemonNotRunning, DaemonUnreachable: nobody answers.
            RemoteError, Refused: the token was not taken.
        """
        try:
            wire = await self._open_wire()
        except OSError as error:
            raise unreachable(self._address, error) from error
        self._wire = wire
        self._task = asyncio.create_task(self._run(wire))
        if self._token and isinstance(wire, _UnixWire):
            try:
                await self.call("token.present", token=self._token)
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Disconnect; calls without an answer fail."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        if self._wire is not None:
            await self._wire.close()
            self._wire = None
        self._fail(DaemonUnreachable("the client was closed"))

    async def call(self, method: str, /, **params: Any) -> Any:
        """The result of a method as plain JSON values.

        Raises:
            RemoteError: what the daemon refused with.
            DaemonUnreachable: the connection broke and could not be made again.
            Timeout: no answer in time.
        """
        return await self.call_within(self._timeout_s, method, params)

    async def call_within(
        self, timeout_s: float | None, method: str, params: Mapping[str, Any], *, request_id: str = ""
    ) -> Any:
        """`call` with a time limit of its own (None: none), and with the request id of an earlier try."""
        if self._failure is not None:
            raise self._failure
        number = next(self._numbers)
        request = {
            "jsonrpc": "2.0",
            "id": number,
            "method": method,
            "params": params,
            "request_id": request_id or f"{self._prefix}.{number}",
        }
        pending = self._pending[number] = _Pending(_encode(request))
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(pending.message)
                return await pending.future
        except TimeoutError:
            raise Timeout(f"{method}: no answer from the daemon in {timeout_s:g} s") from None
        finally:
            self._pending.pop(number, None)

    async def subscribe(self, method: str, /, **params: Any) -> Any:
        """`call` a method that subscribes this connection; it is called again after every reconnect."""
        result = await self.call(method, **params)
        self._subscriptions.append((method, params))
        return result

    async def notifications(self) -> AsyncIterator[Notification]:
        """What the daemon pushes, in order; at most `MAX_UNREAD` are kept for whoever reads slowly.

        Raises:
            DaemonUnreachable: the connection broke for good.
        """
        while True:
            while self._unread:
                yield self._unread.popleft()
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            await self._news.wait()

    # --- the connection ----------------------------------------------------------------------------------------------

    async def _open_wire(self) -> _Wire:
        address = str(self._address)
        if address.startswith(("ws://", "wss://")):
            return await _WebSocketWire.open(address, self._token)
        return await _UnixWire.open(Path(address))

    async def _send(self, message: bytes) -> None:
        if self._wire is not None:
            with contextlib.suppress(OSError):  # the reader notices, reconnects and sends it again
                await self._wire.send(message)

    async def _run(self, wire: _Wire) -> None:
        while True:
            with contextlib.suppress(OSError):
                async for message in wire.messages():
                    self._take(message)
            self._wire = None
            await wire.close()
            found = await self._again()
            if found is None:
                self._fail(
                    DaemonUnreachable(f"{self._address}: the connection broke", hint="thrum daemon status")
                )
                return
            wire = self._wire = found
            await self._resume()

    async def _again(self) -> _Wire | None:
        """A new connection, tried for with growing pauses; None when the time is over."""
        until = time.monotonic() + self._reconnect_s
        for pause_s in itertools.chain(_PAUSES_S, itertools.repeat(_PAUSES_S[-1])):
            if time.monotonic() + pause_s > until:
                return None
            await asyncio.sleep(pause_s)
            try:
                return await self._open_wire()
            except OSError:
                continue
            except ThrumError as error:
                self._fail(error)
                return None
        return None

    async def _resume(self) -> None:
        """Say who we are, subscribe as before and ask again what has no answer."""
        if self._token and isinstance(self._wire, _UnixWire):
            await self._send(self._request("token.present", {"token": self._token}))
        for method, params in self._subscriptions:
            await self._send(self._request(method, params))
        for pending in tuple(self._pending.values()):
            await self._send(pending.message)

    def _request(self, method: str, params: Mapping[str, Any]) -> bytes:
        """A request whose answer nobody waits for."""
        number = next(self._numbers)
        return _encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

    def _take(self, message: bytes) -> None:
        try:
            answer = decode_answer(message)
        except msgspec.MsgspecError as error:
            raise ConnectionError(f"the daemon sent what is no JSON-RPC: {error}") from error
        if answer.method:
            if len(self._unread) >= MAX_UNREAD:
                self._unread.popleft()
                self.missed += 1
            self._unread.append(Notification(answer.method, answer.params))
            self._news.set()
            return
        pending = self._pending.get(answer.id) if answer.id is not None else None
        if pending is None or pending.future.done():
            return
        if answer.error is not None:
            pending.future.set_exception(remote_error(answer.error))
        else:
            pending.future.set_result(answer.result)

    def _fail(self, error: ThrumError) -> None:
        if self._failure is None:
            self._failure = error
        for pending in self._pending.values():
            if not pending.future.done():
                pending.future.set_exception(self._failure)
        self._news.set()

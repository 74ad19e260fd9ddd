"""The blocking client of the Unix socket, for commands that run in process."""

from __future__ import annotations

import itertools
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from thrum_kernel.bus.address import connect
from thrum_kernel.bus.remote import decode_answer, remote_error, silent, unreachable

TIMEOUT_S: Final = 15.0
_CHUNK: Final = 256 * 1024

_encode: Final = msgspec.json.Encoder().encode


class SocketApi:
    """An `Api` over the Unix socket for one command, blocking; connects with its first call.

    Args:
        path: of the socket, however long.
        request_id: of the command: its n-th call carries ``<request_id>.<n>``, so a command that is tried again
            changes nothing twice.
        token: presented first when given (``THRUM_TOKEN``).
        timeout_s: how long one call may take.

    Attributes:
        on_warning: called with what guards said that let a call pass.
    """

    def __init__(
        self, path: Path, *, request_id: str = "", token: str = "", timeout_s: float = TIMEOUT_S
    ) -> None:
        self.on_warning: Callable[[str], object] = lambda text: None
        self._path = path
        self._request_id = request_id or secrets.token_hex(8)
        self._token = token
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._socket: socket.socket | None = None
        self._lines: Iterator[bytes] = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def call(self, method: str, /, **params: Any) -> Any:
        """The result of a method as plain JSON values.

        Raises:
            RemoteError: what the daemon refused with.
            DaemonNotRunning, DaemonUnreachable: nobody answers.
            Timeout: no answer in time.
        """
        return self.call_within(self._timeout_s, method, params)

    def call_within(self, timeout_s: float | None, method: str, params: Mapping[str, Any]) -> Any:
        """`call` with a time limit of its own; None: none. A broken connection is made again once."""
        number = next(self._numbers)
        request = {
            "jsonrpc": "2.0",
            "id": number,
            "method": method,
            "params": params,
            "request_id": f"{self._request_id}.{number}",
        }
        message = _encode(request) + b"\n"
        try:
            return self._ask(message, number, timeout_s)
        except (ConnectionError, EOFError):
            self.close()
        try:
            return self._ask(message, number, timeout_s)
        except (ConnectionError, EOFError) as error:
            raise unreachable(self._path, error) from error

    def close(self) -> None:
        """Disconnect; a later call connects again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, message: bytes, number: int, timeout_s: float | None) -> Any:
        connection = self._connected()
        connection.settimeout(timeout_s)
        try:
            connection.sendall(message)
            for line in self._lines:
                answer = decode_answer(line)
                if answer.method or answer.id != number:
                    continue
                if answer.error is not None:
                    raise remote_error(answer.error)
                for warning in answer.warnings:
                    self.on_warning(warning)
                return answer.result
        except TimeoutError:
            self.close()
            raise silent(self._path, timeout_s) from None
        raise EOFError("the daemon closed the connection")

    def _connected(self) -> socket.socket:
        if self._socket is None:
            try:
                self._socket = connect(self._path, timeout_s=self._timeout_s)
            except OSError as error:
                raise unreachable(self._path, error) from error
            self._lines = _lines_of(self._socket)
            if self._token:
                present = {
                    "jsonrpc": "2.0",
                    "id": 0,
                    "method": "token.present",
                    "params": {"token": self._token},
                }
                self._ask(_encode(present) + b"\n", 0, self._timeout_s)
        return self._socket


def _lines_of(connection: socket.socket) -> Iterator[bytes]:
    rest = bytearray()
    while chunk := connection.recv(_CHUNK):
        rest += chunk
        if b"\n" in chunk:
            *lines, tail = bytes(rest).split(b"\n")
            rest = bytearray(tail)
            yield from lines

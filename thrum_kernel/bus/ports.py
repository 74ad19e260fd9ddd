"""The WebSocket's port: bound at once, never probed and bound again later.

Order: ``THRUM_WS_PORT``, the configuration, the port of the last run, 9999, any. What was asked for by name must be
free; the rest are wishes.

Source: spec/decisions.md "WebSocket, MCP, Telegram, peers".
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from thrum_kernel.errors import DaemonError, UsageError
from thrum_kernel.jsonio import write_atomic

LOOPBACK: Final = "127.0.0.1"
USUAL_PORT: Final = 9999


@dataclass(frozen=True, slots=True)
class Wish:
    """A port to try; *asked_by* names who insists on it, empty for one that may be passed over."""

    port: int
    asked_by: str = ""


def wishes(*, environment: str, configured: object, last_run: Path) -> Sequence[Wish]:
    """The ports to try, in order; the last is any.

    Args:
        environment: value of ``THRUM_WS_PORT``; empty when unset.
        configured: ``daemon.ws_port``: a number, its text, ``auto`` or None.
        last_run: the file ``var/ws.port``.

    Raises:
        UsageError: a value that is no port.
    """
    for value, asked_by in ((environment, "THRUM_WS_PORT"), (configured, "daemon.ws_port")):
        if value not in ("", "auto", None):
            return (Wish(_port(value, asked_by), asked_by),)
    return (*(Wish(port) for port in _last(last_run)), Wish(USUAL_PORT), Wish(0))


def bind(ports: Sequence[Wish]) -> socket.socket:
    """A listening socket on the first port that is free, on loopback only.

    Raises:
        DaemonError: the port asked for is taken, or none could be bound.
    """
    for wish in ports:
        server = socket.socket(
            socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
        )  # asyncio asks the protocol
        try:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart keeps its port
            server.bind((LOOPBACK, wish.port))
            server.listen(128)
        except OSError as error:
            server.close()
            if wish.asked_by:
                raise _taken(wish, error) from error
            continue
        server.setblocking(False)
        return server
    raise DaemonError("no port could be bound for the WebSocket")


def remember(path: Path, port: int) -> None:
    """Write the port down, for clients and for the next run."""
    write_atomic(path, b"%d\n" % port)


def _port(value: object, asked_by: str) -> int:
    with contextlib.suppress(ValueError):
        port = int(str(value))
        if 0 < port < 65536:
            return port
    raise UsageError(f"{asked_by}: {value!r} is not a port", hint="a number from 1 to 65535, or auto")


def _last(path: Path) -> Sequence[int]:
    with contextlib.suppress(OSError, ValueError):
        port = int(path.read_text())
        if 0 < port < 65536:
            return (port,)
    return ()


def _taken(wish: Wish, error: OSError) -> DaemonError:
    reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be bound: {error.strerror}"
    return DaemonError(f"port {wish.port} of {wish.asked_by} {reason}", hint="choose another, or auto")

"""Answers as a client reads them, and errors that came over the wire as the classes they were.

An error is a `RemoteError` and also of the class whose code it carries, so ``except NotFound`` works in a client as
it does inside the daemon.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from thrum_kernel import errors
from thrum_kernel.errors import DaemonNotRunning, DaemonUnreachable, RemoteError, ThrumError, Timeout


class Answer(msgspec.Struct):
    """One line from the daemon: an answer, or with a *method* a notification.

    ``warnings`` are what guards said that let the call pass.
    """

    id: int | None = None
    result: Any = None
    error: Any = None
    method: str = ""
    params: Any = None
    warnings: list[str] = []


decode_answer: Final = msgspec.json.Decoder(Answer).decode


def remote_error(value: Any) -> RemoteError:
    """The error of a JSON-RPC error object; an instance also of the class whose code it carries."""
    if not isinstance(value, Mapping):
        return RemoteError(-32603, str(value))
    code, message, data = value.get("code"), str(value.get("message", "")), value.get("data")
    if code == -32601 and isinstance(data, Mapping) and data.get("detail"):
        message = str(data["detail"])
    return _class_of(code)(code if isinstance(code, int) else -32603, message, data)


@functools.cache
def _class_of(code: int) -> type[RemoteError]:
    known = _classes().get(code)
    return RemoteError if known is None else type(f"Remote{known.__name__}", (RemoteError, known), {})


@functools.cache
def _classes() -> dict[int, type[ThrumError]]:
    """The class nearest the root for each code."""
    found: dict[int, type[ThrumError]] = {}
    waiting = deque(ThrumError.__subclasses__())
    while waiting:
        cls = waiting.popleft()
        waiting.extend(cls.__subclasses__())
        if cls.__module__ == errors.__name__ and cls is not RemoteError and "rpc_code" in vars(cls):
            found.setdefault(cls.rpc_code, cls)
    return found


def silent(socket: Path, timeout_s: float | None) -> Timeout:
    """The error for a daemon that accepts and does not answer; names the plugin that keeps it, where one is known."""
    text = f"no answer from the daemon in {timeout_s:g} s"
    return Timeout(f"{text}: {note}" if (note := blocker(socket)) else text)


def blocker(socket: Path) -> str:
    """What a daemon's watchdog noted beside its socket about who blocks it; empty when there is nothing."""
    try:
        return socket.with_name("blocked").read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def unreachable(address: object, error: BaseException) -> ThrumError:
    """What to say when *address* could not be connected to."""
    if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
        return DaemonNotRunning()
    if isinstance(error, PermissionError):
        return DaemonUnreachable(
            f"{address}: {error.strerror}", hint="this place does not allow to connect to it"
        )
    return DaemonUnreachable(f"{address}: {error or type(error).__name__}", hint="thrum daemon status")

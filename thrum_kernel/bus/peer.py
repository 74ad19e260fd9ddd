"""The process at the other end of a Unix socket, as the kernel tells it at accept.

Linux: ``SO_PEERCRED`` and ``SO_PEERPIDFD``; macOS: ``LOCAL_PEERPID`` and ``LOCAL_PEERCRED``. They name the process
that connected, also when it passed the socket on.

Source: DESIGN.md D5.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final

_CREDENTIALS: Final = struct.Struct("3i")
_PID: Final = struct.Struct("i")
_XUCRED: Final = struct.Struct("II")
_SO_PEERPIDFD: Final = 77
_SOL_LOCAL: Final = 0
_LOCAL_PEERCRED: Final = 1
_LOCAL_PEERPID: Final = 2


class ProcessHandle:
    """A pidfd, closed when nobody holds it any more: it names one process for ever, unlike its id."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._poller = select.poll()
        self._poller.register(descriptor, select.POLLIN)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone, its id perhaps another's."""
        return bool(self._poller.poll(0))

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who connected.

    Attributes:
        pid: process id; 0 when it lives in a process namespace that ours cannot see, None when unknown.
        uid: user id; -1 when unknown.
        handle: the process itself where the system gives it.
        principal: whom the token names that it presented; None when it presented none.
    """

    pid: int | None
    uid: int
    handle: ProcessHandle | None = None
    principal: str | None = None

    @property
    def pidfd(self) -> int | None:
        """Descriptor of the process, valid while this Peer is; proves that the pid was not used again."""
        return None if self.handle is None else self.handle.descriptor


def peer_of(connection: Any) -> Peer:
    """The peer of a connected Unix socket; *connection* has ``getsockopt`` like `socket.socket`."""
    try:
        return _darwin(connection) if sys.platform == "darwin" else _linux(connection)
    except OSError:
        return Peer(None, -1)


def standing(peer: Peer) -> Hashable | None:
    """What changes when a peer moves to another folder, or another process has its pid; None when that is unknown.

    A few microseconds: with it a server need not look at the caller in full for each request of a connection. A handle
    on the process tells by itself that it is still the same one.
    """
    if not peer.pid or sys.platform == "darwin" or (peer.handle is not None and peer.handle.has_ended):
        return None
    try:
        folder = os.stat(f"/proc/{peer.pid}/cwd")  # noqa: PTH116 - Path costs as much as the call
        if peer.handle is not None:
            return folder.st_dev, folder.st_ino
        stat = _start_of(f"/proc/{peer.pid}/stat")
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split(b" ", 20)
    return folder.st_dev, folder.st_ino, fields[1], fields[19]  # parent and start time


def _start_of(path: str) -> bytes:
    """As much of a file as a line of ``/proc`` may be; raises OSError. A file object costs three times as much."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1024)
    finally:
        os.close(descriptor)


def _linux(connection: Any) -> Peer:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _gid = _CREDENTIALS.unpack(raw)
    return Peer(pid, uid, _handle(connection, pid))


def _handle(connection: Any, pid: int) -> ProcessHandle | None:
    with contextlib.suppress(OSError):
        return ProcessHandle(connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD))
    if pid > 0 and hasattr(os, "pidfd_open"):  # kernels before 6.5
        with contextlib.suppress(OSError):
            return ProcessHandle(os.pidfd_open(pid))
    return None


def _darwin(connection: Any) -> Peer:
    (pid,) = _PID.unpack(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID, _PID.size))
    _version, uid = _XUCRED.unpack_from(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 128))
    return Peer(pid, uid)

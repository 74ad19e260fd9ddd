"""Unix sockets at paths longer than a socket address holds (108 bytes on Linux, 104 on macOS).

The folder is reached by a short name: ``/proc/self/fd/<n>`` where there is one, else a symbolic link in a private
temporary folder, gone again at once. Neither changes the working folder, which all threads share.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from thrum_kernel.errors import DaemonError

MAX_ADDRESS: Final = 103
PROBE_S: Final = 0.5

_NO_SOCKETS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EIO})
"""What file systems of other machines say that have none (sshfs: EPERM; tried)."""


@contextlib.contextmanager
def short(path: Path, *, through: str = "/proc/self/fd") -> Iterator[str]:
    """A name of *path* that fits a socket address, valid inside the block; its folder must exist.

    *through* is the folder that names our descriptors, used where it exists.
    """
    if len(os.fsencode(path)) <= MAX_ADDRESS:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        folder = Path(through, str(descriptor))
        if folder.is_dir():
            yield str(folder / path.name)
            return
    finally:
        os.close(descriptor)
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as private:
        link = Path(private, "d")
        link.symlink_to(path.parent.absolute(), target_is_directory=True)
        yield str(link / path.name)


def connect(path: Path, *, timeout_s: float | None = None) -> socket.socket:
    """A blocking socket connected to *path*, with *timeout_s* for this and every later operation.

    Raises:
        OSError: nobody answers there.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        with short(path) as name:
            connection.connect(name)
    except BaseException:
        connection.close()
        raise
    return connection


def listen(path: Path, *, backlog: int = 512) -> socket.socket:
    """A listening socket at *path*, for its owner only; what a dead daemon left there is removed.

    Raises:
        DaemonError: another daemon answers there, something that is no socket is in the way, or the file system holds
            no sockets.
    """
    _clear(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(OSError):  # where it works nobody else can connect from the first moment on
            os.fchmod(server.fileno(), 0o600)
        _bind(server, path)
        path.chmod(0o600)
        server.listen(backlog)
        server.setblocking(False)
    except BaseException:
        server.close()
        raise
    return server


def _bind(server: socket.socket, path: Path) -> None:
    try:
        with short(path) as name:
            server.bind(name)
    except OSError as error:
        if error.errno not in _NO_SOCKETS:
            raise
        raise DaemonError(
            f"no socket can be made at {path}: {error.strerror}",
            hint="the file system holds none: move the repository to a local disk",
        ) from error


def remove(path: Path, inode: tuple[int, int]) -> None:
    """Remove the socket at *path* if it is still the one with this ``(st_dev, st_ino)``."""
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat()
        if (found.st_dev, found.st_ino) == inode:
            path.unlink()


def inode_of(path: Path) -> tuple[int, int]:
    """What `remove` compares."""
    found = path.lstat()
    return found.st_dev, found.st_ino


def _clear(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise DaemonError(
            f"{path} is in the way and is no socket", hint="remove it, then start the daemon again"
        )
    try:
        connect(path, timeout_s=PROBE_S).close()
    except OSError as error:
        if error.errno not in (errno.ECONNREFUSED, errno.ENOENT):
            raise DaemonError(f"socket {path} cannot be probed: {error.strerror or error}") from error
    else:
        raise DaemonError(f"socket {path} is in use by another daemon", hint="thrum daemon status")
    path.unlink(missing_ok=True)

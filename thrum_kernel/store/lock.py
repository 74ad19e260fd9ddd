"""The lock that keeps two daemons off one log: first taken, last released, never unlinked.

An unlinked lock file would let a second daemon lock a new file of the same name while the first still holds the old
one. Somebody else may unlink it (`git clean -fdx`, `rm -rf`), so the holder asks `still_ours` before each batch.

Source: DESIGN.md D3; issue "Kernel", "Daemon".
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Self

from thrum_kernel.errors import StoreError, StoreLocked


class Lock:
    """An exclusive lock on a file, held until `release` or the end of the process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        held = os.fstat(descriptor)
        self._held = (held.st_dev, held.st_ino)

    @classmethod
    def take(cls, path: Path) -> Self:
        """Take the lock at *path*; the file is made when missing, its folder must exist.

        Raises:
            StoreLocked: another process holds it; names its pid.
            StoreError: the file cannot be opened.
        """
        while True:
            descriptor = _open(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = _recorded_pid(descriptor)
                os.close(descriptor)
                raise StoreLocked(path, pid) from None
            lock = cls(path, descriptor)
            if lock.still_ours():
                lock._record_pid()
                return lock
            lock.release()  # replaced between open and lock: what we hold protects nothing

    def still_ours(self) -> bool:
        """Whether the file at the path is still the one that is held: one `stat`, microseconds."""
        try:
            found = self._path.lstat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._held

    def release(self) -> None:
        """Let go; the file stays. Fine when done twice."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _record_pid(self) -> None:
        # For the error text only; a full disk must not keep a daemon from starting to serve reads.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StoreError(f"cannot open the lock {path}: {error.strerror}") from error


def _recorded_pid(descriptor: int) -> int | None:
    try:
        return int(os.pread(descriptor, 32, 0))
    except (OSError, ValueError):
        return None

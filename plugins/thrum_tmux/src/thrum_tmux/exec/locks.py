"""Locks of files, held by a process and let go when it ends, however it ends; the same on Linux and macOS.

Nobody deletes these files: whoever waits for a lock waits for the file it opened, and would hold one that has no name
any more while the next one locks a new file of that name. They are empty, two for each name of a session.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold *path*, made when missing; waits for whoever holds it."""
    handle = _taken(path)
    try:
        yield
    finally:
        os.close(handle)


def wait_for(path: Path) -> None:
    """Wait until nobody holds *path*."""
    with locked(path):
        return


def _taken(path: Path) -> int:
    """The locked file that has the name *path*, also where something else cleaned up behind us."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _has_name(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _has_name(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False

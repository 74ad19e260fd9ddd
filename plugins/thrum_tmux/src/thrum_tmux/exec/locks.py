"""Locks of files, held by a process and let go when it ends, however it ends; the same on Linux and macOS."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold *path*, made when missing; waits for whoever holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def wait_for(path: Path) -> None:
    """Wait until nobody holds *path*."""
    with locked(path):
        return

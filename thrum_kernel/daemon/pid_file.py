"""The pid file of a daemon."""

from __future__ import annotations

import contextlib
import os

import psutil

from thrum_kernel.clock import Clock, format_us
from thrum_kernel.errors import FileDamaged
from thrum_kernel.jsonio import read_object, write_object
from thrum_kernel.paths import Paths


def write(where: Paths, clock: Clock) -> None:
    """Say who runs here, since when, and where it listens."""
    write_object(
        where.pid_file,
        {
            "pid": os.getpid(),
            "repo_path": str(where.repo),
            "started_at": format_us(clock.now_us()),
            "socket_path": str(where.socket),
            "start_time": psutil.Process().create_time(),
        },
    )


def remove(where: Paths) -> None:
    """Remove it, unless another daemon took the place and wrote its own."""
    pid_file = where.pid_file
    with contextlib.suppress(OSError, FileDamaged):
        if read_object(pid_file).get("pid") == os.getpid():
            pid_file.unlink()

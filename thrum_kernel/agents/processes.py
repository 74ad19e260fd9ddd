"""Told when processes end, without looking again and again.

Where the kernel gives descriptors for processes (Linux) the loop itself wakes when one ends; elsewhere the watched
ones are looked at every half minute, and nothing at all runs while none is watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Final

from thrum_kernel.agents.homes import ProcessKey

LOOK_EVERY_S: Final = 30.0


class ProcessWatch:
    """Watches processes until they end.

    Args:
        on_end: called on the loop, once a process.
        start_of: when the process with an id started; None when there is none.
        by_descriptor: False to look instead of being told, also where descriptors are to be had.
    """

    def __init__(
        self,
        *,
        on_end: Callable[[ProcessKey], None],
        start_of: Callable[[int], int | None],
        by_descriptor: bool = hasattr(os, "pidfd_open"),
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._on_end = on_end
        self._start_of = start_of
        self._by_descriptor = by_descriptor
        self._look_every_s = look_every_s
        self._descriptors: dict[ProcessKey, int] = {}
        self._looked_at: set[ProcessKey] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, process: ProcessKey) -> bool:
        """Be told when *process* ends; False when it already has."""
        if process in self._descriptors or process in self._looked_at:
            return True
        descriptor = self._open(process.pid)
        if (
            self._start_of(process.pid) != process.start_time
        ):  # asked after opening: the descriptor is that process
            if descriptor is not None:
                os.close(descriptor)
            return False
        if descriptor is None:
            self._look_at(process)
        else:
            self._descriptors[process] = descriptor
            asyncio.get_running_loop().add_reader(descriptor, self._ended, process)
        return True

    def unwatch(self, process: ProcessKey) -> None:
        """Be told no more; nothing happens when it is not watched."""
        self._looked_at.discard(process)
        descriptor = self._descriptors.pop(process, None)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Stop watching."""
        for process in list(self._descriptors):
            self.unwatch(process)
        self._looked_at.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _open(self, pid: int) -> int | None:
        if not self._by_descriptor:
            return None
        with contextlib.suppress(OSError):  # gone, or too many open files: looking settles which
            return os.pidfd_open(pid)
        return None

    def _ended(self, process: ProcessKey) -> None:
        self.unwatch(process)
        self._on_end(process)

    def _look_at(self, process: ProcessKey) -> None:
        self._looked_at.add(process)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._look_every_s, self._look)

    def _look(self) -> None:
        self._timer = None
        for process in list(self._looked_at):
            if self._start_of(process.pid) != process.start_time:
                self._ended(process)
        if self._looked_at and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._look_every_s, self._look)

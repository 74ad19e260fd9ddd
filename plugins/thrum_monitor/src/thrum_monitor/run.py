"""One launch of a monitor's command, as the daemon knows it: moments that are waited for."""

from __future__ import annotations

import asyncio
from typing import Final

from thrum_monitor.frames import Ended, Running, Waiting, Word
from thrum_monitor.link import RunnerLost


class Run:
    """What the runner told of one launch.

    Attributes:
        id: of this launch.
        pid: of its child, once there is one.
        ended: how it ended, once it has.
    """

    def __init__(self, run_id: str) -> None:
        self.id: Final = run_id
        self.pid: int | None = None
        self.ended: Ended | None = None
        self._is_running = False
        self._error: RunnerLost | None = None
        self._news = asyncio.Event()

    @property
    def is_alive(self) -> bool:
        """Whether there may be a process of it."""
        return self.ended is None and self._error is None

    def hear(self, word: Word) -> None:
        """The runner told something about it."""
        match word:
            case Waiting(pid=pid):
                self.pid = pid
            case Running():
                self._is_running = True
            case Ended():
                self.ended = word
        self._news.set()

    def lost(self, error: RunnerLost) -> None:
        """There is nobody to tell more."""
        self._error = error
        self._news.set()

    async def until_waiting(self) -> bool:
        """Whether there is a child that waits; otherwise it has ended."""
        while self.pid is None and self.ended is None:
            await self._more()
        return self.ended is None

    async def until_running(self) -> bool:
        """Whether it became the command; otherwise it has ended."""
        while not self._is_running and self.ended is None:
            await self._more()
        return self._is_running

    async def until_ended(self) -> Ended:
        """How it ended.

        Raises:
            RunnerLost: nobody knows.
        """
        while self.ended is None:
            await self._more()
        return self.ended

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._news.clear()
        await self._news.wait()

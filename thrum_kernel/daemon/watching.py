"""A daemon that looks around: whether its place is still its own, and whether events that were ahead count by now."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thrum_kernel.daemon.main import Daemon

_log = logging.getLogger(__name__)

WATCH_EVERY_S = 2.0
RELEASE_EVERY = 30
"""Of so many looks one also asks whether events that were ahead of the clock count by now."""


class Watch:
    """Of one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._is_taken_away = False

    async def run(self, started: Any) -> None:
        """Look around every moment, and end when there is reason to."""
        started()
        looks = 0
        while not self.notice():
            await asyncio.sleep(WATCH_EVERY_S)
            looks += 1
            if looks % RELEASE_EVERY == 0 and self._daemon.keeper.refusal() is None:
                self._daemon.committer.tell(self._daemon.projector.release().events)

    def notice(self) -> bool:
        """Whether the socket or the lock was taken away; this daemon ends then: another is to have the place."""
        if self._is_taken_away or self._daemon.ended.is_set():
            return self._is_taken_away
        if self._daemon.opened.paths.socket.exists() and self._daemon.opened.lock.still_ours():
            return False
        _log.error("the socket or the lock was taken away (git clean?): this daemon ends")
        self._is_taken_away = True
        self._daemon.ended.set()
        return True

"""Retention: what is older than `daemon.retention_days` is purged, by the ordinary purge, at most once a day.

The log itself tells when that was done last: the latest cutoff of all purges. So clones that share a log and a setting
issue one purge a day between them, a restart does not begin a day anew, and where nothing is old enough nothing is
written. Each daemon looks after a pause of its own length, so that they do not all find the same day due at once.

Source: DESIGN.md D1, "retention is a purge issued by policy".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from thrum_kernel.api import Service
from thrum_kernel.clock import Clock, parse_us
from thrum_kernel.errors import ThrumError

_log = logging.getLogger(__name__)

DAY_US: Final = 86_400 * 1_000_000
LOOK_EVERY_S: Final = 3600.0


class Retention:
    """Purges by policy.

    Args:
        days: how many days messages are kept, asked anew at each look; 0 for ever.
        last_cutoff: the latest cutoff of all purges that are known, a timestamp or empty.
        is_ready: whether the projection can be asked.
        purge: purges what is before a cutoff in microseconds, and does nothing where that is nothing.
        pause_s: until the next look.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        days: Callable[[], int],
        last_cutoff: Callable[[], Awaitable[str]],
        is_ready: Callable[[], bool],
        purge: Callable[[int], Awaitable[bool]],
        pause_s: Callable[[], float] = lambda: random.uniform(0.5, 1.5) * LOOK_EVERY_S,
    ) -> None:
        self._clock = clock
        self._days = days
        self._last_cutoff = last_cutoff
        self._is_ready = is_ready
        self._purge = purge
        self._pause_s = pause_s
        self._changed = asyncio.Event()

    def services(self) -> Sequence[Service]:
        """The loop, as the supervisor runs it."""
        return (Service(name="kernel.retention", run=self.run, stop_time_s=10.0),)

    def reconsider(self) -> None:
        """The configuration changed."""
        self._changed.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Purge what is due until cancelled; without the setting there is no timer."""
        started()
        while True:
            self._changed.clear()
            try:
                is_on = bool(self._days())
                if is_on:
                    await self.look()
            except ThrumError as error:
                _log.warning("retention: %s", error)
                is_on = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s() if is_on else None):
                    await self._changed.wait()

    async def look(self) -> bool:
        """Purge if a day or more has become too old since the last purge; whether anything was.

        Raises:
            ThrumError: the purge could not be stored, or the setting cannot be read.
        """
        days = self._days()
        if days <= 0 or not self._is_ready():
            return False
        cutoff_us = self._clock.now_us() - days * DAY_US
        last = await self._last_cutoff()
        if last and cutoff_us - parse_us(last) < DAY_US:
            return False
        return await self._purge(cutoff_us)

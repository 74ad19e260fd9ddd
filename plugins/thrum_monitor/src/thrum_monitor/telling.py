"""What of a monitor's matches is told when: its window, kept in the table so that it outlives the daemon."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import ThrumError
from thrum_monitor import debounce, notices
from thrum_monitor.debounce import Telling
from thrum_monitor.store import Monitor, Store

SAVE_S: Final = 1.0
"""How old counts in the table may be: what a crash costs."""
SKIPS_TOLD_S: Final = 3600.0
_TROUBLE_S: Final = 5.0


class Teller:
    """The matches of one monitor, from when it is made until `close` or `save`.

    Args:
        kick: there are alarms to be sent.
        look_s: as of `Means`.
    """

    def __init__(
        self, monitor: Monitor, ctx: PluginContext, store: Store, kick: Callable[[], None], *, look_s: float
    ) -> None:
        self._monitor = monitor
        self._ctx = ctx
        self._store = store
        self._kick = kick
        self._look_s = look_s
        self._window = monitor.window
        self._due: tuple[Telling, ...] = ()
        self._skipped = monitor.skipped_bytes
        self._skips_told_at: float | None = None
        self._is_dirty = False
        self._saved_at = 0.0
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()
        self._task = asyncio.create_task(self._run(), name=f"matches of monitor {monitor.name}")

    def matched(self, count: int, lines: Sequence[str]) -> None:
        """*count* lines matched, of which *lines* are the first."""
        self._window, due = debounce.heard(
            self._window, count, lines, now_us=self._now_us, debounce_s=self._monitor.debounce_seconds
        )
        self._take(due)

    def skipped(self, count: int) -> None:
        """*count* bytes of output were thrown away. Told at once, then at most once an hour."""
        self._skipped += count
        now = self._ctx.clock.monotonic()
        due: tuple[Telling, ...] = ()
        if self._skips_told_at is None or now - self._skips_told_at >= SKIPS_TOLD_S:
            self._skips_told_at = now
            text = notices.skipped(self._monitor, count, self._ctx.settings.bytes_per_second)
            due = (Telling(f"skipped.{self._now_us}", text),)
        self._take(due)

    async def close(self) -> None:
        """The monitor ends: what was suppressed is told now."""
        self._window, due = debounce.closed(self._window, debounce_s=self._monitor.debounce_seconds)
        self._take(due)
        await self.save()

    async def save(self) -> None:
        """Write down what is not yet, and look after it no more."""
        self._task.cancel()
        await asyncio.wait((self._task,))
        await self._save()

    def _take(self, due: tuple[Telling, ...]) -> None:
        self._due += due
        self._is_dirty = True
        self._news.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._wait()
                self._window, due = debounce.passed(
                    self._window, now_us=self._now_us, debounce_s=self._monitor.debounce_seconds
                )
                if due:
                    self._take(due)
                await self._save()
            except (ThrumError, sqlite3.Error) as error:
                self._ctx.log.error("monitor %s: %s", self._monitor.name, error)
                await asyncio.sleep(_TROUBLE_S)

    async def _wait(self) -> None:
        """Until something is due, or what is known is worth writing down, or the window ends."""
        while not self._due:
            left_s = self._left_s()
            if left_s is not None and left_s <= 0:
                return
            self._news.clear()
            try:
                async with asyncio.timeout(left_s):
                    await self._news.wait()
            except TimeoutError:
                return

    def _left_s(self) -> float | None:
        """Seconds until there is something to do; None when nothing is in sight."""
        moments = []
        if self._window.ends_us:
            moments.append(min(self._look_s, (self._window.ends_us - self._now_us) / 1e6))
        if self._is_dirty:
            moments.append(self._saved_at + SAVE_S - self._ctx.clock.monotonic())
        return min(moments, default=None)

    async def _save(self) -> None:
        async with self._writing:
            if not self._is_dirty:
                return
            due, self._due = self._due, ()
            self._is_dirty = False
            self._saved_at = self._ctx.clock.monotonic()
            at = self._store.now()
            alarms = [notices.alarm(self._monitor, each.key, each.content, at) for each in due]
            try:
                await self._store.change(
                    self._monitor.id, alarms=alarms, window=self._window, skipped_bytes=self._skipped
                )
            except BaseException:
                # Not known to be written: once more, the keys keep it from being told twice.
                self._due = due + self._due
                self._is_dirty = True
                raise
        if due:
            self._kick()

    @property
    def _now_us(self) -> int:
        return self._ctx.clock.now_us()

"""Keeps the cache in step with the log: caught up at a start, rebuilt and swapped when it is in doubt.

While that goes on every method that needs the cache answers ``projecting N %``, and where it failed why, until it is
tried again; nothing else stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from typing import Final

from thrum_kernel.clock import Clock
from thrum_kernel.errors import CacheUnavailable, DaemonError, Projecting, ThrumError, disk_full
from thrum_kernel.events import EventTypes
from thrum_kernel.projection import queries, replay
from thrum_kernel.projection.apply import Projector
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.tables import LogLine
from thrum_kernel.store import ranges
from thrum_kernel.store.scan import Problem
from thrum_kernel.store.tree import Tree

_log = logging.getLogger(__name__)

_REFUSED: Final = (OSError, sqlite3.Error, ThrumError)
"""What making the cache anew fails with where the disk refuses: it is done again when that has passed."""

_FIRST_PAUSE_S: Final = 1.0
_LAST_PAUSE_S: Final = 60.0


class ProjectionKeeper:
    """The cache of one daemon.

    Attributes:
        rebuilt: called on the loop after the cache was made anew or caught up.
        rebuilds: how often it was made anew since the start.
        problems: what was wrong with files of the log when it was read last, by path.
    """

    def __init__(
        self,
        *,
        cache: Cache,
        projector: Projector,
        tree: Tree,
        types: EventTypes,
        message_types: Container[str],
        clock: Clock,
        durable: Callable[[], tuple[str, int]],
    ) -> None:
        self.rebuilt: list[Callable[[], None]] = []
        self.rebuilds = 0
        self.problems: dict[str, str] = {}
        self._cache = cache
        self._projector = projector
        self._tree = tree
        self._types = types
        self._message_types = message_types
        self._clock = clock
        self._durable = durable
        self._percent: int | None = 0
        self._trouble: CacheUnavailable | None = None
        self._lock = asyncio.Lock()
        self._wanted: asyncio.Task[None] | None = None
        self._is_wanted_again = False
        self._closing = asyncio.Event()

    def refusal(self) -> DaemonError | None:
        """What to answer while the cache cannot be asked; None when it can."""
        return None if self._percent is None else self._trouble or Projecting(self._percent)

    @property
    def percent(self) -> int | None:
        """How much is projected; None when all is."""
        return self._percent

    async def start(self) -> None:
        """Bring the cache up to date with the log; from nothing when there is none."""
        async with self._lock:
            if self._cache.is_empty:
                await self._rebuild()
            else:
                await self._catch_up()
            self.take_up_types()
            self._done()

    async def catch_up(self) -> None:
        """Project what the log has and the cache has not, once nothing else makes it anew."""
        async with self._lock:
            await self._catch_up()
            self._done()

    async def rebuild(self) -> None:
        """Make the cache anew and serve it; where that fails it is tried again in the background."""
        try:
            await self._make_anew()
        except _REFUSED as error:
            self.want_rebuild(f"it could not be made: {error}")
            raise

    def take_up_types(self) -> None:
        """Project what was kept for want of its type, where that is known now."""
        if queries.unprojected_types(self._cache):
            self._projector.take_up_types()

    def want_rebuild(self, why: str) -> None:
        """Make the cache anew soon, in the background."""
        self._is_wanted_again = True  # a doubt about what one that is under way may have read before
        if self._wanted is None or self._wanted.done():
            _log.warning("the cache is rebuilt: %s", why)
            self._wanted = asyncio.get_running_loop().create_task(self._rebuild_at_last(), name="rebuild")

    async def close(self) -> None:
        """Wait for a rebuild that is under way, and try none again."""
        self._closing.set()
        await self.settled()

    async def settled(self) -> None:
        """Wait for a rebuild that is under way."""
        if self._wanted is not None:
            await asyncio.gather(self._wanted, return_exceptions=True)

    async def _rebuild_at_last(self) -> None:
        """Make the cache anew, again and again until it is done: nothing that needs it is answered before."""
        pause_s = _FIRST_PAUSE_S
        while not self._closing.is_set():
            self._is_wanted_again = False
            self._trouble = None
            try:
                await self._make_anew()
                if not self._is_wanted_again:
                    return
                continue
            except _REFUSED as error:
                self._trouble = _trouble(error)
                _log.error("%s", self._trouble)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._closing.wait()
            pause_s = min(pause_s * 2, _LAST_PAUSE_S)

    async def _make_anew(self) -> None:
        async with self._lock:
            await self._rebuild()
            self._done()

    def _done(self) -> None:
        self._percent = None
        for callback in self.rebuilt:
            callback()

    async def _rebuild(self) -> None:
        self._percent = 0
        self._cache.projecting(0)
        loop = asyncio.get_running_loop()
        target = self._cache.path.with_name("messages.rebuild.db")

        def progress(percent: int) -> None:
            loop.call_soon_threadsafe(self._tell, percent)

        try:
            done = await asyncio.to_thread(self._build, target, progress)
            self._cache.swap(target)
        except BaseException:
            self._cache.resume()
            raise
        self.rebuilds += 1
        _log.info("projected %d lines, %d messages", done.lines, done.messages)
        await self._catch_up()

    def _build(self, target: Path, progress: Callable[[int], None]) -> replay.Rebuilt:
        return replay.rebuild(
            lambda: self._read(None),
            target,
            self._types,
            projectors=self._projector.projectors,
            extra_tables=self._cache.extra_tables,
            clock=self._clock,
            progress=progress,
            size=_log_size(self._tree),
        )

    def _tell(self, percent: int) -> None:
        if self._percent is not None:
            self._percent = percent
            self._cache.projecting(percent)

    async def _catch_up(self) -> None:
        """Project what came after the last place taken; a batch at a time, so that the loop goes on between them."""
        self.problems = {}
        batches = self._read(queries.projected(self._cache))
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            applied = replay.catch_up(self._projector, [batch])
            if applied.in_doubt:
                self.want_rebuild("two lines with one event id")

    def _read(self, after: ranges.Ranges | None) -> Iterator[Sequence[LogLine]]:
        writer, last = self._durable()
        until = {writer: last} if writer else {}
        return ranges.read_log(
            self._tree, after, message_types=self._message_types, until=until, report=self._report
        )

    def _report(self, problem: Problem) -> None:
        self.problems[str(problem.path)] = problem.text
        _log.error("log: %s: %s", problem.path, problem.text)


def _trouble(error: Exception) -> CacheUnavailable:
    told = disk_full(error) or error
    return CacheUnavailable(str(told), hint=told.hint if isinstance(told, ThrumError) else "")


def _log_size(tree: Tree) -> int:
    """Bytes of everything published and journalled, for telling progress."""
    total = 0
    for folder in (tree.published, tree.journal):
        if folder.is_dir():
            total += sum(path.stat().st_size for path in folder.rglob("*.jsonl"))
    return total

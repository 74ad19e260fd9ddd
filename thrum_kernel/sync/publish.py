"""The publish loop: when events leave the journal for files that never change.

Two seconds after the first event when it was quiet, backing off to `daemon.sync_interval` under traffic. With nothing
to publish there is no timer and no write.

Source: DESIGN.md D1, "Git" and "What travels".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from thrum_kernel.api import Service
from thrum_kernel.clock import Clock
from thrum_kernel.errors import StoreError, ThrumError
from thrum_kernel.sync.cutter import Cutter, PurgeDone
from thrum_kernel.sync.journals import Place
from thrum_kernel.sync.pace import Pace

_log = logging.getLogger(__name__)

T = TypeVar("T")

PAIRS: Final = 2
"""How many neighbours of one size are worth rolling up when somebody asks for the smallest log."""


class Journalling(Protocol):
    """What publishing needs of the committer.

    Attributes:
        durable: writer and sequence of the last durable event, replaced in one step.
    """

    @property
    def durable(self) -> tuple[str, int]: ...
    async def rotate(self) -> None: ...


class Publisher:
    """Publishes the journal in the background.

    Attributes:
        before_cut: awaited before every cut, for rooms that journal something only when it is about to travel.
        on_purged: awaited after messages or sessions were purged from the files (not for single deletions), while
            nothing is published: they must not publish.
        on_changed: called on the loop after a publish that changed the published files.
        last_cut_us: when the last publish ended well, microseconds since 1970; None before the first.
        last_error: why the last publish failed; empty when it did not.
        is_running: whether the service runs.
    """

    def __init__(
        self,
        *,
        cutter: Cutter,
        committer: Journalling,
        clock: Clock,
        interval_s: Callable[[], float],
        before_cut: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        self.before_cut = list(before_cut)
        self.on_purged: list[Callable[[], Awaitable[None]]] = []
        self.on_changed: list[Callable[[], None]] = []
        self.last_cut_us: int | None = None
        self.last_error = ""
        self.is_running = False
        self._cutter = cutter
        self._committer = committer
        self._clock = clock
        self._interval_s = interval_s
        self._pace = Pace()
        self._waiting = asyncio.Event()
        self._lock = asyncio.Lock()

    def heard(self, event: Any) -> None:
        """A listener of the committer: there is something to publish."""
        self._waiting.set()

    def poke(self) -> None:
        """There is something that `before_cut` will journal."""
        self._waiting.set()

    @property
    def has_waiting(self) -> bool:
        """Whether something waits to be published."""
        return self._waiting.is_set()

    def services(self) -> Sequence[Service]:
        """The loop, as the supervisor runs it."""
        return (Service(name="kernel.publish", run=self.run, stop_time_s=10.0),)

    async def run(self, started: Callable[[], None]) -> None:
        """Publish until cancelled: first what earlier starts left, then whatever comes."""
        self.is_running = True
        try:
            started()
            await self._try()
            while True:
                await self._waiting.wait()
                await asyncio.sleep(
                    self._pace.delay_s(self._clock.monotonic(), interval_s=self._interval_s())
                )
                if self._waiting.is_set():  # unless somebody published meanwhile
                    await self._try()
        finally:
            self.is_running = False

    async def cut_now(self) -> int:
        """Publish everything durable now; how many events.

        Raises:
            StoreError: the disk refuses; the events stay in the journal and are tried again.
        """
        async with self._lock:
            try:
                published = await self._publish()
            except StoreError as error:
                self.last_error = str(error)
                self._waiting.set()
                raise
            finally:
                self._pace.published(self._clock.monotonic())
            self.last_cut_us, self.last_error = self._clock.now_us(), ""
            return published

    async def roll_up_all(self) -> int:
        """Roll up every two neighbours of one size, which the loop leaves until there are more; how many are fewer.

        Raises:
            StoreError: the disk refuses; what was rolled up counts.
        """
        async with self._lock:
            writer, _ = self._committer.durable
            rolled = await _in_thread(self._cutter.roll_up, writer, fan_in=PAIRS)
        if rolled:
            for callback in self.on_changed:
                callback()
        return rolled

    async def could_roll_up(self) -> int:
        """What `roll_up_all` would come to with what is published now; changes nothing."""
        async with self._lock:
            writer, _ = self._committer.durable
            return await _in_thread(self._cutter.could_roll_up, writer, fan_in=PAIRS)

    async def unpublished(self) -> int:
        """How many events the next publish would publish at least; changes nothing."""
        async with self._lock:
            return await _in_thread(self._cutter.unpublished, Place(*self._committer.durable))

    async def last_cutoff(self) -> str:
        """The latest cutoff of all purges that this log knows; empty when there was none."""
        async with self._lock:
            return await _in_thread(lambda: self._cutter.known_purges.cutoff)

    async def purge_now(self) -> PurgeDone:
        """End the journal, publish it, and take out of every file what was purged or deleted.

        Raises:
            StoreError: the disk refuses; it is done again at the next publish or start.
        """
        async with self._lock:
            await self._journal_rest()
            await self._cut(await self._ended())
            done = await self._purge()
        for callback in self.on_changed:
            callback()
        return done

    @contextlib.asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """Nothing is published, rolled up or purged meanwhile."""
        async with self._lock:
            yield

    async def _try(self) -> None:
        try:
            await self.cut_now()
        except StoreError as error:
            _log.error("publishing failed and will be tried again: %s", error)

    async def _publish(self) -> int:
        await self._journal_rest()
        published = await self._cut(None)
        is_changed = bool(published)
        if await _in_thread(lambda: self._cutter.has_purges):
            published += await self._cut(await self._ended())
            await self._purge()
            is_changed = True
        if self._cutter.holding.erased:  # `before_cut` lets it travel now
            await self._journal_rest()
            published += await self._cut(None)
        writer, _ = self._committer.durable
        if await _in_thread(self._cutter.roll_up, writer) or is_changed:
            for callback in self.on_changed:
                callback()
        return published

    async def _journal_rest(self) -> None:
        for callback in self.before_cut:
            try:
                await callback()
            except ThrumError as error:
                _log.warning(
                    "before publishing: %s", error
                )  # what it had to say travels with the next publish
        self._waiting.clear()  # what comes from here on may miss this cut

    async def _cut(self, ended: Place | None) -> int:
        return await _in_thread(self._cutter.cut, Place(*self._committer.durable), ended=ended)

    async def _ended(self) -> Place | None:
        """End the current journal; where it ended, unless a new one has begun already, which tells it itself."""
        writer, _ = self._committer.durable
        await self._committer.rotate()
        now = Place(*self._committer.durable)
        return now if now.writer == writer else None

    async def _purge(self) -> PurgeDone:
        is_large = self._cutter.has_cutoff
        done = await _in_thread(self._cutter.purge)
        if is_large:
            for callback in self.on_purged:
                await callback()
        return done


async def _in_thread(work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run blocking *work*; when cancelled, wait for its end: nobody else may touch the files before."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("publishing failed while it was stopped: %s", error)
        raise

"""One thread for everything: an event loop without time and without threads, so that a seed decides all that happens.

Blocking work runs inline, where `asyncio.to_thread` would give it to a thread. Its result comes a few turns of the loop
later, as many as the seed says, so that what several daemons do at once is interleaved differently with every seed.
Timers fire at once, in their order: when nothing else is to be done the clock jumps to the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import selectors
from collections.abc import Callable, Iterator
from typing import Any

from thrum_kernel.commit.writer_thread import Then
from thrum_kernel.projection.local import Job, Work


class Stuck(AssertionError):
    """Everything waits for something that never comes."""


class _NoWaiting(selectors.DefaultSelector):
    """Looks without waiting; tells the loop's clock how long it would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if timeout is None and not found:
            raise Stuck("nothing is left to be done, and not everybody is content")
        self.passed_s += timeout or 0.0
        return found


class SimulatedLoop(asyncio.SelectorEventLoop):
    """The loop. *rng* decides how long blocking work seems to take."""

    def __init__(self, rng: random.Random) -> None:
        self._looks = _NoWaiting()
        super().__init__(self._looks)
        self._rng = rng
        self.raised: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.raised.append(context))

    def time(self) -> float:
        return self._looks.passed_s

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = self.create_future()
        try:
            result, error = func(*args), None
        except StopIteration as stop:  # a future cannot carry it
            result, error = stop.value, None
        except BaseException as raised:  # noqa: BLE001 - told to whoever awaits
            result, error = None, raised
        self.in_turns(self._rng.randrange(4), lambda: settle(future, result, error))
        return future

    def in_turns(self, turns: int, work: Callable[[], None]) -> None:
        """Do *work* so many turns later."""
        if turns:
            self.call_soon(self.in_turns, turns - 1, work)
        else:
            self.call_soon(work)


class InlineWriting:
    """Appends to a journal in the loop's own thread; see `commit.writer_thread.WriterThread`."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def start(self, job: Callable[[], Any], then: Then) -> None:
        try:
            result, error = job(), None
        except BaseException as raised:  # noqa: BLE001 - told to whoever awaits
            result, error = None, raised
        self._loop.call_soon(then, result, error)

    def run(self, job: Callable[[], Any]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        self.start(job, lambda result, error: settle(future, result, error))
        return future

    async def close(self) -> None:
        """Nothing waits."""


class InlineJobs:
    """Carries a write to `local.db` out at once; see `projection.local.JobThread`."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def put(self, job: Job) -> None:
        self._work([job])

    def close(self) -> None:
        """Nothing waits."""


class InlineFolding:
    """Does work at once that a cache would give to a thread; see `projection.checkpoint.in_thread`."""

    def __init__(self, work: Callable[[], None]) -> None:
        work()

    def is_alive(self) -> bool:
        return False

    def join(self) -> None:
        """It is done."""


def settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """End a future, unless whoever awaited it went away."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
        future.exception()  # retrieved: nobody may be there any more


@contextlib.contextmanager
def simulated_loop(rng: random.Random) -> Iterator[SimulatedLoop]:
    """The loop, as the current one of this thread, closed afterwards."""
    loop = SimulatedLoop(rng)
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()

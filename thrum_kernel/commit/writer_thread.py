"""The thread that appends to the journal: whatever is waiting becomes one batch with one sync.

The thread blocks in the append; meanwhile the loop collects the next batch. So one client pays for one sync, and
twenty clients share it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

Then = Callable[[Any, BaseException | None], None]
"""Told on the loop what a job gave, or how it failed."""


class Job:
    """A job that was given to the thread.

    Attributes:
        result: what it gave, once it is over.
        error: how it failed, once it is over; None when it did not.
    """

    __slots__ = ("_claim", "_loop", "_over", "_then", "_work", "error", "result")

    def __init__(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._work = work
        self._loop = loop
        self._then: Then | None = None
        self._over = threading.Lock()
        self._over.acquire()
        # Whoever takes it first decides: the loop, that it is to be told; the thread, that it ended untold.
        self._claim = threading.Lock()

    def is_over(self, *, within_s: float) -> bool:
        """Wait so long for its end, without the loop; whether it came. Not to be asked again once it did."""
        return self._over.acquire(timeout=within_s)

    def tell(self, then: Then) -> None:
        """Call *then* on the loop at its end; at once when it is over."""
        self._then = then
        if not self._claim.acquire(blocking=False):
            then(self.result, self.error)

    def run(self) -> None:
        """Do it; in the thread."""
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits
            self.error = error
        self._over.release()
        if not self._claim.acquire(blocking=False):
            assert self._then is not None
            self._loop.call_soon_threadsafe(self._then, self.result, self.error)


class WriterThread:
    """Runs blocking jobs one after another, off the loop, in the order given."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, name: str) -> None:
        self._loop = loop
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def start(self, work: Callable[[], Any]) -> Job:
        """Run *work*; nobody is told of its end but who asks."""
        job = Job(work, self._loop)
        self._jobs.put(job)
        return job

    def run(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        """A future of what *work* gives; done on the loop."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.start(work).tell(lambda result, error: _settle(future, result, error))
        return future

    async def close(self) -> None:
        """Finish what was given and end the thread."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)

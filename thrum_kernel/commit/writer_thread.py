"""The thread that appends to the journal: whatever is waiting becomes one batch with one sync.

The thread blocks in the append; meanwhile the loop collects the next batch. So one client pays for one sync, and
twenty clients share it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

from thrum_kernel.projection.local import settle

Then = Callable[[Any, BaseException | None], None]
"""Told on the loop what a job gave, or how it failed."""

_Job = tuple[Callable[[], Any], Then]


class Writing(Protocol):
    """Runs blocking jobs one after another, in the order given; see `WriterThread`."""

    def start(self, job: Callable[[], Any], then: Then) -> None:
        """Run a job and call *then* on the loop, in a later turn of it."""
        ...

    def run(self, job: Callable[[], Any]) -> asyncio.Future[Any]:
        """A future of the job's result; done on the loop."""
        ...

    async def close(self) -> None:
        """Finish what was given."""
        ...


class WriterThread:
    """Runs blocking jobs one after another, off the loop, in the order given."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, name: str) -> None:
        self._loop = loop
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def start(self, job: Callable[[], Any], then: Then) -> None:
        """Run a job and call *then* on the loop."""
        self._jobs.put((job, then))

    def run(self, job: Callable[[], Any]) -> asyncio.Future[Any]:
        """A future of the job's result; done on the loop."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.start(job, lambda result, error: settle(future, result, error))
        return future

    async def close(self) -> None:
        """Finish what was given and end the thread."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, then = item
            try:
                result = job()
            except BaseException as error:  # noqa: BLE001 - handed to whoever awaits
                self._loop.call_soon_threadsafe(then, None, error)
            else:
                self._loop.call_soon_threadsafe(then, result, None)

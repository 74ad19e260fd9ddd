"""Names the plugin that blocks the loop, while it blocks, and ends what does not end.

Every step that plugin code takes on the loop is bracketed. A thread looks at the step that runs while there is one,
and sleeps for good while there is none: with no plugin at work nothing wakes up. A step that lasts longer than
`LIMIT_S` is told once, with the line of code the loop stands at; that it is over is told, too.

A step that lasts as long as a whole hook may take is interrupted: the thread sends its own process a signal, whose
handler raises where the loop stands, also in a sleep or a read. What a plugin does in threads is not touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Generator, Iterator
from types import FrameType
from typing import Any, Final, TypeVar

from thrum_kernel.plugins.bounded import Contained

__all__ = ["Interrupted", "Watchdog", "Watched"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

_SIGNAL: Final = signal.SIGUSR2

LIMIT_S: Final = 0.25
"""So long a step may take; everybody waits for it."""

Blocked = Callable[[str, str], None]
"""``(label, told)``: called in the watching thread; both are empty when it is over."""

_Step = tuple[str, str, float]
"""Label, what it does, and since when."""

_at_work: contextvars.ContextVar[str] = contextvars.ContextVar("plugin_at_work", default="")


class Interrupted(BaseException):
    """A step was not allowed to go on; no ordinary exception, so that what does not end cannot swallow it."""


class Watchdog:
    """Watches one loop. Make it on the loop's thread.

    Args:
        tell: told who blocks and where, and when that is over.
        limit_s: how long a step may take.
        interrupt_s: how long until it is interrupted (see `interrupting`), asked each time.

    Attributes:
        has_signals: Ctrl-C comes to the loop as a signal, as in the daemon, so that no KeyboardInterrupt is one.
    """

    def __init__(
        self,
        tell: Blocked,
        *,
        limit_s: float = LIMIT_S,
        interrupt_s: Callable[[], float] = lambda: float("inf"),
    ) -> None:
        self._tell = tell
        self._limit_s = limit_s
        self._interrupt_s = interrupt_s
        self._may_interrupt = False
        self._unwanted: _Step | None = None
        self.has_signals = False
        self._loop_thread = threading.get_ident()
        self._step: _Step | None = None
        self._wanted = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def step(self, label: str, what: str) -> Iterator[None]:
        """Plugin *label* works on the loop until this is left."""
        before = self.enter(label, what)
        try:
            yield
        except Interrupted as error:
            raise Contained(str(error)) from error
        except KeyboardInterrupt as error:
            self.judge(error)
            raise
        finally:
            self.leave(before)

    def judge(self, error: KeyboardInterrupt) -> None:
        """Raise Contained where a plugin's *error* is its own; otherwise it may be Ctrl-C of whoever runs the command."""
        if self.has_signals:
            raise Contained("it raised KeyboardInterrupt") from error

    def enter(self, label: str, what: str) -> _Step | None:
        """Plugin *label* goes to work; gives what `leave` wants back."""
        before, self._step = self._step, (label, what, time.monotonic())
        if not self._wanted.is_set():
            self._begin()
        return before

    def leave(self, before: _Step | None) -> None:
        """It is done; who worked before it, if anybody, goes on."""
        self._step = before

    def watched(self, label: str, what: str, work: Coroutine[Any, Any, T]) -> Watched[T]:
        """*work*, each of its steps watched; so are the tasks it starts."""
        return Watched(self, label, what, work)

    def watch_tasks(self, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        """Watch the tasks that plugins start themselves, too; the result ends it."""
        before = loop.get_task_factory()

        def make(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> Any:
            label = _at_work.get()
            if label and not isinstance(work, Watched):
                work = self.watched(label, "a task", work)
            return before(loop, work, **more) if before else asyncio.Task(work, loop=loop, **more)

        loop.set_task_factory(make)
        return lambda: loop.set_task_factory(before)

    def interrupting(self) -> Callable[[], None]:
        """Interrupt steps from now on, where the loop runs in the main thread; the result ends it."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None  # signals are handled there
        before = signal.signal(_SIGNAL, self._interrupt)
        self._may_interrupt = True

        def end() -> None:
            self._may_interrupt = False
            signal.signal(_SIGNAL, before)

        return end

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """The handler, in the loop's thread: that step may have ended meanwhile."""
        step, self._unwanted = self._unwanted, None
        if step is not None and step is self._step:
            raise Interrupted(f"blocked the loop for {time.monotonic() - step[2]:.1f} s")

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> None:
        if threading.get_ident() != self._loop_thread:
            return  # work in threads of their own blocks nobody
        self._wanted.set()
        if self._thread is None and not self._ended:
            self._thread = threading.Thread(target=self._watch, name="thrum-watchdog", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        told = 0.0
        while not self._ended:
            self._wanted.wait()
            time.sleep(self._limit_s / 2)
            step = self._step
            if told and (step is None or step[2] != told):
                told = 0.0
                self._tell("", "")
            if step is None:
                self._wanted.clear()
                if self._step is not None:
                    self._wanted.set()
                continue
            label, what, since = step
            if since != told and time.monotonic() - since > self._limit_s:
                told = since
                self._report(label, what, time.monotonic() - since)
            if self._may_interrupt and time.monotonic() - since > self._interrupt_s():
                self._unwanted = step
                signal.pthread_kill(self._loop_thread, _SIGNAL)

    def _report(self, label: str, what: str, seconds: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        text = f"has blocked the loop for over {seconds:.1f} s in {what}, at {_place_of(frame)}"
        _log.error("plugin %s %s", label, text)
        self._tell(label, text)


class Watched(Coroutine[Any, Any, T]):
    """A coroutine whose steps are bracketed.

    Attributes:
        longest_s: how long its longest step kept the loop from everybody else.
    """

    def __init__(self, dog: Watchdog, label: str, what: str, work: Coroutine[Any, Any, T]) -> None:
        self._dog = dog
        self._label = label
        self._what = what
        self._work = work
        self.longest_s = 0.0

    def send(self, value: Any) -> Any:
        return self._take(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        return self._take(self._work.throw, *error)

    def _take(self, go_on: Callable[..., Any], *what: Any) -> Any:
        """One step: watched, known as the plugin's, and unable to end the loop."""
        dog = self._dog
        before = dog.enter(self._label, self._what)
        token = _at_work.set(self._label)
        began = time.monotonic()
        try:
            try:
                return go_on(*what)
            finally:
                dog.leave(before)  # first of all: from here on it is not interrupted any more
        except (Exception, GeneratorExit, asyncio.CancelledError):
            raise
        except KeyboardInterrupt as error:
            dog.judge(error)
            raise
        except Interrupted as error:
            dog.leave(before)
            raise Contained(str(error)) from error
        except BaseException as error:  # SystemExit above all
            raise Contained(f"it raised {type(error).__name__}({error})") from error
        finally:
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            _at_work.reset(token)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return _drive(self)


def _drive(work: Watched[T]) -> Generator[Any, Any, T]:
    value, failure = None, None
    while True:
        try:
            got = work.throw(failure) if failure is not None else work.send(value)
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            value, failure = (yield got), None
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:  # noqa: BLE001 - thrown into the coroutine that waits
            value, failure = None, error


def _place_of(frame: FrameType | None) -> str:
    if frame is None:
        return "an unknown place"
    last = traceback.extract_stack(frame, limit=1)[-1]
    return f"{last.filename}:{last.lineno} ({last.name})"

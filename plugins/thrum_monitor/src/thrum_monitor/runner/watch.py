"""One run of a monitor's command: started, read, ended with all that belongs to it.

A run is over when nothing of its session is left, whoever holds the other end of its pipe: what is in the pipe then is
read, and that was it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Final

from thrum_monitor import sessions
from thrum_monitor.frames import Ended, Launch, Matched, Running, Skipped, Waiting, Word
from thrum_monitor.matching import Pattern
from thrum_monitor.runner import child
from thrum_monitor.runner.ended import how_it_ended
from thrum_monitor.runner.excerpt import excerpt
from thrum_monitor.runner.lines import LineReader
from thrum_monitor.runner.loop import Loop
from thrum_monitor.runner.ring import Ring
from thrum_monitor.runner.secrets import Secrets

CHUNK: Final = 64 * 1024
REST_S: Final = 0.02
REST_CHUNKS: Final = 16
"""Over its budget it is read this seldom, and this much at once: nothing fills up, and nobody is kept busy by it."""
TELL_S: Final = 0.25
LOOK_S: Final = 0.05
GRACE_OF_REST_S: Final = 5.0
"""How long what a command leaves running may take to end, once the command itself has ended."""
KILLED_S: Final = 2.0
"""How long processes may take to go away after SIGKILL; those in the kernel's hands may never."""


class Watch:
    """One run.

    Args:
        tell: says a word to the daemon.
        done: called once, when it is over.
    """

    def __init__(
        self, order: Launch, *, loop: Loop, ring: Ring, tell: Callable[[Word], None], done: Callable[[], None]
    ) -> None:
        self.run = order.run
        self.monitor = order.monitor
        self.ring = ring
        self._loop = loop
        self._tell = tell
        self._done = done
        secrets = ring.secrets = Secrets(order.secrets)
        self._reader = LineReader(
            Pattern(order.pattern),
            bytes_a_second=order.bytes_a_second,
            now=loop.now(),
            shown=lambda line, at: secrets.hide(excerpt(line, at)),
        )
        self._child = child.fork(order.argv, env=order.env, cwd=order.cwd)
        self._trouble = b""
        self._kill_at: float | None = None
        self._give_up_at = 0.0
        self._is_over = False
        self._told_at = 0.0
        self._tells_later = False
        loop.on_readable(self._child.output, self._read)
        loop.on_readable(self._child.trouble, self._hear_trouble)
        tell(Waiting(run=self.run, pid=self._child.pid))

    def go(self) -> None:
        """It may become the command."""
        if self._kill_at is None and self._child.word >= 0:
            self.ring.note(_now_us(), f"— started (PID {self._child.pid})")
            self._child.release()

    def stop(self, grace_s: float) -> None:
        """End it: what belongs to it is asked, and killed when it is still there after *grace_s*."""
        if self._is_over:
            return
        self._child.forget()
        kill_at = self._loop.now() + grace_s
        if self._kill_at is None or kill_at < self._kill_at:
            is_first = self._kill_at is None
            self._kill_at = kill_at
            self._end(is_first=is_first)

    def look(self) -> None:
        """Children ended: was it this one?"""
        if not self._is_over and self._kill_at is None and child.ended(self._child.pid):
            self.stop(GRACE_OF_REST_S)

    # --- output ------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        data = _read_some(self._child.output, CHUNK)
        if data is None:
            return
        if not data:
            self._loop.leave(self._child.output)
            return
        now = self._loop.now()
        self._take(data, now)
        if not self._reader.has_budget(now):
            self._loop.leave(self._child.output)
            self._loop.later(REST_S, self._resume)

    def _resume(self) -> None:
        """After a rest: take what is there, unseen as long as the budget is used up."""
        if self._is_over:
            return
        for _ in range(REST_CHUNKS):
            data = _read_some(self._child.output, CHUNK)
            if not data:
                break
            self._take(data, self._loop.now())
        if self._reader.has_budget(self._loop.now()):
            self._loop.on_readable(self._child.output, self._read)
        else:
            self._loop.later(REST_S, self._resume)

    def _take(self, data: bytes, now: float) -> None:
        self.ring.output(_now_us(), data)
        self._reader.feed(data, now)
        self._tell_soon(now)

    def _tell_soon(self, now: float) -> None:
        """The first match at once, then a few words a second."""
        if self._tells_later or not (self._reader.count or self._reader.skipped):
            return
        wait_s = self._told_at + TELL_S - now
        if wait_s <= 0:
            self._tell_now()
        else:
            self._tells_later = True
            self._loop.later(wait_s, self._tell_now)

    def _tell_now(self) -> None:
        self._tells_later = False
        self._told_at = self._loop.now()
        count, lines, skipped = self._reader.take()
        if count:
            self._tell(Matched(run=self.run, count=count, lines=lines))
        if skipped:
            self.ring.note(_now_us(), f"— {skipped} bytes of output were skipped: there is too much of it")
            self._tell(Skipped(run=self.run, count=skipped))

    def _hear_trouble(self) -> None:
        data = _read_some(self._child.trouble, CHUNK)
        if data is None:
            return
        self._trouble += data
        if data:
            return
        self._loop.leave(self._child.trouble)
        if not self._trouble and self._kill_at is None:
            self._tell(Running(run=self.run))

    # --- its end -----------------------------------------------------------------------------------------------------

    def _end(self, *, is_first: bool) -> None:
        """Look who is left of its session and go on until nobody is."""
        if self._is_over:
            return
        assert self._kill_at is not None
        left = sessions.members([self._child.pid])[self._child.pid]
        if not left and child.ended(self._child.pid):
            self._finish(0)
            return
        now = self._loop.now()
        if is_first:
            sessions.send(signal.SIGTERM, self._child.pid, left)
            sessions.send(signal.SIGCONT, self._child.pid, left)
        elif now >= self._kill_at:
            sessions.send(signal.SIGKILL, self._child.pid, left)
            self._give_up_at = self._give_up_at or now + KILLED_S
            if now >= self._give_up_at and child.ended(self._child.pid):
                self._finish(len(left))
                return
        self._loop.later(LOOK_S, lambda: self._end(is_first=False))

    def _finish(self, left: int) -> None:
        self._is_over = True
        for _ in range(REST_CHUNKS * 16):  # a pipe holds no more than that
            data = _read_some(self._child.output, CHUNK)
            if not data:
                break
            self._take(data, self._loop.now())
        self._trouble += _read_some(self._child.trouble, CHUNK) or b""
        self._reader.end()
        self._tell_now()
        for descriptor in (self._child.output, self._child.trouble):
            self._loop.leave(descriptor)
            os.close(descriptor)
        status = child.status_of(self._child.pid)
        error = self._trouble.decode(errors="replace")
        self.ring.note(_now_us(), f"— {error}" if error else f"— {how_it_ended(status)}")
        self._tell(Ended(run=self.run, status=status, error=error, left=left))
        self._done()


def _now_us() -> int:
    return time.time_ns() // 1000


def _read_some(descriptor: int, most: int) -> bytes | None:
    """What is there to read, empty at the end; None when there is nothing now."""
    try:
        return os.read(descriptor, most)
    except BlockingIOError:
        return None

"""``python -m thrum_monitor.runner FOLDER GRACE``: orders on standard input, words on standard output.

FOLDER is where the last output of each monitor is kept while nobody reads it, GRACE how many seconds commands may take to
end once the daemon is gone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from thrum_monitor import frames
from thrum_monitor.frames import Ended, Forget, Go, Launch, Lines, Order, Ping, Pong, Show, Stop, Word
from thrum_monitor.matching import BadPattern
from thrum_monitor.runner import ring
from thrum_monitor.runner.child import NOT_STARTED
from thrum_monitor.runner.loop import Loop
from thrum_monitor.runner.ring import Ring
from thrum_monitor.runner.watch import Watch

ORDERS: Final = 0
WORDS: Final = 1
PATIENCE_S: Final = 5.0
"""For how long after the grace the runner waits for what cannot be killed."""


class Runner:
    """All runs, and the two ends of the talk with the daemon."""

    def __init__(self, loop: Loop, folder: Path, grace_s: float) -> None:
        self._loop = loop
        self._grace_s = grace_s
        self._folder = folder
        self._watches: dict[str, Watch] = {}
        self._rings: dict[str, Ring] = {}
        self._heard = b""
        self._unsaid = bytearray()
        self._is_alone = False

    def serve(self) -> None:
        """Until the daemon is gone and every command has ended."""
        for descriptor in (ORDERS, WORDS):
            os.set_blocking(descriptor, False)
        self._loop.on_child = self._look
        self._loop.on_term = self._close
        self._loop.on_readable(ORDERS, self._hear)
        self._loop.run()
        for monitor, kept in self._rings.items():
            ring.save(self._place(monitor), kept)

    # --- the daemon --------------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        try:
            data = os.read(ORDERS, 1 << 20)
        except BlockingIOError:
            return
        if not data:
            self._close()
            return
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._obey(frames.decode_order(line))

    def _obey(self, order: Order) -> None:
        match order:
            case Launch():
                self._launch(order)
            case Go(run=run) if run in self._watches:
                self._watches[run].go()
            case Stop(run=run, grace_s=grace_s) if run in self._watches:
                self._watches[run].stop(grace_s)
            case Show(ask=ask, monitor=monitor, limit=limit):
                self._say(Lines(ask=ask, lines=self._ring(monitor).lines(limit)))
            case Ping():
                self._say(Pong())
            case Forget(monitor=monitor):
                self._rings.pop(monitor, None)
                self._place(monitor).unlink(missing_ok=True)
            case _:  # about a run that is over
                return

    def _say(self, word: Word) -> None:
        if self._is_alone:
            return
        if not self._unsaid:
            self._loop.on_writable(WORDS, self._write)
        self._unsaid += frames.encode(word)

    def _write(self) -> None:
        try:
            written = os.write(WORDS, self._unsaid)
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._loop.leave(WORDS)
            self._close()
            return
        del self._unsaid[:written]
        if not self._unsaid:
            self._loop.leave(WORDS)

    def _close(self) -> None:
        """Nobody is there any more: end everything, then this process."""
        if self._is_alone:
            return
        self._is_alone = True
        for descriptor in (ORDERS, WORDS):
            self._loop.leave(descriptor)
        for watch in tuple(self._watches.values()):
            watch.stop(self._grace_s)
        self._loop.later(self._grace_s + PATIENCE_S, self._loop.stop)
        self._rest()

    # --- runs --------------------------------------------------------------------------------------------------------

    def _launch(self, order: Launch) -> None:
        try:
            self._watches[order.run] = Watch(
                order,
                loop=self._loop,
                ring=self._ring(order.monitor),
                tell=self._say,
                done=lambda: self._over(order.run),
            )
        except (OSError, BadPattern) as error:
            self._say(Ended(run=order.run, status=NOT_STARTED, error=str(error)))

    def _over(self, run: str) -> None:
        watch = self._watches.pop(run)
        ring.save(self._place(watch.monitor), watch.ring)
        self._rest()

    def _rest(self) -> None:
        if self._is_alone and not self._watches:
            self._loop.stop()

    def _look(self) -> None:
        for watch in tuple(self._watches.values()):
            watch.look()

    def _ring(self, monitor: str) -> Ring:
        if monitor not in self._rings:
            self._rings[monitor] = Ring(ring.load(self._place(monitor)))
        return self._rings[monitor]

    def _place(self, monitor: str) -> Path:
        return self._folder / f"{monitor}.json"


if __name__ == "__main__":
    Runner(Loop(), Path(sys.argv[1]), float(sys.argv[2])).serve()

"""An event loop of few words: descriptors that are ready, moments that come, children that end."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import signal
import time
from collections.abc import Callable
from typing import Final

_LONGEST_WAIT_S: Final = 60.0


class Loop:
    """Calls what was asked for until `stop`.

    Attributes:
        on_child: called whenever a child may have ended.
        on_term: called for SIGTERM.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._moments: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._is_running = True
        self.on_child: Callable[[], None] = lambda: None
        self.on_term: Callable[[], None] = lambda: None

    def now(self) -> float:
        """Seconds from an arbitrary start."""
        return time.monotonic()

    def on_readable(self, descriptor: int, call: Callable[[], None]) -> None:
        """Call *call* whenever *descriptor* can be read."""
        self._selector.register(descriptor, selectors.EVENT_READ, call)

    def on_writable(self, descriptor: int, call: Callable[[], None]) -> None:
        """Call *call* whenever *descriptor* can be written."""
        self._selector.register(descriptor, selectors.EVENT_WRITE, call)

    def leave(self, descriptor: int) -> None:
        """Look at it no more; nothing happens when nobody does."""
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call *call* once, after *seconds*."""
        heapq.heappush(self._moments, (self.now() + seconds, next(self._numbers), call))

    def stop(self) -> None:
        """Return from `run` after what is under way."""
        self._is_running = False

    def run(self) -> None:
        """Serve until `stop`."""
        woken, wake = os.pipe()
        for end in (woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.on_readable(woken, lambda: self._signalled(os.read(woken, 4096)))
        while self._is_running:
            for key, _ in self._selector.select(self._wait_s()):
                if key.fd in self._selector.get_map():  # an earlier one of this round may have left it
                    key.data()
            self._pass()

    def _signalled(self, numbers: bytes) -> None:
        if signal.SIGCHLD in numbers:
            self.on_child()
        if signal.SIGTERM in numbers:
            self.on_term()

    def _wait_s(self) -> float:
        if not self._moments:
            return _LONGEST_WAIT_S
        return max(0.0, min(_LONGEST_WAIT_S, self._moments[0][0] - self.now()))

    def _pass(self) -> None:
        now = self.now()
        while self._moments and self._moments[0][0] <= now:
            heapq.heappop(self._moments)[2]()

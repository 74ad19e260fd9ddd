"""How long until the remote is looked at again: soon after something travelled, seldom when all is quiet."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

SOON_S: Final = 2.0
FAILED_S: Final = 5.0
LONGEST_FAILED_S: Final = 300.0


class Polling:
    """Two seconds after something came or went, then twice as long each time, up to the interval.

    After a failure five seconds, twice as long each time, up to five minutes or the interval. Every pause is up to a
    fifth longer or shorter, so that clones do not ask in step.

    Attributes:
        is_failing: whether the last exchange failed.
    """

    def __init__(self, *, jitter: Callable[[], float] = lambda: random.uniform(0.8, 1.2)) -> None:
        self.is_failing = False
        self._pause_s = SOON_S / 2
        self._jitter = jitter

    def succeeded(self, *, is_busy: bool) -> None:
        """An exchange ended well; *is_busy*: something came or went."""
        if is_busy or self.is_failing:
            self._pause_s = SOON_S / 2
        self.is_failing = False

    def failed(self) -> None:
        """An exchange failed."""
        if not self.is_failing:
            self._pause_s = FAILED_S / 2
        self.is_failing = True

    def pause_s(self, interval_s: float) -> float:
        """Seconds until the next look."""
        longest = max(interval_s, LONGEST_FAILED_S) if self.is_failing else max(interval_s, SOON_S)
        self._pause_s = min(2 * self._pause_s, longest)
        return self._pause_s * self._jitter()

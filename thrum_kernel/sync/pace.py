"""When to publish: soon after the first message when it was quiet, seldom under traffic."""

from __future__ import annotations

from typing import Final

FIRST_DELAY_S: Final = 2.0


class Pace:
    """How long to wait between the first unpublished event and the next publish.

    Two seconds after a quiet time; twice as long each time that events came on at once after a publish, up to
    *interval_s*, which is asked for anew each time.
    """

    def __init__(self) -> None:
        self._delay_s = FIRST_DELAY_S
        self._last_publish: float | None = None

    def delay_s(self, now: float, *, interval_s: float) -> float:
        """Seconds to wait for the first event that came at *now* (monotonic)."""
        longest = max(interval_s, FIRST_DELAY_S)
        was_quiet = self._last_publish is None or now - self._last_publish >= self._delay_s
        self._delay_s = FIRST_DELAY_S if was_quiet else min(2 * self._delay_s, longest)
        return self._delay_s

    def published(self, now: float) -> None:
        """A publish, or a failed try, ended at *now* (monotonic)."""
        self._last_publish = now

"""The time, as whoever needs it is given it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The time, as a plugin is given it."""

    def now_us(self) -> int:
        """Wall clock, microseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

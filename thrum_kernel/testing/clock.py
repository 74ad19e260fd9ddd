"""A clock that stands until a test moves it."""

from __future__ import annotations

from typing import Final

from thrum_kernel.clock import format_us, parse_us

BEGIN: Final = "2026-01-01T00:00:00.000000Z"


class SettableClock:
    """A `thrum_kernel.api.Clock`.

    The wall clock can be set to any time, back as well. `monotonic` only ever goes forward, with `advance`.
    """

    def __init__(self, at: str = BEGIN) -> None:
        self._us = parse_us(at)
        self._monotonic_s = 0.0

    def now_us(self) -> int:
        return self._us

    def monotonic(self) -> float:
        return self._monotonic_s

    @property
    def now(self) -> str:
        """The time as timestamps show it."""
        return format_us(self._us)

    def set(self, at: str) -> None:
        """Set the wall clock as a person does, to an RFC 3339 time with an offset."""
        self._us = parse_us(at)

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            ValueError: *seconds* is negative: `set` puts the clock back.
        """
        if seconds < 0:
            raise ValueError(f"time does not pass backwards: {seconds} s")
        self._us += round(seconds * 1_000_000)
        self._monotonic_s += seconds

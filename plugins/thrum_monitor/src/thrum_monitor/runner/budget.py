"""How much of something a monitor may use: a token bucket."""

from __future__ import annotations


class Budget:
    """Refills by *rate* a second up to *most*; a taker may go below zero once, and waits until it is paid back."""

    def __init__(self, rate: float, most: float, *, now: float) -> None:
        self._rate = rate
        self._most = most
        self._left = most
        self._at = now

    def has(self, now: float) -> bool:
        """Whether something may be taken."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left > 0

    def take(self, amount: float) -> None:
        """Take it."""
        self._left -= amount

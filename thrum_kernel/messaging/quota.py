"""The send quota: a token bucket an agent, so that an agent in a loop cannot fill the disk.

A message costs one token and one more for every 16 KiB of it. Source: DESIGN.md D7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from thrum_kernel.clock import Clock
from thrum_kernel.errors import QuotaExceeded

BYTES_A_TOKEN = 16 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings allow.

    Attributes:
        max_body_bytes: largest body; negative for no limit.
        send_per_minute: tokens that an agent gains a minute; zero or negative for no quota.
        send_burst: tokens that it can save up.
    """

    max_body_bytes: int = 1024 * 1024
    send_per_minute: int = 600
    send_burst: int = 3000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Quota:
    """The buckets of all agents that sent since the daemon started."""

    def __init__(self, clock: Clock, limits: Callable[[], Limits]) -> None:
        self._clock = clock
        self._limits = limits
        self._buckets: dict[str, _Bucket] = {}

    def take(self, agent_id: str, size: int) -> None:
        """Pay for *size* bytes of *agent_id*.

        A message dearer than the whole bucket is let through when the bucket is full, and leaves a debt.

        Raises:
            QuotaExceeded: not enough has been saved up; says when it will be.
        """
        limits = self._limits()
        if limits.send_per_minute <= 0:
            return
        rate, burst = limits.send_per_minute / 60, float(max(limits.send_burst, 1))
        now = self._clock.monotonic()
        bucket = self._buckets.setdefault(agent_id, _Bucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        cost = 1 + size // BYTES_A_TOKEN
        missing = min(cost, burst) - bucket.tokens
        if missing > 0:
            raise QuotaExceeded(agent_id, missing / rate)
        bucket.tokens -= cost

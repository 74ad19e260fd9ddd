"""Time, passed in: the wall clock as a protocol, and the one format for timestamps.

Timestamps are RFC 3339 in UTC with exactly six fraction digits and ``Z`` (``2026-06-23T07:21:58.123456Z``), so that
string order is time order. Integers named ``…_us`` are microseconds since 1970, ``…_ms`` milliseconds.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from thrum_kernel.api import Clock

__all__ = ["Clock", "SystemClock", "format_us", "parse_us"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class SystemClock:
    """The machine's own clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()


def format_us(us: int) -> str:
    """The timestamp of *us* microseconds since 1970."""
    seconds, micros = divmod(us, 1_000_000)
    return f"{_format_second(seconds)}.{micros:06d}Z"


@lru_cache(maxsize=256)  # times that are formatted lie close together
def _format_second(seconds: int) -> str:
    moment = time.gmtime(seconds)
    return (
        f"{moment.tm_year:04d}-{moment.tm_mon:02d}-{moment.tm_mday:02d}T"
        f"{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d}"
    )


def parse_us(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 time with any fraction and offset.

    Raises:
        ValueError: *text* is not such a time or names no offset.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time without offset: {text}")
    return (moment - _EPOCH) // _MICROSECOND

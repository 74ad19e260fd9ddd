"""Lengths of time and points in time as people type them, in one place for every command.

Source: spec/kernel.md §5.4 (cutoffs) and §5.5 (``--after`` of wait).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from thrum_kernel.clock import parse_us
from thrum_kernel.errors import UsageError

_UNITS_US = {
    "us": 1,
    "µs": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|µs|ms|s|m|h|d)")
_EXAMPLES = "use for example 30s, 5m, 2h30m or 7d"
_OFFSETS = "-30s: also what came up to 30 s ago; +60s: only what comes after that time"
_POINTS = "how long ago (30m, 2h, 7d), a date (2026-03-15) or a time (2026-03-15T09:30:00Z)"


def parse_duration_us(text: str, *, flag: str) -> int:
    """Microseconds of a length such as ``90s``, ``2h30m``, ``7d``; a bare number counts seconds.

    Raises:
        UsageError: *text* is no length of time, or is zero or negative; the message names *flag*.
    """
    cleaned = text.strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", cleaned):
        cleaned += "s"
    parts = _PART.findall(cleaned)
    if not parts or "".join(number + unit for number, unit in parts) != cleaned:
        raise UsageError(f'invalid duration "{text}" for {flag}', hint=_EXAMPLES)
    total = round(sum(float(number) * _UNITS_US[unit] for number, unit in parts))
    if total <= 0:
        raise UsageError(f'invalid duration "{text}" for {flag}: must be above zero', hint=_EXAMPLES)
    return total


def parse_offset_us(text: str, *, flag: str) -> int:
    """Microseconds of a signed length: ``-30s`` is negative, ``+60s`` and ``60s`` are positive.

    Raises:
        UsageError: *text* is none.
    """
    cleaned = text.strip()
    sign = -1 if cleaned.startswith("-") else 1
    if re.fullmatch(r"[+-]?0+(\.0+)?(s|m|h|d|ms)?", cleaned):
        return 0
    try:
        return sign * parse_duration_us(re.sub("^[+-]", "", cleaned), flag=flag)
    except UsageError:
        raise UsageError(f'invalid value "{cleaned}" for {flag}', hint=_OFFSETS) from None


def parse_cutoff_us(text: str, *, flag: str, now_us: int) -> int:
    """Microseconds since 1970 of a length back from now (``2d``, ``24h``), a UTC date, or an RFC 3339 time.

    Raises:
        UsageError: *text* is none of these.
    """
    cleaned = text.strip()
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", cleaned):
        return _date_us(cleaned, flag)
    if re.match(r"[0-9]+-", cleaned):
        return _time_us(cleaned, flag)
    try:
        return now_us - parse_duration_us(cleaned, flag=flag)
    except UsageError:
        raise UsageError(f'invalid value "{cleaned}" for {flag}', hint=_POINTS) from None


def _date_us(text: str, flag: str) -> int:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f'invalid date "{text}" for {flag}', hint="dates look like 2026-03-15") from None
    return int(day.timestamp()) * 1_000_000


def _time_us(text: str, flag: str) -> int:
    try:
        return parse_us(text)
    except (ValueError, OverflowError):
        hint = "times look like 2026-03-15T09:30:00Z"
        raise UsageError(f'invalid time "{text}" for {flag}', hint=hint) from None

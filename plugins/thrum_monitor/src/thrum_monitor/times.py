"""Timestamps and ids, from microseconds since 1970."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def timestamp(now_us: int) -> str:
    """As every timestamp of thrum: UTC, six digits, ``Z``."""
    at = _EPOCH + timedelta(microseconds=now_us)
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def monitor_id(now_us: int) -> str:
    """A new id: ``mon_`` and a ULID."""
    return f"mon_{_ulid(now_us)}"


def run_id(now_us: int) -> str:
    """A new id of one launch."""
    return f"run_{_ulid(now_us)}"


def _ulid(now_us: int) -> str:
    number = (now_us // 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def length_of_time(seconds: float) -> str:
    """``90s`` as people write it: ``1m30s``, ``2h``."""
    rest = round(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"

"""Small pieces of text for people: times, columns, names, cuts. Pure: the time and the zone are passed in.

Control characters are no concern here; `Output` strips them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from thrum_kernel.clock import parse_us

_MINUTE_US = 60_000_000
_HOUR_US = 60 * _MINUTE_US
_DAY_US = 24 * _HOUR_US
_BREAK = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")


@dataclass(frozen=True, slots=True)
class View:
    """How a reader wants things shown.

    Attributes:
        now_us: the present, microseconds since 1970.
        verbose: long ids, full times, everything known.
        zone: the reader's time zone; None is the machine's.
    """

    now_us: int
    verbose: bool = False
    zone: tzinfo | None = None

    def time(self, stamp: str) -> str:
        """A timestamp for people: relative and short, with local time and zone when verbose; empty for none."""
        if not stamp:
            return ""
        moment_us = parse_us(stamp)
        if not self.verbose:
            return ago(moment_us, self.now_us)
        return f"{self.local(moment_us)} ({ago(moment_us, self.now_us)})"

    def local(self, moment_us: int) -> str:
        """Date and time of day in the reader's zone, e.g. ``2026-06-23 09:21:58 +0200``."""
        moment = datetime.fromtimestamp(moment_us / 1_000_000, UTC).astimezone(self.zone)
        return moment.strftime("%Y-%m-%d %H:%M:%S %z")


def zone_of(env: Mapping[str, str]) -> tzinfo | None:
    """The time zone that ``TZ`` of a caller names; None (the machine's) when it names none we know."""
    name = env.get("TZ", "").removeprefix(":")
    if not name or name.startswith("/"):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def ago(moment_us: int, now_us: int) -> str:
    """How long since *moment_us*: ``just now``, ``5m ago``, ``3h ago``, ``2d ago``; ``in 5m`` for the future."""
    distance = now_us - moment_us
    if abs(distance) < _MINUTE_US:
        return "just now"
    size = _coarse(abs(distance))
    return f"{size} ago" if distance > 0 else f"in {size}"


def duration(length_us: int) -> str:
    """A length with its two largest units: ``42s``, ``5m 3s``, ``2h 10m``, ``3d 4h``."""
    seconds = max(0, length_us) // 1_000_000
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def width(text: str) -> int:
    """How many columns of a terminal *text* takes."""
    return sum(_cell(character) for character in text)


def columns(rows: Iterable[Sequence[str]], *, indent: str = "", gap: str = "  ") -> list[str]:
    """Rows as lines whose cells stand under one another; nothing trails the last cell.

    A row is one line whatever its cells hold: an intent with line breaks must not look like an entry of its own.
    """
    table = [[one_line(cell) for cell in row] for row in rows]
    if not table:
        return []
    count = max(len(row) for row in table)
    widths = [max((width(row[i]) for row in table if i < len(row)), default=0) for i in range(count)]
    lines = []
    for row in table:
        cells = [cell + " " * (widths[i] - width(cell)) for i, cell in enumerate(row)]
        lines.append((indent + gap.join(cells)).rstrip())
    return lines


def fields(pairs: Iterable[tuple[str, str]], *, indent: str = "  ") -> list[str]:
    """``label: value`` lines with the values under one another; pairs without a value are left out."""
    return columns([(f"{label}:", value) for label, value in pairs if value], indent=indent, gap=" ")


def one_line(text: str) -> str:
    """*text* with a blank for each line break and the blanks around it."""
    return text if text.isprintable() else _BREAK.sub(" ", text).strip()


def shorten(text: str, limit: int) -> str:
    """The first line of *text*, cut to *limit* characters with an ellipsis; never cuts a character apart."""
    first, newline, _ = text.strip().partition("\n")
    if len(first) > limit:
        return first[: limit - 1].rstrip() + "…"
    return first + (" …" if newline else "")


def indented(text: str, indent: str) -> list[str]:
    """The lines of *text*, each below *indent*; empty lines stay empty."""
    return [(indent + line).rstrip() for line in text.split("\n")]


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 message``, ``2 messages``."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def at(name: str) -> str:
    """A name as it is written in addresses: with one ``@`` before it."""
    return name if not name or name.startswith("@") else f"@{name}"


def text_of(value: Any) -> str:
    """A JSON value as one prints it alone: strings bare, booleans in lower case, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _coarse(length_us: int) -> str:
    if length_us < _HOUR_US:
        return f"{length_us // _MINUTE_US}m"
    if length_us < 2 * _DAY_US:
        return f"{length_us // _HOUR_US}h"
    return f"{length_us // _DAY_US}d"


def _cell(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

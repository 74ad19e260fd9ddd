"""The leading edge: the first match is told at once, those within the window after it are counted, and told at its end.

Pure. A window has a number, which with the monitor's id names its messages, so that each is sent once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from thrum_monitor.times import length_of_time


@dataclass(frozen=True, slots=True)
class Window:
    """Where a monitor stands.

    Attributes:
        number: how many windows were opened so far.
        ends_us: when the one that is open ends, microseconds since 1970; 0 when none is.
        suppressed: matches in it that were not told.
        first: the first of them.
    """

    number: int = 0
    ends_us: int = 0
    suppressed: int = 0
    first: str = ""


@dataclass(frozen=True, slots=True)
class Telling:
    """A message that is due: which of the monitor's messages it is, and what it says."""

    key: str
    content: str


def heard(
    window: Window, count: int, lines: Sequence[str], *, now_us: int, debounce_s: int
) -> tuple[Window, tuple[Telling, ...]]:
    """*count* lines matched, of which *lines* are the first; gives where it stands then, and what is due."""
    window, due = passed(window, now_us=now_us, debounce_s=debounce_s)
    rest = list(lines)
    if not window.ends_us:
        number = window.number + 1
        window = Window(number=number, ends_us=now_us + debounce_s * 1_000_000)
        due = (*due, Telling(str(number), rest.pop(0)))
        count -= 1
    if count:
        first = window.first if window.suppressed else rest[0]
        window = replace(window, suppressed=window.suppressed + count, first=first)
    return window, due


def passed(window: Window, *, now_us: int, debounce_s: int) -> tuple[Window, tuple[Telling, ...]]:
    """Time passed: a window that is over is closed."""
    length_us = debounce_s * 1_000_000
    if window.ends_us - now_us > length_us:  # the clock was set back
        window = replace(window, ends_us=now_us + length_us)
    if not window.ends_us or now_us < window.ends_us:
        return window, ()
    return closed(window, debounce_s=debounce_s)


def closed(window: Window, *, debounce_s: int) -> tuple[Window, tuple[Telling, ...]]:
    """Close the window that is open, early where the monitor ends."""
    shut = Window(number=window.number)
    if not window.suppressed:
        return shut, ()
    length = length_of_time(debounce_s)
    if window.suppressed == 1:
        note = f"(suppressed during last {length})"
    else:
        note = f"(+{window.suppressed - 1} more matches suppressed in the last {length})"
    return shut, (Telling(f"{window.number}.rest", f"{window.first}\n{note}"),)

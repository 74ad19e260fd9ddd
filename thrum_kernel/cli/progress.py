"""How far something is that is waited for: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Final

BAR: Final = 30
STEP: Final = 10
"""Where lines are printed, one is for so many percent."""

_PERCENT: Final = re.compile(r"(\d{1,3}) %")
_CLEAR: Final = "\r\x1b[K"


class Progress:
    """Shows texts like ``projecting 43 %``; one without a percentage is shown as it is.

    Args:
        line: prints a line.
        bar: writes to the terminal; None where there is none.
        quiet: nothing is shown.
    """

    def __init__(
        self, line: Callable[[str], None], *, bar: Callable[[str], None] | None = None, quiet: bool = False
    ) -> None:
        self._line = line
        self._bar = bar
        self._quiet = quiet
        self._last = ("", -1)
        self._is_drawn = False

    def tell(self, text: str) -> None:
        """Show how far it is."""
        if self._quiet:
            return
        match = _PERCENT.search(text)
        percent = min(100, int(match[1])) if match is not None else None
        if self._bar is not None:
            self._draw(text, percent)
            return
        what, step = (text, -1) if match is None else (text[: match.start()], (percent or 0) // STEP)
        if (what, step) != self._last:
            self._last = what, step
            self._line(text)

    def close(self) -> None:
        """It is over: the bar goes, lines stay."""
        if self._bar is not None and self._is_drawn:
            self._bar(_CLEAR)
            self._is_drawn = False

    def _draw(self, text: str, percent: int | None) -> None:
        assert self._bar is not None
        done = BAR * (percent or 0) // 100
        drawn = "" if percent is None else f"[{'#' * done}{'.' * (BAR - done)}] "
        self._bar(f"{_CLEAR}{drawn}{text}")
        self._is_drawn = True


def bar_of(descriptor: int, env: Mapping[str, str]) -> Callable[[str], None] | None:
    """What writes to the terminal at *descriptor*; None when it is none, or one that cannot go back in its line."""
    try:
        if not os.isatty(descriptor) or env.get("TERM", "") in ("", "dumb"):
            return None
    except OSError:
        return None
    return lambda text: _write(descriptor, text)


def _write(descriptor: int, text: str) -> None:
    data = text.encode(errors="replace")
    while data:
        data = data[os.write(descriptor, data) :]

"""Reading a screen: a dialog, else the prompt box with what stands in it, else a runtime at work, else nobody knows.

A doubt counts against typing: a dialog anywhere near the end of the screen owns it, a prompt box that is not whole is
none. Source: spec/features.md §4.2, §4.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from thrum_tmux.screen.patterns import Patterns

Owner = Literal["prompt", "dialog", "busy", "unknown"]

NEAR_END: Final = 20
"""Rows from the last one that shows something, in which dialogs and signs of work are looked for."""

_CONTINUED: Final = re.compile(r"(?:[a-z]+(?: [a-z]+)*)?>(?: |$)")
"""How shells begin the further rows of a command: ``> ``, ``dquote> ``, ``for then> ``."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a screen says.

    Attributes:
        owner: who gets the next key: the ``prompt`` box, a ``dialog``, nobody while the program is ``busy`` and shows no
            prompt box, or ``unknown``.
        dialog: its name in the preset.
        text: what stands in the prompt box, its rows joined by line breaks; empty when it is empty.
        rows: first row of the prompt box and the one after its last; (0, 0) where there is none.
        is_busy: the program shows that it works.
    """

    owner: Owner
    dialog: str = ""
    text: str = ""
    rows: tuple[int, int] = (0, 0)
    is_busy: bool = False

    @property
    def is_empty_prompt(self) -> bool:
        """Whether the prompt box is there, with nothing in it."""
        return self.owner == "prompt" and not self.text


def read(lines: Sequence[str], cursor: tuple[int, int], patterns: Patterns, *, columns: int) -> Reading:
    """What the visible screen *lines* says.

    Args:
        cursor: column and row, from 0.
        columns: width of the window.
    """
    rows = [line.rstrip() for line in lines]
    end = next((at for at in range(len(rows), 0, -1) if rows[at - 1]), 0)
    tail = "\n".join(rows[max(0, end - NEAR_END) : end])
    is_busy = any(pattern.search(tail) for pattern in patterns.busy.values())
    for name, pattern in patterns.dialog.items():
        if pattern.search(tail):
            return Reading("dialog", dialog=name, is_busy=is_busy)
    box = _at_cursor(rows, cursor, patterns, columns) if patterns.at_cursor else _lowest(rows, end, patterns)
    if box is None:
        return Reading("busy" if is_busy else "unknown", is_busy=is_busy)
    first, after, text = box
    return Reading("prompt", text=text, rows=(first, after), is_busy=is_busy)


Box = tuple[int, int, str]
"""First row, the one after the last, and what stands in it."""


def _lowest(rows: Sequence[str], end: int, patterns: Patterns) -> Box | None:
    """The prompt box nearest to the end of the screen; a row that looks like one may be of the conversation."""
    for first in range(end - 1, -1, -1):
        found = _box(rows, first, patterns)
        if found is not None:
            return found
    return None


def _box(rows: Sequence[str], first: int, patterns: Patterns) -> Box | None:
    """The prompt box whose text begins in row *first*, if one is there, whole."""
    begins = _matched(patterns.line, rows[first])
    if begins is None:
        return None
    if patterns.above is not None and (first == 0 or not patterns.above.match(rows[first - 1])):
        return None
    texts = [begins]
    for at in range(first + 1, len(rows) + 1):
        row = rows[at] if at < len(rows) else ""
        if _ends(rows, at, row, patterns):
            return first, at, _joined(texts, patterns)
        further = _matched(patterns.more, row)
        if further is None or at >= len(rows):
            return None
        texts.append(further)
    return None


def _ends(rows: Sequence[str], at: int, row: str, patterns: Patterns) -> bool:
    """Whether the box ends before row *at*."""
    if patterns.below is not None and not patterns.below.match(row):
        return False
    if patterns.footer is None:
        return patterns.below is not None or patterns.more is None or not patterns.more.match(row)
    after = at if patterns.below is None else at + 1
    footer = next((each for each in rows[after:] if each), "")
    return patterns.footer.match(footer) is not None


def _at_cursor(rows: Sequence[str], cursor: tuple[int, int], patterns: Patterns, columns: int) -> Box | None:
    """The prompt in the cursor's row, the last one that shows something."""
    x, y = cursor
    if y >= len(rows) or any(rows[y + 1 :]):
        return None
    first = y
    while first > 0 and len(rows[first - 1]) >= columns - 1 and _matched(patterns.line, rows[first]) is None:
        first -= 1  # what was typed goes on in the next row at the window's edge
    whole = "".join(rows[first : y + 1])
    text = _matched(patterns.line, whole)
    if text is None:
        return None
    blanks = x - len(rows[y]) - 1
    return first, y + 1, text + " " * max(0, blanks) if text or blanks > 0 else ""


def is_continued(lines: Sequence[str], cursor: tuple[int, int], patterns: Patterns) -> bool:
    """Whether a shell asks for the rest of a command: ``> `` in the cursor's row, and above it a prompt with the rest."""
    y = cursor[1]
    rows = [line.rstrip() for line in lines[: y + 1]]
    while rows and _CONTINUED.match(rows[-1]):
        rows.pop()
    return len(rows) <= y and bool(rows) and bool(_matched(patterns.line, rows[-1]))


def _matched(pattern: re.Pattern[str] | None, row: str) -> str | None:
    """The ``text`` in *row*; None where the pattern does not match."""
    found = pattern.match(row) if pattern is not None else None
    return None if found is None else (found["text"] or "")


def _joined(texts: Sequence[str], patterns: Patterns) -> str:
    text = "\n".join(texts).strip()
    return "" if patterns.placeholder is not None and patterns.placeholder.fullmatch(text) else text


def squeezed(text: str) -> str:
    """*text* without blanks and line breaks: what a prompt box wraps still compares."""
    return "".join(text.split())

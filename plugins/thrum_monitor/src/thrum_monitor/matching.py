"""Which lines match: RE2, whose time is linear in what it reads, so that no pattern can hang anything.

Blocks of many lines are searched at once, which is several hundred times faster than line by line where little matches.
That finds the same lines, for `never_nl` keeps a match within its line and ``(?m)`` puts ``^`` and ``$`` at its ends;
patterns that speak of the ends of the text, or take ``(?m)`` back, are tried line by line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import re2

LONGEST_PATTERN: Final = 4096
_MEMORY: Final = 2 << 20
_WORK: Final = 4_000_000
"""States times bytes that one search may take: it cannot be interrupted, and others wait."""
_SMALLEST: Final = 1024
_LARGEST: Final = 64 * 1024
_OF_THE_TEXT: Final = ("\\A", "\\z", "\\C")


class BadPattern(ValueError):
    """A pattern that RE2 does not take; the text says why."""


class Pattern:
    """A compiled pattern.

    Attributes:
        text: as it was written.
        piece: how many bytes are searched at once, at most.

    Raises:
        BadPattern: it is empty, too long, too large, or none.
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise BadPattern("it is empty")
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise BadPattern("it is no text") from None
        if size > LONGEST_PATTERN:
            raise BadPattern(f"it is longer than {LONGEST_PATTERN} bytes")
        self.text = text
        self._line = _compiled(text)
        self._block = None if _speaks_of_the_text(text) else _compiled(f"(?m:{text})")
        self.piece = max(_SMALLEST, min(_LARGEST, _WORK // max(1, self._line.programsize)))

    def search(self, text: bytes, start: int = 0) -> int:
        """Where the first match in one line begins, looked for from *start* on; -1 when there is none."""
        found = self._line.search(text, start)
        return -1 if found is None else int(found.start())

    def lines(self, block: bytes) -> Iterator[tuple[int, int, int]]:
        """Start, end and place of the first match of every line of *block* that matches; it ends with a newline."""
        if self._block is None:
            yield from self._one_by_one(block)
            return
        place = 0
        while place < len(block):
            found = self._block.search(block, place)
            # A pattern that matches nothing at all matches once more behind the last newline.
            if found is None or found.start() >= len(block):
                return
            at = found.start()
            start, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
            yield start, end, at
            place = end + 1

    def _one_by_one(self, block: bytes) -> Iterator[tuple[int, int, int]]:
        start = 0
        for line in block[:-1].split(b"\n"):
            at = self.search(line)
            if at >= 0:
                yield start, start + len(line), start + at
            start += len(line) + 1


def _compiled(text: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.never_nl = True
    options.max_mem = _MEMORY
    try:
        return re2.compile(text, options)
    except re2.error as error:
        (told,) = error.args
        raise BadPattern(told.decode(errors="replace") if isinstance(told, bytes) else str(told)) from None


def _speaks_of_the_text(text: str) -> bool:
    """Whether it tells the ends of a block from the ends of a line, or takes ``m`` back: ``(?-m)``, ``(?i-m:…)``."""
    groups = (group[: len(group) - len(group.lstrip("imsU-"))] for group in text.split("(?")[1:])
    return any(mark in text for mark in _OF_THE_TEXT) or any("-" in flags for flags in groups)

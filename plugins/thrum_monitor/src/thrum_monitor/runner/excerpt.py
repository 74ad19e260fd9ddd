"""A matching line as it goes into a message: text without colours and control characters, not too long."""

from __future__ import annotations

import re
from typing import Final

MOST: Final = 2048
_BEFORE: Final = 512
"""Bytes and those of them before the match, of a line that is longer."""

_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROL: Final = dict.fromkeys([*range(9), *range(10, 32), *range(127, 160)])


def excerpt(line: bytes, at: int) -> str:
    """What to show of *line*, which matched at byte *at*."""
    if len(line) <= MOST:
        return _plain(line)
    start = max(0, min(at - _BEFORE, len(line) - MOST))
    shown = _plain(line[start : start + MOST])
    before, after = "…" * (start > 0), "…" * (start + MOST < len(line))
    return f"{before}{shown}{after} ({len(line)} bytes)"


def _plain(line: bytes) -> str:
    text = line.removesuffix(b"\r").decode(errors="replace")
    return _ESCAPES.sub("", text).translate(_CONTROL).strip() or "(an empty line)"

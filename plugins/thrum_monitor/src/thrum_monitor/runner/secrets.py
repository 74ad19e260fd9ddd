"""Values of ``--env`` in what a command prints: never shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SHORTEST: Final = 6
"""Shorter values are words like ``1`` or ``true``, that would make any text unreadable."""
_MARK: Final = "<redacted>"


class Secrets:
    """Takes *values* out of texts, the longest first."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = sorted({value for value in values if len(value) >= SHORTEST}, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """*text* without them."""
        for value in self._values:
            text = text.replace(value, _MARK)
        return text

"""What of typed input gets lost: a whole line, its tail, or the Enter behind it, by a seeded draw or as told."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

KINDS: Final = ("line", "tail", "enter")
_BURST: Final = 8
"""Characters that come at once; fewer are a person's."""


class Drops:
    """Loses input.

    Args:
        rate: of the injections, those that lose something, 0…1.
        kinds: what can get lost, see `KINDS`.
    """

    def __init__(self, rate: float = 0.0, kinds: Sequence[str] = KINDS, *, seed: int = 0) -> None:
        self.rate = rate
        self.kinds = tuple(kinds)
        self._random = random.Random(seed)
        self._next: list[str] = []
        self._no_enter = False

    def plan(self, kinds: Sequence[str]) -> None:
        """What the next injections lose, one each; an empty word loses nothing."""
        self._next = list(kinds)

    def text(self, text: str) -> str:
        """What of an injected text arrives; a person's key always does."""
        if len(text) < _BURST:
            return text
        kind = self._kind()
        self._no_enter = kind == "enter"
        if kind == "line":
            return ""
        return text[: self._random.randrange(1, len(text))] if kind == "tail" else text

    def enter(self) -> bool:
        """Whether an Enter arrives."""
        lost, self._no_enter = self._no_enter, False
        return not lost

    def _kind(self) -> str:
        if self._next:
            return self._next.pop(0)
        return self._random.choice(self.kinds) if self.kinds and self._random.random() < self.rate else ""

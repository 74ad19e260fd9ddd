"""Which blocks answer which request: a request ends with a mark of its own, however many blocks its commands give."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Final

from thrum_tmux.control.words import Words

_PRINT: Final = ("display-message", "-p")

Answer = list[tuple[str, ...]]
"""What each command of a request printed, in order."""


class Marks:
    """Words that no screen shows: the text between commands, and what ends the n-th request."""

    def __init__(self) -> None:
        self.between: Final = f"thrum-{secrets.token_hex(12)}"
        self._count = 0

    def end(self) -> str:
        """A new one."""
        self._count += 1
        return f"{self.between}-{self._count}"

    def separated(self, commands: Iterable[Words]) -> list[Words]:
        """The commands with a mark between each two, for one that tmux judges may run others or none."""
        found: list[Words] = []
        for words in commands:
            found += [(*_PRINT, self.between)] if found else []
            found.append(words)
        return found

    def split(self, lines: Sequence[str]) -> Answer:
        """What separated commands printed."""
        answer: Answer = []
        part: list[str] = []
        for line in lines:
            if line == self.between:
                answer.append(tuple(part))
                part = []
            else:
                part.append(line)
        return [*answer, tuple(part)]


def printing(mark: str) -> Words:
    """The command that prints a mark."""
    return (*_PRINT, mark)

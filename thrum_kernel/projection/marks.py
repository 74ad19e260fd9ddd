"""Receipts known before their messages are loaded: when did an agent read what a writer wrote at a place?"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

SEEN, READ = 0, 1
"""Kinds of receipts, as in ``receipt_range``."""


class Mark(NamedTuple):
    """A receipt over a range of a writer's sequences; ``kind`` is that of ``receipt_range``."""

    writer: int
    first: int
    last: int
    agent: int
    kind: int
    at_us: int


class _Steps:
    """The earliest time told for each number, as a step function."""

    def __init__(self, ranges: list[tuple[int, int, int]]) -> None:
        self._starts: list[int] = []
        self._times: list[int | None] = []
        edges = sorted({edge for first, last, _ in ranges for edge in (first, last + 1)})
        ranges.sort()
        open_: list[tuple[int, int, int]] = []
        at = 0
        for edge in edges:
            while at < len(ranges) and ranges[at][0] <= edge:
                open_.append(ranges[at])
                at += 1
            open_ = [piece for piece in open_ if piece[1] >= edge]
            self._starts.append(edge)
            self._times.append(min((piece[2] for piece in open_), default=None))

    def at(self, number: int) -> int | None:
        found = bisect_right(self._starts, number) - 1
        return self._times[found] if found >= 0 else None


class MarkIndex:
    """Answers for one place after all marks were added."""

    def __init__(self) -> None:
        self._ranges: dict[
            tuple[int, int], tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]
        ] = {}
        self._steps: dict[tuple[int, int], tuple[_Steps, _Steps]] | None = None

    def add(self, mark: Mark) -> None:
        """Note one mark; what is read is seen."""
        seen, read = self._ranges.setdefault((mark.writer, mark.agent), ([], []))
        seen.append((mark.first, mark.last, mark.at_us))
        if mark.kind == READ:
            read.append((mark.first, mark.last, mark.at_us))
        self._steps = None

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def times(self, writer: int, agent: int, sequence: int) -> tuple[int | None, int | None]:
        """When it was read and seen, microseconds, None where not."""
        if self._steps is None:
            self._steps = {key: (_Steps(seen), _Steps(read)) for key, (seen, read) in self._ranges.items()}
        steps = self._steps.get((writer, agent))
        if steps is None:
            return None, None
        seen, read = steps
        return read.at(sequence), seen.at(sequence)

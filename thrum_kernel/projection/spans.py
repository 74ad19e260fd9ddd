"""Sets of sequence numbers as sorted, disjoint, inclusive ranges."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise


class Spans:
    """Whole numbers, kept as ranges; adding next to a range lengthens it."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(ranges):
            self._append(first, last)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Spans:
        """The set of *numbers*, in any order, repeated or not."""
        spans = cls()
        ascending = sorted(set(numbers))
        breaks = [at for at, (one, next_) in enumerate(pairwise(ascending), 1) if next_ != one + 1]
        for begin, end in pairwise([0, *breaks, len(ascending)] if ascending else []):
            spans._append(ascending[begin], ascending[end - 1])
        return spans

    def _append(self, first: int, last: int) -> None:
        """Add a range that starts at or after the start of the last one."""
        if self._lasts and first <= self._lasts[-1] + 1:
            self._lasts[-1] = max(self._lasts[-1], last)
        else:
            self._firsts.append(first)
            self._lasts.append(last)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __contains__(self, number: object) -> bool:
        assert isinstance(number, int)
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def add(self, number: int) -> None:
        """Add one number."""
        at = bisect_right(self._firsts, number) - 1
        if at >= 0 and number <= self._lasts[at] + 1:
            self._lasts[at] = max(self._lasts[at], number)
        else:
            at += 1
            self._firsts.insert(at, number)
            self._lasts.insert(at, number)
        if at + 1 < len(self._firsts) and self._firsts[at + 1] <= self._lasts[at] + 1:
            self._lasts[at] = max(self._lasts[at], self._lasts.pop(at + 1))
            del self._firsts[at + 1]

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of ``first … last`` that are not in the set."""
        gaps: list[tuple[int, int]] = []
        at = max(bisect_right(self._firsts, first) - 1, 0)
        for begin, end in zip(self._firsts[at:], self._lasts[at:], strict=True):
            if begin > last:
                break
            if begin > first:
                gaps.append((first, begin - 1))
            first = max(first, end + 1)
        if first <= last:
            gaps.append((first, last))
        return gaps

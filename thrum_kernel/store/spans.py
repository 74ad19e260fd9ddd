"""Sets of sequence numbers as disjoint inclusive ranges, and such a set for each writer."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping


class Spans:
    """A set of positive integers, kept as sorted, disjoint, non-adjacent inclusive ranges."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spans) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Spans({list(self)})"

    def __contains__(self, number: int) -> bool:
        return self.covers(number, number)

    def covers(self, first: int, last: int) -> bool:
        """Whether every number from *first* to *last* is in the set."""
        at = bisect_right(self._firsts, first) - 1
        return at >= 0 and self._lasts[at] >= last

    def add(self, first: int, last: int) -> None:
        """Put every number from *first* to *last* into the set; nothing when *last* is below *first*."""
        if last < first:
            return
        low = bisect_right(self._lasts, first - 2)  # the first range that ends at first - 1 or later
        high = bisect_right(self._firsts, last + 1)  # past the last range that begins at last + 1 or earlier
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """The ranges between *first* and *last* that are not in the set, ascending."""
        found = []
        for low, high in self:
            if high < first:
                continue
            if low > last:
                break
            if low > first:
                found.append((first, low - 1))
            first = high + 1
        if first <= last:
            found.append((first, last))
        return found

    @property
    def last(self) -> int:
        """The highest number; 0 when empty."""
        return self._lasts[-1] if self._lasts else 0

    def copy(self) -> Spans:
        """An independent set with the same numbers."""
        return Spans(self)


class Coverage:
    """What is there of each writer: a set of sequences by writer."""

    __slots__ = ("_by_writer",)

    def __init__(self, ranges: Mapping[str, Iterable[tuple[int, int]]] | None = None) -> None:
        self._by_writer = {writer: Spans(found) for writer, found in (ranges or {}).items()}

    def of(self, writer: str) -> Spans:
        """The sequences of *writer*; a live set, to be read only."""
        return self._by_writer.get(writer) or Spans()

    def add(self, writer: str, first: int, last: int) -> None:
        """Note that the sequences *first* to *last* of *writer* are there."""
        self._by_writer.setdefault(writer, Spans()).add(first, last)

    def covers(self, writer: str, first: int, last: int) -> bool:
        """Whether all of *first* to *last* of *writer* is there."""
        return self.of(writer).covers(first, last)

    def items(self) -> Iterator[tuple[str, Spans]]:
        """Writers with their sets."""
        yield from self._by_writer.items()

    def copy(self) -> Coverage:
        """An independent copy."""
        return Coverage(dict(self._by_writer))

"""Packing receipts: which of one writer's messages somebody read, as few inclusive ranges.

A range may run across events that concern somebody else, since a receipt only counts for messages delivered to its
reader. It must break at every place that could be a message to the reader which is not read: one that is known and
unread, and one whose event this daemon has not projected.

Source: DESIGN.md D1, "What travels".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

Range = tuple[int, int]


def pack(read: Iterable[int], *, unread: Iterable[int], projected: Sequence[Range]) -> list[Range]:
    """The fewest ranges that cover all of *read*, none of *unread* and nothing outside *projected*.

    Args:
        read: sequences that were read; each lies in a range of *projected*.
        unread: sequences of messages to the same reader that were not read.
        projected: disjoint ascending ranges of what has been projected of the writer.
    """
    starts = [first for first, _ in projected]
    gaps = sorted(set(unread))
    ranges: list[Range] = []
    for sequence in sorted(set(read)):
        if ranges and _joins(ranges[-1][1], sequence, starts, gaps):
            ranges[-1] = (ranges[-1][0], sequence)
        else:
            ranges.append((sequence, sequence))
    return ranges


def merge(ranges: Iterable[Range]) -> list[Range]:
    """Disjoint ascending ranges of the same numbers, neighbours joined."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def contains(ranges: Sequence[Range], number: int) -> bool:
    """Whether a number lies in one of these disjoint ascending ranges."""
    at = bisect_right(ranges, (number, _MAX)) - 1
    return at >= 0 and ranges[at][0] <= number <= ranges[at][1]


def subtract(ranges: Sequence[Range], taken: Sequence[Range]) -> list[Range]:
    """What of *ranges* is not in *taken*; both disjoint and ascending."""
    left: list[Range] = []
    for first, last in ranges:
        at = max(bisect_right(taken, (first, _MAX)) - 1, 0)
        for t_first, t_last in taken[at:]:
            if t_first > last:
                break
            if t_last < first:
                continue
            if t_first > first:
                left.append((first, t_first - 1))
            first = max(first, t_last + 1)
        if first <= last:
            left.append((first, last))
    return left


_MAX = 1 << 62


def _joins(last: int, sequence: int, starts: Sequence[int], unread: Sequence[int]) -> bool:
    """Whether nothing between *last* and *sequence* breaks a range."""
    same_range = bisect_right(starts, last) == bisect_right(starts, sequence)
    return same_range and bisect_right(unread, last) == bisect_right(unread, sequence)

"""How far a session's `wait` has come: the places of the log whose messages it need not report any more.

A place is ``(writer, sequence)``. What counts is arrival here, so a message that was written long ago and comes late
is still news. The position covers every place that was projected, broken at messages to the agent that were not
shown, so none is lost to a filter or a page limit and none is reported twice.

Source: spec/decisions.md, "Messaging"; DESIGN.md D2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from thrum_kernel.messaging.receipt_ranges import Range, contains, merge, subtract

Place = tuple[str, int]


class Position:
    """A set of places, kept as ranges by writer. Immutable."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: Mapping[str, Iterable[Range]] = {}) -> None:
        self.ranges = {writer: tuple(merge(found)) for writer, found in ranges.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Position) and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(frozenset(self.ranges.items()))

    def __contains__(self, place: Place) -> bool:
        return contains(self.ranges.get(place[0], ()), place[1])

    def __or__(self, other: Position) -> Position:
        writers = self.ranges.keys() | other.ranges.keys()
        return Position({w: (*self.ranges.get(w, ()), *other.ranges.get(w, ())) for w in writers})

    def without(self, places: Iterable[Place]) -> Position:
        """This position, broken at *places*."""
        holes: dict[str, list[Range]] = {}
        for writer, sequence in places:
            holes.setdefault(writer, []).append((sequence, sequence))
        return Position({w: subtract(found, merge(holes.get(w, ()))) for w, found in self.ranges.items()})

    def beyond(self, other: Position) -> dict[str, list[Range]]:
        """The ranges that are in this one and not in *other*, by writer; writers without any are left out."""
        found = {w: subtract(ranges, other.ranges.get(w, ())) for w, ranges in self.ranges.items()}
        return {writer: ranges for writer, ranges in found.items() if ranges}

    def dump(self) -> str:
        """As JSON, for the database."""
        return msgspec.json.encode(self.ranges).decode()

    @classmethod
    def load(cls, text: str) -> Position:
        return cls(msgspec.json.decode(text, type=dict[str, list[Range]]))

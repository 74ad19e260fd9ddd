"""Packing of receipts, and positions of waits, over any sets of numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from thrum_kernel.messaging.position import Position
from thrum_kernel.messaging.receipt_ranges import contains, merge, pack, subtract

numbers = st.integers(min_value=1, max_value=40)
ranges = st.lists(st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair))), max_size=6).map(merge)


def numbers_in(found: object) -> set[int]:
    return {number for first, last in found for number in range(first, last + 1)}  # type: ignore[attr-defined]


@given(ranges, st.data())
def test_pack_covers_what_was_read_and_nothing_that_was_not(
    projected: list[tuple[int, int]], data: st.DataObject
) -> None:
    known = sorted(numbers_in(projected))
    to_reader = data.draw(st.sets(st.sampled_from(known))) if known else set()
    read = data.draw(st.sets(st.sampled_from(sorted(to_reader)))) if to_reader else set()
    unread = to_reader - read

    packed = pack(read, unread=unread, projected=projected)

    covered = numbers_in(packed)
    assert read <= covered
    assert not covered & unread
    assert covered <= set(known)
    assert len(packed) == len(numbers_in_runs(read, blocked=unread | (set(range(1, 41)) - set(known))))


def numbers_in_runs(read: set[int], *, blocked: set[int]) -> list[list[int]]:
    """The fewest groups: two neighbours are together when nothing blocked lies between them."""
    runs: list[list[int]] = []
    for number in sorted(read):
        if runs and not any(between in blocked for between in range(runs[-1][-1] + 1, number)):
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


@given(ranges, ranges)
def test_subtract_and_merge_are_those_of_sets(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    assert numbers_in(subtract(a, b)) == numbers_in(a) - numbers_in(b)
    assert numbers_in(merge([*a, *b])) == numbers_in(a) | numbers_in(b)
    assert merge(merge([*a, *b])) == merge([*a, *b])
    assert all(contains(a, number) == (number in numbers_in(a)) for number in range(42))


positions = st.dictionaries(st.sampled_from(("w1", "w2", "w3")), ranges, max_size=3)


def places(found: dict[str, list[tuple[int, int]]]) -> set[tuple[str, int]]:
    return {(writer, number) for writer, spans in found.items() for number in numbers_in(spans)}


@given(positions, positions, st.sets(st.tuples(st.sampled_from(("w1", "w2", "w4")), numbers)))
def test_position_is_a_set_of_places(
    a: dict[str, list[tuple[int, int]]], b: dict[str, list[tuple[int, int]]], holes: set[tuple[str, int]]
) -> None:
    both = Position(a) | Position(b)

    assert places(dict(both.ranges)) == places(a) | places(b)  # type: ignore[arg-type]
    assert places(Position(a).beyond(Position(b))) == places(a) - places(b)
    assert places(dict(Position(a).without(holes).ranges)) == places(a) - holes  # type: ignore[arg-type]
    assert Position.load(both.dump()) == both
    assert all((place in both) == (place in places(a) | places(b)) for place in holes)

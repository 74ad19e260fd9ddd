"""Ids ascend, keep their order as keys, and follow what was seen from elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrum_kernel.ids import (
    HybridClock,
    decode_ulid,
    encode_ulid,
    is_ulid,
    key_floor,
    ulid_key,
    ulid_ms,
)

START_US = 1_800_000_000_000_000


class StoppedClock:
    """A wall clock that stands where it is put."""

    def __init__(self, us: int = START_US) -> None:
        self.us = us

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / 1e6


@given(st.integers(0, 2**128 - 1))
def test_ulid_round_trips(number: int) -> None:
    text = encode_ulid(number)

    assert is_ulid(text)
    assert decode_ulid(text) == number


@pytest.mark.parametrize("text", ["", "01H", "8" + "0" * 25, "0" * 25 + "I", "0" * 27, "0" * 25 + "a"])
def test_ulid_is_refused_when_malformed(text: str) -> None:
    assert not is_ulid(text)
    with pytest.raises(ValueError, match="not a ULID"):
        decode_ulid(text)


@given(st.lists(st.integers(-10_000, 10_000), max_size=200))
def test_ids_ascend_when_the_wall_clock_jumps(jumps: list[int]) -> None:
    wall = StoppedClock()
    clock = HybridClock(wall)
    made = [clock.next_ulid()]

    for jump in jumps:
        wall.us += jump * 1000
        made.append(clock.next_ulid())

    assert made == sorted(set(made))
    keys = [ulid_key(ulid) for ulid in made]
    assert keys == sorted(set(keys))


def test_ids_go_on_when_a_millisecond_is_used_up() -> None:
    clock = HybridClock(StoppedClock())
    made = [clock.next_ulid() for _ in range(70_000)]

    assert made == sorted(set(made))
    assert len({ulid_key(ulid) for ulid in made}) == len(made)


def test_next_id_is_above_an_observed_one_ahead_of_the_wall_clock() -> None:
    wall = StoppedClock()
    ahead = HybridClock(StoppedClock(wall.us + 3600 * 1_000_000)).next_ulid()
    clock = HybridClock(wall)

    assert clock.observe(ahead)
    assert clock.next_ulid() > ahead


def test_an_id_more_than_a_day_ahead_is_not_followed() -> None:
    wall = StoppedClock()
    ahead = HybridClock(StoppedClock(wall.us + 25 * 3600 * 1_000_000)).next_ulid()
    clock = HybridClock(wall)

    assert not clock.observe(ahead)
    assert ulid_ms(clock.next_ulid()) == wall.us // 1000


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
def test_keys_order_like_their_ulids(first: int, second: int) -> None:
    low, high = sorted((encode_ulid(first), encode_ulid(second)))

    assert ulid_key(low) <= ulid_key(high)


@given(st.integers(1_600_000_000_000_000, 3_000_000_000_000_000))
def test_key_floor_is_below_every_id_of_that_time(us: int) -> None:
    assert key_floor(us) <= ulid_key(HybridClock(StoppedClock(us)).next_ulid())


def test_time_by_ids_does_not_go_back_with_the_wall_clock() -> None:
    wall = StoppedClock()
    clock = HybridClock(wall)
    clock.next_ulid()

    wall.us -= 3 * 24 * 3600 * 1_000_000

    assert clock.now_us() == START_US

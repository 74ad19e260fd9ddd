"""One format for timestamps, whose string order is time order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrum_kernel.clock import format_us, parse_us

moments = st.integers(0, 4_000_000_000_000_000)


@given(moments)
def test_timestamps_round_trip(us: int) -> None:
    assert parse_us(format_us(us)) == us


@given(moments, moments)
def test_timestamps_order_like_times(first: int, second: int) -> None:
    assert (format_us(first) < format_us(second)) == (first < second)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-06-23T07:21:58Z", "2026-06-23T07:21:58.000000Z"),
        ("2026-06-23T07:21:58.5Z", "2026-06-23T07:21:58.500000Z"),
        ("2026-06-23T09:21:58.123456789+02:00", "2026-06-23T07:21:58.123456Z"),
    ],
)
def test_other_precisions_and_offsets_are_understood(text: str, same: str) -> None:
    assert format_us(parse_us(text)) == same


@pytest.mark.parametrize("text", ["", "yesterday", "2026-06-23T07:21:58"])
def test_a_time_without_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_us(text)

"""When a match is told, when a command is started again, when a schedule comes up: pure rules."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thrum_monitor import debounce
from thrum_monitor.debounce import Window
from thrum_monitor.restarts import GOOD_RUN_S, Restarts
from thrum_monitor.schedule import BadSchedule, Schedule
from thrum_monitor.times import length_of_time, timestamp

S = 1_000_000
BERLIN = ZoneInfo("Europe/Berlin")


def test_the_first_match_is_told_at_once_and_the_rest_at_the_end_of_the_window() -> None:
    window, due = debounce.heard(Window(), 1, ["one"], now_us=0, debounce_s=60)
    assert [(each.key, each.content) for each in due] == [("1", "one")]
    window, due = debounce.heard(window, 3, ["two", "three"], now_us=S, debounce_s=60)
    assert not due and window.suppressed == 3
    window, due = debounce.passed(window, now_us=59 * S, debounce_s=60)
    assert not due
    window, due = debounce.passed(window, now_us=60 * S, debounce_s=60)
    assert [(each.key, each.content) for each in due] == [
        ("1.rest", "two\n(+2 more matches suppressed in the last 1m)")
    ]
    window, due = debounce.heard(window, 1, ["four"], now_us=61 * S, debounce_s=60)
    assert [(each.key, each.content) for each in due] == [("2", "four")]


def test_one_suppressed_match_is_told_as_such() -> None:
    window, _ = debounce.heard(Window(), 2, ["one", "two"], now_us=0, debounce_s=90)
    _, (told,) = debounce.closed(window, debounce_s=90)
    assert told.content == "two\n(suppressed during last 1m30s)"


def test_a_window_whose_end_was_slept_through_is_told_before_the_next_match() -> None:
    window, _ = debounce.heard(Window(), 2, ["one", "two"], now_us=0, debounce_s=60)
    window, due = debounce.heard(window, 1, ["three"], now_us=1000 * S, debounce_s=60)
    assert [each.key for each in due] == ["1.rest", "2"]


def test_a_clock_that_is_set_back_does_not_silence_a_monitor() -> None:
    window, _ = debounce.heard(Window(), 2, ["one", "two"], now_us=10**6 * S, debounce_s=60)
    window, due = debounce.passed(window, now_us=0, debounce_s=60)
    assert not due
    _, due = debounce.passed(window, now_us=60 * S, debounce_s=60)
    assert due


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 5)), max_size=30))
def test_every_match_is_told_or_counted_and_no_key_is_used_twice(steps: list[tuple[int, int]]) -> None:
    window, now, told, matches = Window(), 0, [], 0
    for wait_s, count in steps:
        now += wait_s * S
        matches += count
        lines = [f"line {number}" for number in range(min(count, 2))]
        window, due = debounce.heard(window, count, lines, now_us=now, debounce_s=30)
        told += due
    _, due = debounce.closed(window, debounce_s=30)
    told += due
    keys = [each.key for each in told]
    assert len(keys) == len(set(keys))
    counted = 0
    for each in told:
        more = each.content.partition("(+")[2].partition(" ")[0]
        counted += 1 + int(more or 0)
    assert counted == matches


def test_restarts_wait_longer_and_longer_and_are_given_up() -> None:
    restarts = Restarts()
    delays, now = [], 0.0
    while (delay := restarts.after(lasted_s=0.1, now_s=now)) is not None:
        delays.append(delay)
        now += delay + 0.1
    assert delays == [1, 2, 4, 8, 16, 32, 60]
    assert restarts.why() == "its command ended 8 times in a row within 10 s"


def test_a_good_run_starts_over_and_a_command_that_ends_too_often_is_given_up() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.after(lasted_s=0, now_s=0)
    assert restarts.after(lasted_s=GOOD_RUN_S, now_s=1000) == 1
    ends, now = 0, 2000.0
    while restarts.after(lasted_s=GOOD_RUN_S, now_s=now) is not None:
        now += GOOD_RUN_S + 1
        ends += 1
    assert ends == 10
    assert restarts.why() == "its command ended 11 times in 5 minutes"
    restarts = Restarts()
    assert all(restarts.after(lasted_s=60, now_s=at * 60.0) == 1 for at in range(1000))


def moments(text: str, start: datetime, count: int) -> list[str]:
    schedule, at_us, found = Schedule(text, zone=BERLIN), int(start.timestamp()) * S, []
    for _ in range(count):
        at_us = schedule.after(at_us)
        found.append(datetime.fromtimestamp(at_us // S, BERLIN).strftime("%m-%d %H:%M %Z"))
    return found


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=BERLIN)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("*/20 * * * *", at(2026, 1, 1, 10, 5), ["01-01 10:20 CET", "01-01 10:40 CET", "01-01 11:00 CET"]),
        ("0 9 13 * 5", at(2026, 2, 1), ["02-06 09:00 CET", "02-13 09:00 CET", "02-20 09:00 CET"]),
        ("0 9 * * 7", at(2026, 2, 1, 10), ["02-08 09:00 CET"]),
        (
            "5,7-9 8-10/2 1 JAN *",
            at(2026, 1, 1, 8, 6),
            ["01-01 08:07 CET", "01-01 08:08 CET", "01-01 08:09 CET"],
        ),
        # the clock goes from 2:00 to 3:00 on 29 March: what is skipped comes right after
        ("30 2 * * *", at(2026, 3, 28, 12), ["03-29 03:00 CEST", "03-30 02:30 CEST"]),
        # and from 3:00 back to 2:00 on 25 October: once, not twice
        ("30 2 * * *", at(2026, 10, 24, 12), ["10-25 02:30 CEST", "10-26 02:30 CET"]),
        ("0 * * * *", at(2026, 10, 25, 1, 30), ["10-25 02:00 CEST", "10-25 02:00 CET", "10-25 03:00 CET"]),
    ],
)
def test_a_schedule_is_that_of_cron_also_when_the_clock_is_changed(
    text: str, start: datetime, expected: list[str]
) -> None:
    assert moments(text, start, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * *", "6 fields"),
        ("60 * * * *", "bad minute"),
        ("* 24 * * *", "bad hour"),
        ("* * 0 * *", "bad day-of-month"),
        ("* * * 13 *", "bad month"),
        ("* * * * 8", "bad day-of-week"),
        ("a b c d e", "bad minute"),
        ("*/0 * * * *", "bad minute"),
        ("0 0 31 2 *", "bad day-of-month"),
        ("@daily", "1 field,"),
    ],
)
def test_a_bad_schedule_is_told(text: str, told: str) -> None:
    with pytest.raises(BadSchedule, match=told):
        Schedule(text, zone=BERLIN)


def test_times_are_written_as_people_and_programs_read_them() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000000Z"
    assert [length_of_time(seconds) for seconds in (0, 60, 3661, 86400)] == ["0s", "1m", "1h1m1s", "1d"]

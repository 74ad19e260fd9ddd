"""Small pieces of text, each against what it must look like to the letter."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from thrum_kernel.cli import render
from thrum_kernel.cli.render import View
from thrum_kernel.clock import parse_us

NOW = parse_us("2026-06-23T12:00:00Z")


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-06-23T12:00:00Z", "just now"),
        ("2026-06-23T11:59:01Z", "just now"),
        ("2026-06-23T12:00:30Z", "just now"),
        ("2026-06-23T11:59:00Z", "1m ago"),
        ("2026-06-23T11:00:01Z", "59m ago"),
        ("2026-06-23T11:00:00Z", "1h ago"),
        ("2026-06-21T12:00:01Z", "47h ago"),
        ("2026-06-21T12:00:00Z", "2d ago"),
        ("2026-06-23T12:05:00Z", "in 5m"),
    ],
)
def test_ago_when_looking_back_and_ahead(moment: str, expected: str) -> None:
    assert render.ago(parse_us(moment), NOW) == expected


def test_time_when_verbose_is_local_with_its_offset() -> None:
    view = View(NOW, verbose=True, zone=ZoneInfo("Europe/Berlin"))
    assert view.time("2026-06-23T10:59:59.123456Z") == "2026-06-23 12:59:59 +0200 (1h ago)"


def test_time_when_there_is_none() -> None:
    assert View(NOW).time("") == ""


def test_zone_when_the_environment_names_one() -> None:
    assert render.zone_of({"TZ": "Europe/Berlin"}) == ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("name", ["", "No/Such", "/etc/passwd", ":/etc/localtime", "../../etc/passwd"])
def test_zone_when_the_environment_names_none_we_know(name: str) -> None:
    assert render.zone_of({"TZ": name}) is None


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0s"), (42, "42s"), (303, "5m 3s"), (7200, "2h"), (7800, "2h 10m"), (277_200, "3d 5h"), (-5, "0s")],
)
def test_duration_shows_two_units(seconds: int, expected: str) -> None:
    assert render.duration(seconds * 1_000_000) == expected


def test_columns_stand_under_one_another_and_trail_nothing() -> None:
    rows = [("@alice", "active", "x"), ("@bo", "offline", "")]
    assert render.columns(rows, indent="  ") == ["  @alice  active   x", "  @bo     offline"]


def test_columns_count_cells_of_wide_and_combining_characters() -> None:
    assert render.columns([("日本", "a"), ("e\u0301e", "b"), ("abcd", "c")]) == [
        "日本  a",
        "e\u0301e    b",
        "abcd  c",
    ]


def test_a_row_stays_one_line_whatever_its_cells_hold() -> None:
    forged = "mend it\n\r\n● @boss  coordinator/all  active\u2028now"
    assert render.columns([("Intent:", forged)]) == ["Intent:  mend it ● @boss  coordinator/all  active now"]


def test_columns_of_nothing() -> None:
    assert render.columns([]) == []


def test_fields_leave_out_what_is_empty() -> None:
    assert render.fields([("Role", "tester"), ("Branch", ""), ("Display", "T")]) == [
        "  Role:    tester",
        "  Display: T",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short", "short"),
        ("one\ntwo", "one …"),
        ("  padded  ", "padded"),
        ("abcdefghijkl", "abcdefghi…"),
        ("äöüäöüäöüäöü", "äöüäöüäöü…"),
        ("", ""),
    ],
)
def test_shorten_cuts_between_characters(text: str, expected: str) -> None:
    assert render.shorten(text, 10) == expected


def test_counted_knows_one() -> None:
    assert [render.counted(n, "message") for n in (0, 1, 2)] == ["0 messages", "1 message", "2 messages"]


def test_local_time_without_a_zone_is_the_machines() -> None:
    stamp = View(NOW, zone=UTC).local(NOW)
    assert stamp == "2026-06-23 12:00:00 +0000"

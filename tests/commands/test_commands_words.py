"""Words on the command line: names, labels, pages, bodies, lengths of time."""

from __future__ import annotations

import pytest

from thrum_kernel.cli import arguments, durations
from thrum_kernel.clock import format_us, parse_us
from thrum_kernel.errors import BodyInvalid, UsageError

NOW = parse_us("2026-06-23T12:00:00Z")
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h30m", 9000),
        ("7d", 604_800),
        ("1.5h", 5400),
        ("45", 45),
        ("250ms", 0.25),
        (" 1m ", 60),
    ],
)
def test_duration_when_it_is_one(text: str, seconds: float) -> None:
    assert durations.parse_duration_us(text, flag="--timeout") == seconds * SECOND


@pytest.mark.parametrize("text", ["", "abc", "-5s", "0s", "0", "5x", "h", "1h-", "1e3s", "５s"])
def test_duration_when_it_is_none(text: str) -> None:
    with pytest.raises(UsageError, match=r'invalid duration ".*" for --timeout'):
        durations.parse_duration_us(text, flag="--timeout")


@pytest.mark.parametrize(
    ("text", "seconds"), [("-30s", -30), ("+60s", 60), ("60s", 60), ("0s", 0), ("-0", 0)]
)
def test_offset_keeps_its_sign(text: str, seconds: int) -> None:
    assert durations.parse_offset_us(text, flag="--after") == seconds * SECOND


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2d", "2026-06-21T12:00:00.000000Z"),
        ("24h", "2026-06-22T12:00:00.000000Z"),
        ("2026-03-15", "2026-03-15T00:00:00.000000Z"),
        ("2026-03-15T10:00:00+02:00", "2026-03-15T08:00:00.000000Z"),
    ],
)
def test_cutoff_in_every_form(text: str, expected: str) -> None:
    assert format_us(durations.parse_cutoff_us(text, flag="--before", now_us=NOW)) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-03-15T10:00:00", "0d", "-1d"])
def test_cutoff_when_it_is_none(text: str) -> None:
    with pytest.raises(UsageError):
        durations.parse_cutoff_us(text, flag="--before", now_us=NOW)


def test_label_keeps_further_colons() -> None:
    assert arguments.label("url:http://x/y", flag="--ref") == {"type": "url", "value": "http://x/y"}


@pytest.mark.parametrize("text", ["module", "module:", ":auth", " : ", ""])
def test_label_without_its_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="must be type:value"):
        arguments.label(text, flag="--scope")


def test_labels_in_one_word_are_two_but_a_comma_in_a_value_is_not() -> None:
    found = arguments.labels(["a:1,b:2", "note:one, two"], flag="--scope")
    assert [f"{each['type']}={each['value']}" for each in found] == ["a=1", "b=2", "note=one, two"]


def test_names_lose_their_at_sign() -> None:
    assert arguments.names(["@bob", "carol,@dave"]) == ["bob", "carol", "dave"]


def test_paging_takes_limit_for_the_size() -> None:
    assert arguments.paging(page=2, page_size=10, limit=25) == {"page": 2, "page_size": 25}


@pytest.mark.parametrize(
    ("page", "size", "limit", "message"),
    [
        (0, 10, 0, "invalid --page 0"),
        (-1, 10, 0, "invalid --page -1"),
        (1, 0, 0, "invalid --page-size 0"),
        (1, 101, 0, "invalid --page-size 101"),
        (1, 10, 101, "invalid --limit 101"),
    ],
)
def test_paging_out_of_range_is_refused(page: int, size: int, limit: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        arguments.paging(page=page, page_size=size, limit=limit)


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"hi\n", "hi"), (b"hi\r\n", "hi"), (b"a\n\n", "a\n"), (b"a", "a"), (b"", ""), ("ä".encode(), "ä")],
)
def test_body_loses_one_newline_at_its_end(data: bytes, text: str) -> None:
    assert arguments.decode_body(data) == text


def test_body_that_is_not_utf8_is_refused_with_the_place() -> None:
    with pytest.raises(BodyInvalid, match=r"not valid UTF-8 \(byte 2\)"):
        arguments.decode_body(b"ab\xff")


def test_argument_that_was_not_utf8_is_refused() -> None:
    with pytest.raises(BodyInvalid, match="not valid UTF-8"):
        arguments.check_argument(b"a\xff".decode("utf-8", "surrogateescape"))

"""Output to matching lines: of any length, in any bytes, at any speed."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thrum_monitor.matching import Pattern
from thrum_monitor.runner.excerpt import excerpt
from thrum_monitor.runner.lines import LineReader
from thrum_monitor.runner.ring import MAX_BYTES, Ring, load, save
from thrum_monitor.runner.secrets import Secrets


def reader(pattern: str = "FAIL", **settings: Any) -> LineReader:
    return LineReader(Pattern(pattern), **{"bytes_a_second": 1 << 30, "now": 0.0, **settings})


def shown(text: bytes, pattern: str = "FAIL", chunk: int = 7) -> tuple[int, list[str], int]:
    made = reader(pattern)
    for start in range(0, len(text), chunk):
        made.feed(text[start : start + chunk], 0.0)
    made.end()
    return made.take()


def test_lines_come_in_any_parts() -> None:
    text = b"one\nFAIL two\r\nthree\nFAIL four"
    for chunk in range(1, len(text) + 1):
        assert shown(text, chunk=chunk) == (2, ["FAIL two", "FAIL four"], 0)


def test_the_end_of_a_line_is_where_it_ends_also_with_a_carriage_return() -> None:
    assert shown(b"FAIL\r\nFAILED\r\nFAIL", "FAIL$") == (2, ["FAIL", "FAIL"], 0)


def test_only_the_first_two_are_kept_and_all_are_counted() -> None:
    made = reader()
    made.feed(b"FAIL\n" * 1000, 0.0)
    assert made.take() == (1000, ["FAIL", "FAIL"], 0)
    assert made.take() == (0, [], 0)


@pytest.mark.parametrize("chunk", [1 << 20, 60_000, 4096])
@pytest.mark.parametrize("place", [10, 65_530, 200_000])
def test_a_long_line_is_one_match_wherever_it_is(chunk: int, place: int) -> None:
    line = b"x" * place + b"FAIL" + b"y" * 100_000 + b"FAIL" + b"z" * 100
    count, (told,), _ = shown(line + b"\nFAIX\n", chunk=chunk)
    assert count == 1 and "FAIL" in told and len(told) < 2200


def test_a_long_line_has_one_beginning() -> None:
    assert shown(b"y" + b"x" * 300_000 + b"\n", "^x", chunk=4096) == (0, [], 0)
    assert shown(b"x" * 300_000 + b"\n", "^x", chunk=4096)[0] == 1


def test_a_line_without_end_does_not_grow() -> None:
    made = reader()
    tracemalloc.start()
    for _ in range(1000):
        made.feed(b"x" * 65_536, 0.0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2 << 20, f"{most} bytes"


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_text_without_control_characters(data: bytes, chunk: int) -> None:
    _, lines, _ = shown(data, ".*", chunk=chunk)
    assert all(character == "\t" or character >= " " for line in lines for character in line)
    assert all(lines)


def test_an_excerpt_is_the_place_that_matched_without_colours() -> None:
    assert excerpt(b"\x1b[31mFAIL\x1b[0m \x00one\r", 5) == "FAIL one"
    assert excerpt(b"", 0) == "(an empty line)"
    told = excerpt(b"x" * 5000 + b"FAIL" + b"y" * 5000, 5000)
    assert told.startswith("…xxx") and "FAIL" in told and told.endswith("y… (10004 bytes)")


def test_what_is_beyond_the_budget_is_skipped_to_the_end_of_its_line_and_counted() -> None:
    made = reader(bytes_a_second=100)
    made.feed(b"x" * 250 + b"\n", 0.0)
    made.feed(b"FAIL unseen\nFA", 0.0)
    made.feed(b"IL half\nFAIL seen\n", 10.0)

    count, lines, skipped = made.take()

    assert (count, lines) == (1, ["FAIL seen"])
    assert skipped == len(b"FAIL unseen\nFAIL half\n")


def test_a_pattern_that_takes_all_the_time_costs_its_own_output() -> None:
    made = reader(stopwatch=itertools.count(step=2.0).__next__)
    made.feed(b"some output\n", 0.0)
    assert not made.has_budget(0.0)
    made.feed(b"more\n", 0.0)
    assert made.take()[2] == 5
    assert made.has_budget(60.0)


def test_a_ring_keeps_the_last_lines_with_times(tmp_path: Any) -> None:
    ring = Ring()
    ring.output(1, b"one\ntw")
    ring.output(2, b"o\r\nthr")
    ring.note(3, "— note")
    ring.output(4, b"four\n")

    assert ring.lines(10) == [(1, "one"), (1, "two"), (2, "thr"), (3, "— note"), (4, "four")]
    assert ring.lines(1) == [(4, "four")]
    path = tmp_path / "kept" / "one.json"
    save(path, ring)
    assert Ring(load(path)).lines(10) == ring.lines(10)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{")
    assert load(path) == []


def test_a_ring_does_not_grow() -> None:
    ring = Ring()
    for number in range(1000):
        ring.output(number, b"x" * 10_000 + b"\n")
        ring.note(number, "note")
    assert sum(len(text) for _, text in ring.lines(100_000)) <= MAX_BYTES


def test_secrets_are_taken_out_the_longest_first() -> None:
    secrets = Secrets(["hunter2", "hunter22", "1", ""])
    assert secrets.hide("hunter22 hunter2 1") == "<redacted> <redacted> 1"

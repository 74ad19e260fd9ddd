"""Blocks are searched as a whole, and find what each line alone would."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st
from thrum_monitor.matching import BadPattern, Pattern

PATTERNS = (
    "FAIL|panic:",
    "(?i)error",
    "^a",
    "b$",
    "^$",
    r"\Aa",
    r"b\z",
    "(?-m)^a",
    "(?i-m:^A)",
    "a*",
    r"[^x]b",
    r"\s+a",
    "(?s)a.b",
    "a\nb",
    r"\Bb",
    "",
    "x|",
    "(?P<word>ab)+",
)
BLOCKS = st.lists(st.text(alphabet="ab xFAIL\r").map(str.encode) | st.binary(max_size=8), max_size=8)


@given(BLOCKS, st.sampled_from([pattern for pattern in PATTERNS if pattern]))
def test_a_block_gives_the_lines_that_match_alone(lines: list[bytes], pattern: str) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    made = Pattern(pattern)
    block = b"".join(line + b"\n" for line in lines)
    found = [(block[start:end], at - start) for start, end, at in made.lines(block)]
    assert found == [(line, at) for line in lines if (at := made.search(line)) >= 0]


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("", "it is empty"),
        ("(", "missing )"),
        ("(?=x)", "invalid perl operator"),
        (r"(a)\1", "invalid escape"),
        ("x" * 5000, "longer than 4096 bytes"),
        ("((a{100}){100}){100}", "repetition"),
        ("a\udcff", "no text"),
    ],
)
def test_a_bad_pattern_is_told_in_one_line(pattern: str, told: str) -> None:
    with pytest.raises(BadPattern) as error:
        Pattern(pattern)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_what_takes_long_is_searched_in_small_pieces() -> None:
    assert Pattern("FAIL").piece == 64 * 1024
    assert Pattern("([ab]{1,200}){1,5}").piece < 8 * 1024


def test_re2_is_what_matches() -> None:
    """A backtracking engine would need ages for this."""
    assert Pattern("(x+x+)+y").search(b"x" * 60_000) == -1
    assert re2.compile("a").search("cab") is not None

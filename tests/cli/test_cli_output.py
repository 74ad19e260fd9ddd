"""What a command writes: lines or one JSON value, hints, no control characters."""

from __future__ import annotations

import errno
import json
import sqlite3
from dataclasses import dataclass

import msgspec
import pytest

from thrum_kernel.cli.output import Option, Output
from thrum_kernel.cli.running import fail
from thrum_kernel.errors import UnknownRecipient


class Written:
    """An `Output` and what came out of it."""

    def __init__(
        self, *, as_json: bool = False, quiet: bool = False, env: dict[str, str] | None = None
    ) -> None:
        self.pieces: list[tuple[int, bytes]] = []
        self.out = Output(lambda descriptor, data: self.pieces.append((descriptor, data)), env=env)
        self.out.as_json, self.out.quiet = as_json, quiet

    def of(self, descriptor: int) -> str:
        return b"".join(data for to, data in self.pieces if to == descriptor).decode()


def test_control_characters_are_stripped_from_text() -> None:
    written = Written()
    written.out.line("a\x1b[31mred\x07\r\x00 tab\there\x9b2J ü\nnext")
    written.out.note("\x1b]0;title\x07")
    written.out.close()

    assert written.of(1) == "a[31mred tab\there2J ü\nnext\n"
    assert written.of(2) == "]0;title\n"


def test_json_is_one_value_indented_by_two_with_controls_escaped() -> None:
    written = Written(as_json=True)
    written.out.line("for people")
    written.out.json({"text": "\x1b[31m\x9b ü", "empty": [], "list": [1]})
    written.out.close()

    assert written.of(1) == (
        '{\n  "text": "\\u001b[31m\\u009b ü",\n  "empty": [],\n  "list": [\n    1\n  ]\n}\n'
    )
    assert json.loads(written.of(1))["text"] == "\x1b[31m\x9b ü"


def test_json_takes_structs_and_dataclasses_and_names_that_are_no_unicode() -> None:
    class Shown(msgspec.Struct):
        path: str

    @dataclass
    class Other:
        path: str

    for value in (Shown("caf\udce9"), Other("caf\udce9")):
        written = Written(as_json=True)
        written.out.json(value)
        written.out.close()

        assert json.loads(written.of(1)) == {"path": "caf\udce9"}


def test_a_command_without_a_json_form_still_prints_one_value() -> None:
    written = Written(as_json=True)
    written.out.line("✓ Saved")
    written.out.line("  twice")
    written.out.close()
    silent = Written(as_json=True)
    silent.out.close()

    assert json.loads(written.of(1)) == {"message": "✓ Saved\n  twice"}
    assert json.loads(silent.of(1)) == {}


def test_a_second_json_value_is_a_mistake() -> None:
    written = Written(as_json=True)
    written.out.json(1)
    with pytest.raises(RuntimeError):
        written.out.json(2)


def test_a_failed_command_prints_no_value() -> None:
    written = Written(as_json=True)
    written.out.json({"half": True})
    written.out.failure(UnknownRecipient(["bbo"], {"bbo": ["bob"]}))
    written.out.close(failed=True)

    assert written.of(1) == ""
    assert written.of(2).splitlines() == [
        "Error: unknown recipient: @bbo — send to agents directly with --to @agent_name",
        "Hint: did you mean @bob? nothing was sent",
    ]


def test_hints_go_into_the_object_and_beside_other_values() -> None:
    for value, inside in (({"a": 1}, True), ([1], False), ("text", False)):
        written = Written(as_json=True)
        written.out.json(value)
        written.out.hint("x.y", "look", severity="warn", options=[Option("do", "thrum do", "safe")])
        written.out.close()

        shown = json.loads(written.of(1))
        if inside:
            assert shown["hints"] == [
                {
                    "code": "x.y",
                    "severity": "warn",
                    "message": "look",
                    "options": [{"label": "do", "cmd": "thrum do", "note": "safe"}],
                }
            ]
            assert written.of(2) == ""
        else:
            assert shown == value
            assert "warn [x.y]: look" in written.of(2)


def test_hints_for_people_come_last_warnings_first() -> None:
    written = Written()
    written.out.hint("a.info", "first")
    written.out.hint(
        "b.warn",
        "second",
        severity="warn",
        options=[Option("go", "thrum go"), Option("stop", "thrum stop", "now")],
    )
    written.out.line("answer")
    written.out.close()

    assert written.of(2) == (
        "\n  warn [b.warn]: second\n    go:   thrum go\n    stop: thrum stop    (now)\n\n  info [a.info]: first\n"
    )


@pytest.mark.parametrize(("quiet", "env"), [(True, {}), (False, {"THRUM_NO_HINTS": "1"})])
def test_hints_can_be_switched_off(quiet: bool, env: dict[str, str]) -> None:
    written = Written(quiet=quiet, env=env)
    written.out.hint("a.b", "no")
    written.out.close()

    assert written.of(2) == ""


def test_order_between_streams_is_kept() -> None:
    written = Written()
    written.out.line("one")
    written.out.line("two")
    written.out.note("three")
    written.out.raw(b"\x00\xff")
    written.out.close()

    assert written.pieces == [(1, b"one\ntwo\n"), (2, b"three\n"), (1, b"\x00\xff")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("roles.config.body-diff: the template changed", "roles.config.body-diff"),
        ("the file x.py is gone", "runtime.warn"),
        ("/a/b.c is gone", "runtime.warn"),
    ],
)
def test_a_warning_is_a_line_and_in_json_a_hint_with_its_own_code_if_it_begins_with_one(
    text: str, code: str
) -> None:
    spoken = Written()
    spoken.out.warn(text)
    spoken.out.close()
    assert (spoken.of(1), spoken.of(2)) == ("", f"Warning: {text}\n")
    written = Written(as_json=True)
    written.out.warn(text)
    written.out.json({"a": 1})
    written.out.close()
    assert written.of(2) == ""
    assert json.loads(written.of(1)) == {
        "a": 1,
        "hints": [{"code": code, "severity": "warn", "message": text, "options": []}],
    }


@pytest.mark.parametrize("way", ["array", "failed", "no hints", "raw"])
def test_a_warning_that_no_json_value_can_hold_is_still_a_line(way: str) -> None:
    written = Written(as_json=True, quiet=True, env={"THRUM_NO_HINTS": "1"} if way == "no hints" else {})
    written.out.warn("careful")
    if way == "raw":
        written.out.raw(b"bytes")
    else:
        written.out.json([1] if way == "array" else {"a": 1})
    written.out.close(failed=way == "failed")
    assert written.of(2) == "Warning: careful\n"
    assert "careful" not in written.of(1)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/config.json"), " of /x/config.json"),
        (sqlite3.OperationalError("database or disk is full"), ""),
    ],
)
def test_a_full_disk_is_told_as_such_wherever_it_is_met(error: Exception, told: str) -> None:
    written = Written()

    assert fail(error, written.out) == 1
    assert written.of(2) == (
        f"Error: no space left on the disk{told}\nHint: free some space and retry; reading still works\n"
    )

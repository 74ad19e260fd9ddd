"""The rules of waking that need no terminal: what is typed, what is erased, what is a storm, what proves."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from thrum_tmux.pane import Look
from thrum_tmux.screen.pins import pinned
from thrum_tmux.screen.reading import Reading
from thrum_tmux.wake.evidence import Transcripts
from thrum_tmux.wake.gate import DRAFT, Place, refusal
from thrum_tmux.wake.line import known, line, line_of
from thrum_tmux.wake.parts import surplus
from thrum_tmux.wake.program import Program, foreground
from thrum_tmux.wake.silence import Asked
from thrum_tmux.wake.storm import Breaker, Limits, circle_of

from thrum_kernel.api import Wake
from thrum_kernel.testing.fake_runtime.plugin import FAKE_AGENT
from thrum_kernel.testing.fake_runtime.transcript import Transcript

ID = "msg_01JD3Z5T7W9Y1B3D5F7H9K1M3P"
LINE = line(ID, sender="ada")


def test_a_line_names_the_newest_and_counts_the_others() -> None:
    wake = Wake("bob", ("msg_01JD3Z5T7W9Y1B3D5F7H9K1M3A", ID), ("carol", "ada"))
    assert line_of(wake, runtime="claude") == f"New message from @ada ({ID}) (+1) -- run: thrum inbox"
    assert line_of(wake, runtime="shell").startswith("# New message from @ada (")


@pytest.mark.parametrize("sender", ["ada; rm -rf ~", "$(id)", "a\nb", "`id`", "", "-x", "é", "a" * 99])
def test_a_name_that_is_none_is_never_typed(sender: str) -> None:
    assert line(ID, sender=sender) == f"New message ({ID}) -- run: thrum inbox"
    assert line("msg_$(id)", sender="monitor:ci") == "New message from @monitor:ci -- run: thrum inbox"


def test_a_whole_line_is_known_however_it_is_wrapped_and_nothing_else_is() -> None:
    for more, comment in ((0, False), (3, True)):
        ours = line(ID, sender="ada@host-1", more=more, is_comment=comment)
        assert known(ours[:33] + "\n" + ours[33:]) == ours
    for text in (LINE[:-1], LINE + ".", "x" + LINE, line("msg_1", sender="ada"), "", "half a tho"):
        assert known(text) == ""


@pytest.mark.parametrize(
    ("text", "erased"),
    [
        (LINE, 0),
        ("", 0),
        (LINE[:20], 20),
        ("New mes", 7),
        (LINE[10:], len(LINE) - 10),
        (LINE + LINE, len(LINE)),
        (LINE + LINE[:12], 11),
        ("New mess\nage from", 16),
        ("half a tho", 0),
        (LINE + " and", 0),
        ("x" + LINE, 0),
    ],
)
def test_only_what_is_ours_is_erased(text: str, erased: int) -> None:
    assert surplus(text, LINE) == erased


LOOK = Look(
    lines=("❯",), cursor=(2, 0), size=(80, 24), in_mode=False, synchronized=False, dead=False, command="claude",
    pid=1, last_key_s=None, at=0.0,
)  # fmt: skip
PLACE = Place("claude", queues_input=True, quiet_s=10.0)
EMPTY = Reading("prompt", rows=(0, 1))


@pytest.mark.parametrize(
    ("look", "reading", "runtime", "why"),
    [
        ({}, EMPTY, "claude", ""),
        ({"last_key_s": 11.0}, EMPTY, "claude", ""),
        ({"last_key_s": 9.0}, EMPTY, "claude", "somebody is at its keyboard"),
        ({"in_mode": True}, EMPTY, "claude", "somebody scrolls in its pane"),
        ({"dead": True}, EMPTY, "claude", "its program ended"),
        ({"command": "vim"}, EMPTY, "", "another program has its terminal: vim"),
        ({}, Reading("prompt", text="x", rows=(0, 1)), "claude", DRAFT),
        ({}, Reading("prompt", rows=(0, 1), is_busy=True), "claude", ""),
        ({}, Reading("busy", is_busy=True), "claude", "it works, and takes no input meanwhile"),
        ({}, Reading("dialog", dialog="trust"), "claude", "a dialog waits for an answer: trust"),
        ({}, Reading("unknown"), "claude", "its prompt is not on the screen"),
    ],
)
def test_the_gate_says_why_not(look: dict[str, object], reading: Reading, runtime: str, why: str) -> None:
    seen = dataclasses.replace(LOOK, **look)  # type: ignore[arg-type]
    assert refusal(seen, reading, PLACE, runtime=runtime) == why


def test_a_line_that_is_expected_must_be_all_there_is() -> None:
    def asked(text: str) -> str:
        return refusal(
            LOOK, Reading("prompt", text=text, rows=(0, 1)), PLACE, runtime="claude", expected=LINE
        )

    assert (asked(LINE), asked(LINE[:40] + "\n" + LINE[40:])) == ("", "")
    assert (asked(LINE + "!"), asked(""), asked(LINE[:-1])) == (DRAFT, DRAFT, DRAFT)
    idle = dataclasses.replace(PLACE, queues_input=False)
    busy = Reading("prompt", rows=(0, 1), is_busy=True)
    assert refusal(LOOK, busy, idle, runtime="claude") == "it works, and takes no input meanwhile"


def test_signs_that_tmux_could_take_for_syntax_are_never_in_a_format() -> None:
    look = dataclasses.replace(LOOK, lines=("a#{x}%H,b:c}$(d)[e]*", "❯"), command="a;b#{x}", cursor=(2, 1))
    held = pinned(look, Reading("prompt", rows=(1, 2)))
    assert "#{==:#{C/r:^a..x..H.b.c...d..e..$},1}" in held and "^a.b..x.$" in held
    assert held.count("{") == held.count("}")


# --- storms ----------------------------------------------------------------------------------------------------------


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


LIMITS = Limits(wakes=3, per_minute=4, pause_s=100)


def test_wakes_without_a_read_end_for_a_while_and_go_on_with_a_read() -> None:
    clock = Time()
    breaker = Breaker(monotonic=clock)
    for number in range(3):
        assert breaker.judge("bob", [(f"m{number}", "ada")], LIMITS) is None
        breaker.woken("bob", f"m{number}")
    storm = breaker.judge("bob", [("m3", "ada")], LIMITS)
    assert storm is not None and storm.is_new and "3 times without reading" in storm.why
    again = breaker.judge("bob", [("m4", "ada")], LIMITS)
    assert again is not None and not again.is_new, "the supervisor is told once"
    assert breaker.woken_for("bob") == ("m0", "m1", "m2")
    breaker.read("bob")
    assert breaker.judge("bob", [("m5", "ada")], LIMITS) is None


def test_after_the_pause_it_gets_one_more_wake() -> None:
    clock = Time()
    breaker = Breaker(monotonic=clock)
    for number in range(3):
        breaker.woken("bob", f"m{number}")
    assert breaker.judge("bob", [], LIMITS) is not None
    clock.now = 101
    assert breaker.judge("bob", [], LIMITS) is None
    breaker.woken("bob", "m3")
    found = breaker.judge("bob", [], LIMITS)
    assert found is not None and found.is_new


def test_agents_that_answer_each_other_faster_than_the_rate_are_a_storm() -> None:
    clock = Time()
    breaker = Breaker(monotonic=clock)
    names = ("ada", "bob", "carol")
    told = []
    for number in range(4):
        for at, name in enumerate(names):
            clock.now += 1
            told.append(breaker.judge(names[(at + 1) % 3], [(f"{name}{number}", name)], LIMITS))
    why = next(storm.why for storm in told if storm is not None)
    assert "@ada → @bob → @carol → @ada write to each other 4 times a minute" in why or why.count("→") == 3
    assert all(storm is None for storm in told[:9])
    clock.now += 200
    assert breaker.judge("ada", [("later", "carol")], LIMITS) is None, "the minute is over"


def test_one_who_only_writes_and_messages_told_twice_are_no_storm() -> None:
    breaker = Breaker(monotonic=Time())
    for number in range(50):
        assert breaker.judge("bob", [(f"m{number}", "ada")], LIMITS) is None
    for _ in range(50):
        assert breaker.judge("ada", [("the same", "bob")], LIMITS) is None
    assert circle_of("a", [("a", "b"), ("b", "c"), ("c", "b")]) == []
    assert circle_of("a", [("a", "b"), ("b", "c"), ("c", "a"), ("b", "a")]) == ["a", "b"]


def test_questions_to_a_silent_worker_come_ever_later() -> None:
    asked = Asked()
    dues = []
    for _ in range(4):
        dues.append(asked.due_s(300))
        asked.times += 1
    assert dues == [300, 600, 1200, 2400]
    asked.at = 1000
    assert not asked.went_on(1010, 300), "it answered the question"
    assert asked.went_on(1400, 300)


# --- proof -----------------------------------------------------------------------------------------------------------


def test_only_what_the_agent_was_given_after_the_wake_proves(tmp_path: Path) -> None:
    program = Program("fake-agent", os.getpid(), tmp_path)
    written = Transcript(tmp_path, tmp_path, os.getpid())
    transcripts = Transcripts(dataclasses.replace(FAKE_AGENT, find_transcript=lambda pid, cwd: written.path))
    written.user(f"earlier: {ID}")
    before = transcripts.before(program, ID)
    assert (before.times, transcripts.shows(program, ID, before)) == (1, False)

    written.queued(LINE)
    written.assistant(f"I see {ID}")
    written.user(LINE, is_meta=True)
    written.compacted(f"was told of {ID}")
    assert not transcripts.shows(program, ID, before)
    with written.path.open("a") as file:
        file.write(json.dumps({"type": "user", "message": {"content": LINE}})[:40])
    assert not transcripts.shows(program, ID, before), "a line that is being written"

    written.path.write_text("")
    assert transcripts.before(program, ID).times == 0
    written.tool("thrum inbox", f"New: {ID}")
    assert transcripts.shows(program, ID, dataclasses.replace(before, times=0))


def test_a_program_is_known_by_its_process_and_a_stranger_by_nothing() -> None:
    own = foreground(os.getpid(), "python3", [])
    assert own.runtime == "" and own.name == "python3"
    assert foreground(2**22 + 1, "claude-like", [FAKE_AGENT]).runtime == ""

"""What stands at a prompt after a text was typed: that text and nothing of anybody else's, or no Enter."""

from __future__ import annotations

import re

import pytest
from thrum_tmux.pane import Look
from thrum_tmux.screen.patterns import Patterns
from thrum_tmux.screen.reading import Reading
from thrum_tmux.session import echoes
from thrum_tmux.session.echoes import Prompt, Typed
from thrum_tmux.typist import View

KNOWN = Patterns(line=re.compile("x"), pasted=re.compile(r"\[Pasted .*\]"))
LONG = "first line\nsecond line\nand the third line"


def view(reading: Reading, *rows: str, activity: str = "7") -> View:
    look = Look(
        lines=rows,
        cursor=(0, 0),
        size=(80, 24),
        in_mode=False,
        synchronized=False,
        dead=False,
        command="x",
        pid=1,
        last_key_s=None,
        at=1.0,
        activity=activity,
    )
    return View(look, reading)


EMPTY = view(Reading("prompt"))


@pytest.mark.parametrize(
    ("text", "shown", "is_entered", "with_a_key"),
    [
        ("/review", "/review", True, True),
        ("/review", "/review [pr number]", True, False),
        ("/review", "/rev", False, False),
        ("/review", "please /review", False, False),
        (LONG, "[Pasted text #1 +3 lines]", True, False),
        (LONG, "second line\nand the third line", True, False),
        (LONG, "line", False, False),
        (LONG, "half a tho", False, False),
    ],
)
def test_a_box_is_entered_when_it_shows_the_text_alone(
    text: str, shown: str, is_entered: bool, with_a_key: bool
) -> None:
    prompt = Prompt(KNOWN, is_shell=False)
    typed = Typed(text, EMPTY)

    alone = echoes.for_enter(view(Reading("prompt", text=shown), shown), typed, prompt)
    shared = echoes.for_enter(view(Reading("prompt", text=shown), shown, activity="8"), typed, prompt)

    assert (not alone.reason, not shared.reason) == (is_entered, with_a_key)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (("Go on?", "> 1. Yes", "  2. No"), "its dialog does not react to it"),
        (("Go on?", "  1. Yes", "> 2. No"), ""),
        (("Go on? 2", "> 1. Yes", "  2. No"), ""),
        (("Delete it?", "> 1. Yes", "  2. No"), "another dialog waits for an answer: d"),
    ],
)
def test_a_dialog_gets_enter_only_while_it_asks_the_same(rows: tuple[str, ...], reason: str) -> None:
    dialog = Reading("dialog", dialog="d")
    typed = Typed("2", view(dialog, "Go on?", "> 1. Yes", "  2. No"))

    assert echoes.for_enter(view(dialog, *rows), typed, Prompt(KNOWN, is_shell=False)).reason == reason


def test_a_dialog_that_is_gone_took_the_text() -> None:
    typed = Typed("2", view(Reading("dialog", dialog="d"), "Go on?"))
    prompt = Prompt(KNOWN, is_shell=False)

    assert echoes.for_enter(EMPTY, typed, prompt).reason == echoes.TAKEN
    rest = view(Reading("prompt", text="and more"), "and more")
    assert echoes.for_enter(rest, typed, prompt).reason == "the dialog took only a part of it"

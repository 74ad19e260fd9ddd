"""How far something is: a bar where the line can be drawn again, lines elsewhere, nothing when quiet."""

from __future__ import annotations

import os
import pty
from contextlib import closing
from pathlib import Path

from thrum_kernel.cli import autostart
from thrum_kernel.cli.progress import Progress, bar_of
from thrum_kernel.errors import Projecting


def told_of(*percents: int) -> list[str]:
    lines: list[str] = []
    progress = Progress(lines.append)
    for percent in percents:
        progress.tell(str(Projecting(percent)))
    progress.close()
    return lines


def test_without_a_terminal_there_is_a_line_every_ten_percent() -> None:
    assert told_of(1, 2, 9, 12, 19, 20, 100) == [
        "projecting 1 %",
        "projecting 12 %",
        "projecting 20 %",
        "projecting 100 %",
    ]
    assert len(told_of(*range(101))) == 11


def test_a_text_without_a_percentage_is_told_once() -> None:
    lines: list[str] = []
    progress = Progress(lines.append)
    for text in ("fetching messages", "fetching messages", "projecting 5 %", "fetching messages"):
        progress.tell(text)
    assert lines == ["fetching messages", "projecting 5 %", "fetching messages"]


def test_quiet_shows_nothing() -> None:
    shown: list[str] = []
    for bar in (None, shown.append):
        with closing(Progress(shown.append, bar=bar, quiet=True)) as progress:
            progress.tell("projecting 50 %")
    assert shown == []


def test_a_terminal_gets_a_bar_that_is_gone_in_the_end() -> None:
    ours, theirs = pty.openpty()
    try:
        bar = bar_of(theirs, {"TERM": "xterm"})
        assert bar is not None
        lines: list[str] = []
        with closing(Progress(lines.append, bar=bar)) as progress:
            progress.tell("projecting 50 %")
        os.write(theirs, b"|")
        shown = ""
        while not shown.endswith("|"):  # a terminal hands over what it has, not what was written at once
            shown += os.read(ours, 1000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert shown == f"\r\x1b[K[{'#' * 15}{'.' * 15}] projecting 50 %\r\x1b[K|" and lines == []


def test_no_bar_where_a_line_cannot_be_drawn_again() -> None:
    ours, theirs = pty.openpty()
    reading, writing = os.pipe()
    try:
        assert bar_of(theirs, {"TERM": "dumb"}) is None and bar_of(theirs, {}) is None
        assert bar_of(writing, {"TERM": "xterm"}) is None
    finally:
        for descriptor in (ours, theirs, reading, writing):
            os.close(descriptor)
    assert bar_of(writing, {"TERM": "xterm"}) is None


def test_a_daemon_that_has_projected_nothing_yet_is_not_worth_a_word(tmp_path: Path) -> None:
    answers: list[object] = [Projecting(0), Projecting(0), Projecting(3), {"status": "ok"}]
    told: list[str] = []

    class Beginning:
        def call(self, method: str, /, **params: object) -> object:
            answer = answers.pop(0)
            if isinstance(answer, Projecting):
                raise answer
            return answer

    autostart.wait_until_projected(Beginning(), told.append, log=tmp_path, patience_s=0)

    assert told == ["projecting 3 %"]

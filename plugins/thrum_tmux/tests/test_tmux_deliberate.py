"""What somebody sends into a pane comes to its agent alone and whole, or Enter is not pressed and that is told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from test_tmux_interlock import keyboard
from thrum_tmux.live_pane import LivePane
from thrum_tmux.session.deliberate import Deliberate, Pace, Sent
from thrum_tmux.session.shell_line import ShellLine
from tmux_wake import Happening, House, Raced, context, house, until

from thrum_kernel.testing.fake_runtime.driver import FakeRuntime
from thrum_kernel.testing.fake_runtime.plugin import FAKE_AGENT
from thrum_kernel.testing.tmux import TmuxServer

TEXT = "now run the tests"
PACE = Pace(free_s=1.5, steady_s=0.04, settled_s=0.1, echo_s=0.6, entered_s=0.5)
Story = Callable[[House, FakeRuntime], Awaitable[None]]


def play(tmux: TmuxServer, folder: Path, story: Story, **options: object) -> None:
    """Tell a story about one pane with the fake runtime."""

    async def told() -> None:
        async with house(tmux) as here:
            with here.agent("ada", folder, **options) as fake:
                await story(here, fake)

    asyncio.run(told())


async def send(
    here: House,
    text: str = TEXT,
    *,
    enter: bool = True,
    force: bool = False,
    before: dict[str, Happening] | None = None,
    after: dict[str, Happening] | None = None,
) -> Sent:
    pane = cast(LivePane, Raced(await here.pane("ada"), before=before, after=after))
    return await Deliberate(context(), pane, FAKE_AGENT, force=force, pace=PACE).send(text, enter=enter)


@contextlib.contextmanager
def person(here: House) -> Iterator[int]:
    """Somebody at a terminal that shows the session."""
    with keyboard(here.tmux, "ada") as keys:
        deadline = time.monotonic() + 20
        while not here.people("ada"):
            assert time.monotonic() < deadline, "nobody came"
        yield keys


def strokes(here: House) -> list[str]:
    return [each.what.split()[0] for each in here.keystrokes()]


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "-a first line; $HOME\n  é漢字\\n",
        "1. read it\n2. mend it\n3. land it",
        "a long one " * 300,
    ],
)
def test_a_text_is_typed_and_entered(tmux_server: TmuxServer, tmp_path: Path, text: str) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        assert await send(here, text) == Sent(True, is_entered=True)
        (found,) = fake.until(lambda state: state["submitted"])["submitted"]
        assert found.strip() == text.strip()

    play(tmux_server, tmp_path, story)


def test_a_text_without_enter_is_only_typed(tmux_server: TmuxServer, tmp_path: Path) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        assert await send(here, enter=False) == Sent(True)
        state = fake.until(lambda state: state["draft"])
        assert (state["draft"], state["submitted"]) == (TEXT, [])

    play(tmux_server, tmp_path, story)


@pytest.mark.parametrize("at", ["after the text", "before Enter"])
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("dialog", "a dialog waits for an answer: tool_confirmation"),
        ("draft", "something else stands in its prompt"),
        ("person", "something else stands in its prompt"),
        ("exit", "another program has its pane: bash"),
        ("scroll", "somebody scrolls there; keys go to tmux until they leave copy mode"),
        ("elsewhere", "its pane is gone, or in another session"),
    ],
)
def test_what_comes_between_text_and_enter_gets_no_enter(
    tmux_server: TmuxServer, tmp_path: Path, at: str, what: str, reason: str
) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        with person(here) if what == "person" else contextlib.nullcontext(-1) as keys:
            here.tmux("new-session", "-d", "-s", "other", "cat")
            pane = (await here.pane("ada")).id

            def leave() -> None:
                fake.order("exit", status=0)
                here.tmux.shows("ada", lambda rows: any("bash-" in row for row in rows))

            happens: dict[str, Happening] = {
                "dialog": lambda: fake.dialog("tool_confirmation"),
                "draft": lambda: fake.draft("half a tho"),
                "person": lambda: (os.write(keys, b"abc"), fake.until(lambda state: "abc" in state["draft"])),
                "exit": leave,
                "scroll": lambda: here.tmux("copy-mode", "-t", pane),
                "elsewhere": lambda: here.tmux("swap-pane", "-s", pane, "-t", "other:"),
            }
            moment = {"after": {"type": happens[what]}} if at == "after the text" else {}
            found = await send(here, **(moment or {"before": {"key": happens[what]}}))
            assert (found.is_typed, found.is_entered, found.reason) == (True, False, reason)
            assert found.left
            assert strokes(here) == ["-l"]
            if what not in ("exit", "elsewhere"):
                state = fake.state()
                assert (state["answered"], state["submitted"]) == ([], [])

    play(tmux_server, tmp_path, story)


@pytest.mark.parametrize(
    ("what", "reason", "can_force"),
    [
        ("draft", "a draft stands in its prompt: half a tho", True),
        ("work", "it works, and shows no prompt", True),
        ("scroll", "somebody scrolls there; keys go to tmux until they leave copy mode", False),
        ("person", "somebody is at its keyboard", True),
        ("cat", "another program has its pane: cat", True),
    ],
)
def test_what_stands_in_the_way_is_told_and_nothing_is_typed(
    tmux_server: TmuxServer, tmp_path: Path, what: str, reason: str, can_force: bool
) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        with person(here) if what == "person" else contextlib.nullcontext(-1) as keys:
            pane = (await here.pane("ada")).id
            typist = None
            if what == "draft":
                fake.draft("half a tho")
            elif what == "work":
                fake.order("set", queues=False)
                fake.work()
            elif what == "scroll":
                here.tmux("copy-mode", "-t", pane)
            elif what == "cat":
                here.tmux("respawn-pane", "-k", "-t", pane, "exec cat")
            else:
                typist = asyncio.create_task(_press(keys))
            found = await send(here)
            if typist is not None:
                typist.cancel()
            assert found == Sent(False, reason=reason, can_force=can_force)
            assert strokes(here) == []

    play(tmux_server, tmp_path, story)


async def _press(keys: int) -> None:
    """A person at a keyboard, who changes nothing that shows."""
    while True:
        os.write(keys, b"\x05")
        await asyncio.sleep(0.05)


def test_a_dialog_takes_its_answer_and_the_next_one_none(tmux_server: TmuxServer, tmp_path: Path) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        fake.dialog("tool_confirmation")
        assert await send(here, "1") == Sent(True)
        fake.dialog("tool_confirmation")

        def next_one() -> None:
            fake.until(lambda state: len(state["answered"]) == 2)
            fake.dialog("trust")

        found = await send(here, "3", after={"type": next_one})
        assert (found.is_entered, found.reason) == (False, "another dialog waits for an answer: trust")
        found = await send(here, "x")
        assert (found.is_entered, found.reason) == (False, "its dialog does not react to it")
        state = fake.state()
        assert state["answered"] == [["tool_confirmation", "yes"], ["tool_confirmation", "no"]]
        assert strokes(here) == ["-l"] * 3

    play(tmux_server, tmp_path, story)


def test_force_types_behind_a_draft_but_into_no_dialog_that_came_meanwhile(
    tmux_server: TmuxServer, tmp_path: Path
) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        fake.draft("half a tho")
        assert await send(here, "ught", force=True) == Sent(True, is_entered=True)
        fake.until(lambda state: state["submitted"] == ["half a thought"])
        found = await send(here, force=True, after={"type": lambda: fake.dialog("trust")})
        assert (found.is_entered, found.reason) == (False, "a dialog waits for an answer: trust")
        assert fake.state()["answered"] == []

    play(tmux_server, tmp_path, story)


def test_a_shell_runs_a_command_that_comes_with_its_enter(tmux_server: TmuxServer, tmp_path: Path) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        fake.order("exit", status=0)
        here.tmux.shows("ada", lambda rows: any("bash-" in row for row in rows))
        pane = await here.pane("ada")
        here.keystrokes()
        marks = [tmp_path / name for name in ("launched", "sent", "raced")]
        assert await ShellLine(context(), pane).run(f"> {marks[0]}", 2) == ""
        assert await send(here, f"> {marks[1]}") == Sent(True, is_entered=True)
        await until(lambda: marks[0].exists() and marks[1].exists())
        here.keystrokes()

        def begin() -> None:
            here.tmux("send-keys", "-t", "ada", "for i in 1; do", "Enter")
            here.tmux.shows("ada", lambda rows: any(row.rstrip() == ">" for row in rows))
            here.keystrokes()

        raced = cast(LivePane, Raced(pane, before={"type": begin}))
        reason = await ShellLine(context(), raced).run(f"> {marks[2]}", 0.5)
        assert reason == "an unfinished command stands there"
        assert strokes(here) == [] and not marks[2].exists()

    play(tmux_server, tmp_path, story)

"""Our line into a real pane: typed alone and whole, entered once, and never into what is not the empty prompt's."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from thrum_tmux.wake.gate import DRAFT
from thrum_tmux.wake.injection import NOT_ENTERED, NOT_WHOLE, Typed
from thrum_tmux.wake.line import line
from tmux_wake import FAST, LINE, House, house, injection

from thrum_kernel.testing.fake_runtime.driver import FakeRuntime
from thrum_kernel.testing.tmux import TmuxServer
from thrum_kernel.testing.waiting import until_on_loop as until

Story = Callable[[House, FakeRuntime], Awaitable[None]]


def play(tmux: TmuxServer, folder: Path, story: Story, **options: object) -> None:
    """Tell a story about one pane with the fake runtime."""

    async def told() -> None:
        async with house(tmux) as here:
            with here.agent("ada", folder, **options) as fake:
                await story(here, fake)

    asyncio.run(told())


async def run(here: House, deadline_s: float = 5.0, **how: object) -> Typed:
    return await injection(await here.pane("ada"), **how).run(deadline_s)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("face", "placeholder"), [("rule", ""), ("box", 'Try "fix the tests"'), ("bare", "")]
)
def test_a_line_is_typed_and_entered(
    tmux_server: TmuxServer, tmp_path: Path, face: str, placeholder: str
) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        assert await run(here) == Typed("submitted")
        assert fake.state()["submitted"] == [LINE]
        assert [each["what"] for each in fake.state()["taken"]] == [LINE, "Enter"]

    play(tmux_server, tmp_path, story, face=face, placeholder=placeholder)


@pytest.mark.parametrize(
    ("losses", "typed"),
    [
        (["line"], [LINE, LINE, "Enter"]),
        (["enter"], [LINE, "Enter", "Enter"]),
        (["tail", "enter"], [LINE, "…", LINE, "Enter", "Enter"]),
    ],
)
def test_what_gets_lost_is_typed_once_more(
    tmux_server: TmuxServer, tmp_path: Path, losses: list[str], typed: list[str]
) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        fake.order("drop_next", kinds=losses)
        assert await run(here) == Typed("submitted")
        state = fake.state()
        assert state["submitted"] == [LINE]
        words = [each["what"] for each in state["taken"]]
        if "…" in typed:
            at = typed.index("…")
            erased = [word for word in words if word == "BSpace"]
            assert 0 < len(erased) < len(LINE)
            words[at : at + len(erased)] = ["…"]
        assert words == typed

    play(tmux_server, tmp_path, story)


def test_what_never_comes_whole_is_told_and_nothing_is_left(tmux_server: TmuxServer, tmp_path: Path) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        fake.order("drop_next", kinds=["tail", "tail", "line"])
        assert await run(here) == Typed("none", NOT_WHOLE)
        assert (fake.state()["draft"], fake.state()["submitted"]) == ("", [])

    play(tmux_server, tmp_path, story)


def test_an_enter_that_is_never_taken_is_told_and_the_next_wake_takes_up_the_line(
    tmux_server: TmuxServer, tmp_path: Path
) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        assert await run(here) == Typed("left", NOT_ENTERED)
        assert fake.state()["draft"].strip() == LINE
        fake.order("set", paste_s=0)
        assert await run(here) == Typed("submitted")
        assert [each["what"] for each in fake.state()["taken"]].count(LINE) == 1

    play(tmux_server, tmp_path, story, paste=600)


def test_a_runtime_that_is_slow_to_take_enter_is_not_typed_to_again(
    tmux_server: TmuxServer, tmp_path: Path
) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        pid = fake.state()["pid"]

        async def freeze() -> None:
            os.kill(pid, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(FAST.entered_s + 0.2, os.kill, pid, signal.SIGCONT)

        found = await run(here, on_enter=freeze)
        os.kill(pid, signal.SIGCONT)
        assert found == Typed("submitted")
        state = fake.state()
        assert state["submitted"] == [LINE]
        assert [each["what"] for each in state["taken"]].count(LINE) == 1

    play(tmux_server, tmp_path, story)


def test_a_prompt_that_is_empty_after_enter_took_the_line_however_late(
    tmux_server: TmuxServer, tmp_path: Path
) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        hasty = dataclasses.replace(FAST, entered_s=0.0)
        lines = [line(f"msg_{number:026d}", sender="ada") for number in range(4)]
        for each in lines:
            await injection(await here.pane("ada"), each, timing=hasty).run(5)
            await until(lambda each=each: each in fake.state()["submitted"])
        assert fake.state()["submitted"] == lines
        assert [what for each in fake.state()["taken"] if (what := each["what"]) in lines] == lines

    play(tmux_server, tmp_path, story)


def test_a_line_that_an_earlier_wake_left_makes_room_for_a_newer_one(
    tmux_server: TmuxServer, tmp_path: Path
) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        fake.draft(line("msg_01JD3Z5T7W9Y1B3D5F7H9K1M3A", sender="carol.c@host", more=12))
        assert await run(here) == Typed("submitted")
        assert fake.state()["submitted"] == [LINE]

    play(tmux_server, tmp_path, story)


@pytest.mark.parametrize(
    ("order", "given", "reason"),
    [
        ("draft", {"text": "half a tho"}, DRAFT),
        ("draft", {"text": LINE[:30]}, DRAFT),
        ("draft", {"text": f"{LINE} and"}, DRAFT),
        ("dialog", {"name": "tool_confirmation"}, "a dialog waits for an answer: tool_confirmation"),
        ("dialog", {"name": "trust"}, "a dialog waits for an answer: trust"),
        ("dialog", {"name": "selection"}, "a dialog waits for an answer: selection"),
        ("exit", {}, "another program has its terminal: bash"),
    ],
)
def test_what_stands_in_the_way_is_told_and_nothing_is_typed(
    tmux_server: TmuxServer, tmp_path: Path, order: str, given: dict[str, str], reason: str
) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        here.tmux.shows("ada", lambda rows: any("?" in row for row in rows))
        fake.order(order, **given)
        pane = await here.pane("ada")
        if order == "exit":
            here.tmux.shows(
                "ada",
                lambda rows: (
                    "bash" in here.tmux("display-message", "-p", "-t", "ada", "#{pane_current_command}")
                ),
            )
        found = await injection(pane).run(0.3)
        assert found == Typed("none", reason)
        assert here.keystrokes() == []

    play(tmux_server, tmp_path, story)


def test_copy_mode_and_synchronised_panes_hold_it_back(tmux_server: TmuxServer, tmp_path: Path) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        here.tmux("copy-mode", "-t", "ada")
        assert await run(here, 0.3) == Typed("none", "somebody scrolls in its pane")
        here.tmux("copy-mode", "-q", "-t", "ada")
        here.tmux("set-option", "-w", "-t", "ada", "synchronize-panes", "on")
        here.tmux("split-window", "-t", "ada", "cat")
        found = await run(here, 0.3)
        assert found.reason == "what is typed into its pane goes to others too (synchronize-panes)"
        assert here.keystrokes() == []
        here.tmux("set-option", "-w", "-t", "ada", "synchronize-panes", "off")
        assert await run(here) == Typed("submitted")

    play(tmux_server, tmp_path, story)


def test_work_without_a_prompt_is_waited_for(tmux_server: TmuxServer, tmp_path: Path) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        fake.work()
        waiting = asyncio.create_task(run(here, queues_input=False))
        here.tmux.shows("ada", lambda rows: any("Working" in row for row in rows))
        await asyncio.sleep(0.3)
        assert here.keystrokes() == [] and not waiting.done()
        fake.rest()
        assert await waiting == Typed("submitted")

    play(tmux_server, tmp_path, story, queues=0)


def test_work_that_takes_input_is_typed_into(tmux_server: TmuxServer, tmp_path: Path) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        fake.work()
        here.tmux.shows("ada", lambda rows: any("Working" in row for row in rows))
        assert await run(here) == Typed("submitted")
        assert fake.state()["submitted"] == [LINE] and fake.state()["is_working"]

    play(tmux_server, tmp_path, story)


def test_a_dialog_between_line_and_enter_gets_no_enter(tmux_server: TmuxServer, tmp_path: Path) -> None:
    async def story(here: House, fake: FakeRuntime) -> None:
        pane = await here.pane("ada")
        waiting = asyncio.create_task(injection(pane).run(5))
        await until(lambda: LINE in fake.state()["draft"])
        fake.dialog("tool_confirmation")
        await asyncio.sleep(0.3)
        assert fake.state()["answered"] == [] and not waiting.done()
        fake.dialog("")
        assert await waiting == Typed("submitted")
        assert fake.state()["submitted"] == [LINE]

    play(tmux_server, tmp_path, story)

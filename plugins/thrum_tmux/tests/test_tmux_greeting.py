"""What a runtime is told as it begins: nowhere but into its own empty prompt, and also when the daemon ends meanwhile."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from pathlib import Path
from typing import cast

import pytest
from thrum_tmux.live_pane import LivePane
from thrum_tmux.session import greeting_marks as marks
from thrum_tmux.session import saying
from thrum_tmux.session.greeting_marks import Greeting
from tmux_house import House
from tmux_wake import Raced, context
from tmux_wake import house as wake_house

from thrum_kernel.testing.fake_runtime.driver import FakeRuntime
from thrum_kernel.testing.fake_runtime.plugin import FAKE_AGENT
from thrum_kernel.testing.tmux import TmuxServer

BANNER = "printf '%s\\n' 'Agent: @ada' " + "'Worktree: /a/long/path/" + "deep/" * 110 + "'"


@pytest.mark.parametrize(("at", "what"), [("type", "draft"), ("type", "dialog"), ("key", "dialog")])
@pytest.mark.parametrize("is_known", [True, False])
def test_what_comes_between_the_look_and_the_key_gets_none(
    tmux_server: TmuxServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    what: str,
    is_known: bool,
) -> None:
    monkeypatch.setattr(saying, "READY_S", 3.0)
    monkeypatch.setattr(saying, "STILL_S", 0.3)
    preset = FAKE_AGENT if is_known else dataclasses.replace(FAKE_AGENT, prompt={})

    async def story() -> None:
        async with wake_house(tmux_server) as here:
            with here.agent("ada", tmp_path) as fake:
                happens = {
                    "draft": lambda: fake.draft("half a tho"),
                    "dialog": lambda: fake.dialog("tool_confirmation"),
                }
                pane = cast(LivePane, Raced(await here.pane("ada"), before={at: happens[what]}))
                said = await saying.Saying(context(), pane, preset).say("a line of ours")
                state = fake.state()
                strokes = [each.what for each in here.keystrokes()]
        assert not said
        assert state["submitted"] == [] and state["answered"] == []
        assert state["draft"] == {"type": {"draft": "half a tho"}.get(what, ""), "key": "a line of ours"}[at]
        assert len(strokes) == (0 if at == "type" else 1)

    asyncio.run(story())


def test_a_long_line_comes_whole_and_alone(tmux_server: TmuxServer, tmp_path: Path) -> None:
    async def story() -> None:
        async with wake_house(tmux_server) as here:
            with here.agent("ada", tmp_path) as fake:
                pane = await here.pane("ada")
                assert await saying.Saying(context(), pane, FAKE_AGENT).say(BANNER)
                assert fake.state()["submitted"] == [BANNER]

    asyncio.run(story())


def test_a_daemon_that_is_killed_leaves_the_greeting_to_the_next(house: House, tmp_path: Path) -> None:
    fake = FakeRuntime(tmp_path / "fake")
    name = house.fresh()
    house.create(name, "--runtime", "fake-agent")
    for key, value in {**fake.env, "FAKE_AGENT_CONTROL": str(fake.control), "FAKE_AGENT_START": "3"}.items():
        house.cli("tmux", "send", name, f"export {key}={value}")

    house.cli("tmux", "launch", name)
    os.kill(house.cli.json("daemon", "status")["pid"], signal.SIGKILL)
    house.cli("daemon", "start")

    fake.connect()
    state = fake.until(lambda state: state["submitted"])
    assert state["submitted"][0].startswith(f"printf '%s\\n' 'Agent: @{name}'")
    fake.close()
    house.cli("tmux", "kill", name)


def test_a_note_reads_as_it_was_written_and_what_is_none_is_left_out() -> None:
    greeting = Greeting(agent="bob", runtime="claude", reminder="Go on; #{x}", told=1)
    *_, value = marks.setting("$1", greeting)
    assert marks.greetings((f"$1\t{value}", "$2\t", "$3\t{}", "$4\t[1]")) == {"$1": greeting}

"""The whole way with real commands: a session, a launch, a message, and the proof that the runtime's own hook gives."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tmux_house import House

from thrum_kernel.testing.fake_runtime.driver import FakeRuntime
from thrum_kernel.testing.waiting import until

pytest.importorskip("thrum_runtimes")


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeRuntime]:
    made = FakeRuntime(tmp_path / "fake")
    yield made
    made.close()


def hooks(path: Path) -> Path:
    """Settings of a runtime whose hooks are those of its kit."""
    command = "thrum runtime hook --runtime fake-agent --event "
    events = ("UserPromptSubmit", "PostToolUse", "Stop")
    groups = {event: [{"hooks": [{"type": "command", "command": command + event}]}] for event in events}
    path.write_text(json.dumps({"hooks": groups}))
    return path


def states(house: House, message_id: str) -> set[tuple[str, str]]:
    """Each state that a message came to, with what showed it."""
    found: list[dict[str, Any]] = house.cli.json("sent")["messages"]
    (message,) = [each for each in found if each["message_id"] == message_id]
    return {(each["state"], each.get("means", "")) for each in message["recipients"][0]["states"]}


def test_a_launched_agent_is_woken_seen_by_its_hook_and_read_by_itself(
    house: House, fake: FakeRuntime, tmp_path: Path
) -> None:
    name = house.fresh()
    for key, value in (("chrome_quiet_seconds", "0.2"), ("evidence_seconds", "10")):
        house.cli("config", "set", f"nudge.{key}", value)
    house.create(name, "--runtime", "fake-agent")
    given = {
        **fake.env,
        "FAKE_AGENT_CONTROL": str(fake.control),
        "FAKE_AGENT_SETTINGS": str(hooks(tmp_path / "settings.json")),
        "FAKE_AGENT_ON_PROMPT": 'case $PROMPT in *"thrum inbox"*) thrum inbox;; esac',
    }
    for key, value in given.items():
        house.cli("tmux", "send", name, f"export {key}={shlex.quote(value)}")
    house.cli("tmux", "launch", name)
    fake.connect()
    fake.until(lambda state: state["submitted"] and not state["is_working"])  # it was told who it is

    sent = house.cli.json("send", "are you there?", "--to", f"@{name}")["message_id"]

    until(lambda: ("seen", "hook:fake-agent") in states(house, sent))
    line = fake.until(lambda state: len(state["submitted"]) > 1)["submitted"][1]
    assert line == f"New message from @boss ({sent}) -- run: thrum inbox"
    assert ("injected", "tmux") in states(house, sent)
    until(lambda: "read" in {state for state, _ in states(house, sent)})
    told = Path(fake.state()["transcript"]).read_text()
    assert told.count(f"({sent}) -- run") == 1, (
        "the hook does not tell again of what the prompt itself showed"
    )
    assert sum(sent in each for each in fake.state()["submitted"]) == 1
    house.cli("tmux", "kill", name)

"""Runtimes are launched, told who they are, and typed to: on a real tmux server with the fake runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tmux_house import House

from thrum_kernel.testing.fake_runtime.driver import FakeRuntime
from thrum_kernel.testing.waiting import until


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeRuntime]:
    made = FakeRuntime(tmp_path / "fake")
    yield made
    made.close()


def launched(house: House, fake: FakeRuntime, name: str) -> Path:
    """An agent's session in which the fake runtime runs, steered by *fake*."""
    worktree = house.create(name, "--runtime", "fake-agent")
    for key, value in {**fake.env, "FAKE_AGENT_CONTROL": str(fake.control)}.items():
        house.cli("tmux", "send", name, f"export {key}={value}")
    house.cli("tmux", "launch", name)
    fake.connect()
    return worktree


def test_a_runtime_is_told_who_it_is(house: House, fake: FakeRuntime) -> None:
    name = house.fresh()

    worktree = launched(house, fake, name)

    state = fake.until(lambda state: state["submitted"])
    (line,) = state["submitted"]
    assert line.startswith("printf '%s\\n' 'Agent: @")
    assert f"'Worktree: {worktree}'" in line
    identity = house.identity(worktree)
    assert (identity["runtime"], identity["tmux_session"]) == ("fake-agent", f"{name}:1.1")
    assert "fake-agent runs there" in house.cli.refused("tmux", "launch", name)
    house.cli("tmux", "kill", name)


def test_a_draft_is_left_alone(house: House, fake: FakeRuntime) -> None:
    name = house.fresh()
    launched(house, fake, name)
    fake.until(lambda state: state["submitted"])
    fake.draft("half a tho")

    said = house.cli.refused("tmux", "send", name, "a text")

    assert "a draft stands in its prompt: half a tho" in said
    assert fake.state()["draft"] == "half a tho"
    house.cli("tmux", "send", name, "ught", "--force")
    fake.until(lambda state: "half a thought" in state["submitted"])
    house.cli("tmux", "kill", name)


def test_several_lines_are_one_paste(house: House, fake: FakeRuntime) -> None:
    name = house.fresh()
    launched(house, fake, name)
    fake.until(lambda state: state["submitted"])

    house.cli("tmux", "send", name, "--", "-first line;\n  second: é漢字 $HOME \\n")

    fake.until(lambda state: "-first line;\n  second: é漢字 $HOME \\n" in state["submitted"])
    house.cli("tmux", "kill", name)


def test_a_text_goes_into_a_dialog_but_not_into_another_program(house: House, fake: FakeRuntime) -> None:
    name = house.fresh()
    launched(house, fake, name)
    fake.until(lambda state: state["submitted"])
    fake.dialog("tool_confirmation")
    assert house.cli.json("tmux", "check-pane", name)["state"] == "permission"
    house.cli("tmux", "send", name, "1")
    fake.until(lambda state: state["owner"] != "dialog")
    house.tmux("respawn-pane", "-k", "-t", f"={name}:", "exec cat")
    until(lambda: house.program(name) == "cat")

    assert "another program has its pane: cat" in house.cli.refused("tmux", "send", name, "x")
    house.cli("tmux", "kill", name)


def test_a_session_that_a_person_made_is_adopted(house: House) -> None:
    name = house.fresh("own")
    worktree = house.repo.worktree(name).path
    house.cli.at(worktree)("quickstart", "--name", name, "--role", "tester", "--module", "api")
    house.tmux(
        "new-session", "-d", "-s", name, "-c", str(worktree), ";", "set-option", "destroy-unattached", "off"
    )

    house.cli("tmux", "launch", name, "--runtime", "shell")

    found = house.status(name)
    assert found is not None
    assert (found["agent"], found["state"]) == (name, "alive")
    assert house.identity(worktree)["tmux_session"] == f"{name}:1.1"
    until(lambda: name in house.heard())


def test_nobody_is_launched_without_an_identity(house: House) -> None:
    name = house.fresh("bare")
    worktree = house.repo.worktree(name).path
    house.cli("tmux", "create", name, "--no-agent", "--cwd", str(worktree))

    said = house.cli.refused("tmux", "launch", name, "--runtime", "fake-agent")

    assert "no identity is registered" in said
    house.cli("tmux", "launch", name, "--runtime", "shell")


def test_a_runtime_that_is_not_there_is_told_and_a_draft_left_alone(house: House) -> None:
    name = house.fresh()
    worktree = house.create(name)

    house.tmux("send-keys", "-t", f"={name}:", "-l", "rm half a")
    until(lambda: "rm half a" in house.cli("tmux", "capture", name))
    assert "somebody began to type: rm half a" in house.cli.refused("tmux", "launch", name)
    house.tmux("send-keys", "-t", f"={name}:", "C-u")
    until(lambda: "rm half a" not in house.cli("tmux", "capture", name))

    said = house.cli.refused("tmux", "launch", name, "--runtime", "no-such-runtime")

    assert f'"no-such-runtime" ended at once in session "{name}"' in said
    assert "not found" in said
    before = house.cli("tmux", "capture", name)
    for command in ("launch", "restart"):
        told = house.cli.refused("tmux", command, name, "--runtime", "cli-only")
        assert told.startswith('Error: runtime "cli-only" has no command that could be launched\nHint: ')
    assert house.cli("tmux", "capture", name) == before
    assert "runtime" not in house.identity(worktree)


def test_two_launches_at_once_start_one_runtime(house: House, fake: FakeRuntime, tmp_path: Path) -> None:
    name = house.fresh()
    house.create(name, "--runtime", "fake-agent")

    others = [
        house.cli.background("tmux", "launch", name, output=tmp_path / f"launch{number}")
        for number in range(3)
    ]
    for other in others:
        other.wait(30)

    said = [(tmp_path / f"launch{number}").read_text() for number in range(3)]
    assert sorted("Launched" in text for text in said) == [False, False, True], said
    assert sum("fake-agent runs there" in text for text in said) == 2

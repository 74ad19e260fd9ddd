"""What people do behind our back is noticed and noted: on a real tmux server with the fake runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tmux_house import House

from thrum_kernel.testing.fake_runtime.driver import FakeRuntime
from thrum_kernel.testing.waiting import until


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeRuntime]:
    made = FakeRuntime(tmp_path / "fake", paste=0)
    yield made
    made.close()


def test_an_agent_in_a_persons_own_session_is_heard_there(house: House, fake: FakeRuntime) -> None:
    name = house.fresh("own")
    worktree = house.repo.worktree(name).path
    house.cli.at(worktree)(
        "quickstart", "--name", name, "--role", "tester", "--module", "api", "--runtime", "fake-agent"
    )
    house.tmux(
        "new-session", "-d", "-s", name, "-c", str(worktree), ";", "set-option", "destroy-unattached", "off"
    )
    house.tmux(
        "send-keys", "-t", f"={name}:", f"{fake.command()} --on-prompt='thrum prime > primed'", "Enter"
    )
    fake.connect()

    house.tmux("send-keys", "-t", f"={name}:", "-l", "hello")
    fake.until(lambda state: state["draft"] == "hello")
    house.tmux("send-keys", "-t", f"={name}:", "Enter")

    until(lambda: (house.status(name) or {}).get("agent") == name)
    until(lambda: name in house.heard())
    assert house.identity(worktree)["tmux_session"] == f"{name}:1.1"
    assert house.status(name)["state"] == "alive"  # type: ignore[index]


def test_the_process_of_a_runtime_is_noted_and_its_next_one_too(house: House, fake: FakeRuntime) -> None:
    name = house.fresh()
    worktree = house.create(name, "--runtime", "fake-agent")
    for key, value in {**fake.env, "FAKE_AGENT_CONTROL": str(fake.control)}.items():
        house.cli("tmux", "send", name, f"export {key}={value}")
    house.cli("tmux", "launch", name)
    until(lambda: house.identity(worktree).get("agent_pid", 0) > 0)
    first = house.identity(worktree)["agent_pid"]
    fake.connect()

    fake.crash()
    until(lambda: (house.status(name) or {}).get("state") == "stale")
    said = house.cli.refused("tmux", "send", name, "touch what-a-shell-would-run")
    assert "a shell has its pane, which would run the text" in said and "Hint: --force" in said
    assert not (worktree / "what-a-shell-would-run").exists()
    house.tmux("send-keys", "-t", f"={name}:", "-l", "stty sane; fake-agent")
    house.tmux("send-keys", "-t", f"={name}:", "C-j")

    until(lambda: (house.status(name) or {}).get("state") == "alive")
    assert house.identity(worktree)["agent_pid"] != first


def test_an_agents_pane_that_a_person_closed(house: House) -> None:
    name = house.fresh()
    worktree = house.create(name)
    pane = house.tmux("display-message", "-p", "-t", f"={name}:", "#{pane_id}")
    house.tmux("split-window", "-t", pane)
    house.tmux("kill-pane", "-t", pane)

    until(lambda: (house.status(name) or {}).get("state") == "dead")
    assert "is gone" in house.cli.refused("tmux", "send", name, "x")
    house.cli("tmux", "launch", name, "--runtime", "shell")

    assert (house.status(name) or {}).get("state") == "alive"
    house.cli("tmux", "send", name, "echo in the 'other' pane")
    until(lambda: "in the other pane" in house.cli("tmux", "capture", name))
    assert house.identity(worktree)["tmux_session"] == f"{name}:1.1"


def test_a_session_renamed_while_the_daemon_was_away(house: House) -> None:
    name = house.fresh()
    worktree = house.create(name)
    house.cli("daemon", "stop")
    house.tmux("rename-session", "-t", f"={name}", f"{name}-new")

    house.cli("daemon", "start")

    until(lambda: house.identity(worktree)["tmux_session"] == f"{name}-new:1.1")
    house.cli("tmux", "kill", f"{name}-new")
    assert "no stored cwd" in house.cli.refused("tmux", "launch", name)


def test_two_projects_on_one_server_leave_each_other_alone(house: House) -> None:
    name = house.fresh()
    house.tmux("new-session", "-d", "-s", name, ";", "set-option", "destroy-unattached", "off")
    house.tmux("set-option", "-t", f"={name}:", "@thrum-managed", "1")
    house.tmux("set-option", "-t", f"={name}:", "@thrum-thrum-dir", "/another/.thrum")

    assert house.status(name) is None
    assert "not found" in house.cli.refused("tmux", "send", name, "x")
    assert "belongs to another project" in house.cli.refused("tmux", "launch", name)
    assert name not in house.heard()
    house.tmux("kill-session", "-t", f"={name}")

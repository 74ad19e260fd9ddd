"""``tmux start`` and ``tmux connect`` in a person's terminal, which here is a pane of another tmux server."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tmux_house import House

from thrum_kernel.testing.tmux import TmuxServer, tmux_server
from thrum_kernel.testing.waiting import until


@pytest.fixture
def terminal(house: House) -> Iterator[TmuxServer]:
    """Where a person types."""
    with tmux_server(house.repo.env) as server:
        yield server


def typed(terminal: TmuxServer, cwd: Path, *words: str, by: str = "person") -> str:
    """Have a person type a command, with no tmux around them as far as it can see; the pane."""
    command = (
        f"unset TMUX TMUX_PANE; cd {shlex.quote(str(cwd))}; {shlex.join(words)}; echo ended with $?; exec cat"
    )
    return terminal.session(by, command)


def test_start_makes_launches_and_shows(house: House, terminal: TmuxServer) -> None:
    name = house.fresh("started")
    worktree = house.repo.worktree(name).path
    house.cli.at(worktree)("quickstart", "--name", name, "--role", "tester", "--module", "api")

    typed(terminal, worktree, "thrum", "tmux", "start", "--runtime", "fake-agent")

    until(lambda: house.people() == [name])
    found = house.status(name)
    assert found is not None
    assert (found["agent"], found["runtime"], found["state"]) == (name, "fake-agent", "alive")
    until(lambda: "? for shortcuts" in house.cli("tmux", "capture", name))
    house.tmux("detach-client", "-s", f"={name}")
    until(lambda: name in house.heard())

    os.kill(house.identity(worktree)["agent_pid"], signal.SIGKILL)
    until(lambda: (house.status(name) or {}).get("state") == "stale")
    house.tmux("send-keys", "-t", f"={name}:", "-l", "stty sane")
    house.tmux("send-keys", "-t", f"={name}:", "C-j")
    typed(terminal, worktree, "thrum", "tmux", "start", "--runtime", "fake-agent", by="again")

    until(lambda: house.people() == [name])
    assert (house.status(name) or {}).get("state") == "alive"
    house.tmux("detach-client", "-s", f"={name}")


def test_connect_asks_which_session(house: House, terminal: TmuxServer) -> None:
    names = [house.fresh(), house.fresh()]
    for name in names:
        house.create(name)
    sessions = [each["name"] for each in house.cli.json("tmux", "status")["sessions"]]

    pane = typed(terminal, house.repo.path, "thrum", "tmux", "connect")

    terminal.shows(pane, lambda rows: any("Enter number" in row for row in rows))
    terminal("send-keys", "-t", pane, str(sessions.index(names[1]) + 1), "Enter")
    until(lambda: house.people() == [names[1]])
    house.tmux("kill-session", "-t", f"={names[1]}")
    terminal.shows(pane, lambda rows: any("ended with 0" in row for row in rows))


def test_what_cannot_be_attached_is_told(house: House) -> None:
    assert 'session "nowhere" not found' in house.cli.refused("tmux", "connect", "nowhere")
    name = house.fresh()
    worktree = house.create(name)
    assert "this is no terminal" in house.cli.refused("tmux", "connect", name)
    for wrong in ("x y", ";"):
        said = house.cli.at(worktree).refused("tmux", "start", "--runtime", wrong)
        assert said.startswith(f'Error: invalid runtime name "{wrong}"\nHint: '), said
    inside = house.cli.at(house.repo.path, TMUX="/elsewhere,1,0")
    assert "inside another tmux" in inside.refused("tmux", "connect", name)

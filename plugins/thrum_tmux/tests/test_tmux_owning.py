"""Whose session it is: another agent ends it or begins it anew only with force, and then its agent is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tmux_house import House

from thrum_kernel.testing.harness import Cli


@pytest.fixture
def runtime(tmp_path: Path) -> str:
    """A program that counts as a runtime; what it runs is below it."""
    path = tmp_path / "claude"
    path.symlink_to("/bin/sh")
    return str(path)


def test_another_agents_session_is_ended_or_begun_anew_only_with_force(house: House, runtime: str) -> None:
    def by(name: str, worktree: Path) -> Cli:
        """The command, typed by an agent in a runtime that is its own."""
        cli, (thrum, *_) = house.cli.at(worktree), house.cli.program
        begin = f"{thrum} quickstart --name {name} --role implementer --module api >register.txt 2>&1"
        cli.program = (runtime, "-c", f'{begin}; "$0" "$@"; exit $?', *house.cli.program)
        return cli

    bob, ann = house.fresh("bob"), house.fresh("ann")
    place, elsewhere = house.create(bob), house.create(ann)
    eve, owner = by(ann, elsewhere), by(bob, place)
    said = eve.refused("tmux", "launch", bob, "--runtime", "fake-agent").splitlines()
    assert said[0] == f'Error: session "{bob}" is @{bob}\'s, and you are @{ann}'
    before = house.tmux("display-message", "-p", "-t", f"={bob}:", "#{pane_id} #{pane_pid}")
    for command in ("kill", "restart"):
        said = eve.refused("tmux", command, bob).splitlines()
        assert said[0] == f'Error: session "{bob}" is @{bob}\'s, and you are @{ann}'
        assert said[1].startswith(f"Hint: ask @{bob} or @boss; --force does it all the same")
    assert house.tmux("display-message", "-p", "-t", f"={bob}:", "#{pane_id} #{pane_pid}") == before

    done = eve.run("tmux", "kill", bob, "--force")

    assert (done.status, done.out) == (0, f"Session {bob} killed\n")
    assert (
        done.err
        == f'Warning: session "{bob}" was not yours but of @{bob}: ended all the same; @{bob} and @boss were told\n'
    )
    assert f'@{ann} had session "{bob}" ended, with --force' in house.cli.at(place)("inbox", "--unread")
    words = ("--cwd", str(place), "--name", bob, "--role", "implementer", "--module", "api")
    eve("tmux", "create", bob, *words)
    assert eve.run("tmux", "kill", bob).err == "", "she made it"
    house.cli("tmux", "create", bob, *words)
    begun = eve.run("tmux", "launch", bob, "--runtime", "shell", "--force")
    assert begun.status == 0 and f'session "{bob}" was not yours' in begun.err
    anew = eve.run("tmux", "create", bob, *words, "--force")
    assert anew.status == 0 and f'session "{bob}" was not yours' in anew.err
    assert owner.run("tmux", "kill", bob).err == "", "it is its own"

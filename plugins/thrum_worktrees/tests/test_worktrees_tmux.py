"""An agent's worktree and its tmux session, with a real tmux server; only where thrum-tmux is installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from thrum_kernel.testing.harness import Cli, Repo
from thrum_kernel.testing.tmux import TmuxServer

pytestmark = pytest.mark.skipif(
    find_spec("thrum_tmux") is None or shutil.which("tmux") is None,
    reason="needs thrum-tmux and tmux",
)
AGENT = ("--name", "ada", "--role", "tester", "--module", "auth")


@pytest.fixture
def project(cli: Cli, tmux_server: TmuxServer) -> Iterator[Cli]:
    """A project whose sessions are made on the test's own server."""
    command = cli.at(cli.cwd, THRUM_PLUGINS_DISABLE="", TMUX_TMPDIR=tmux_server.env["TMUX_TMPDIR"])
    command("init", "--non-interactive")
    command("config", "set", "tmux.socket", str(tmux_server.path))
    yield command


def sessions(server: TmuxServer) -> list[str]:
    return server.run("list-sessions", "-F", "#{session_name}").stdout.split()


def test_a_worktree_an_agent_and_its_session_come_and_go(
    project: Cli, repo: Repo, tmux_server: TmuxServer
) -> None:
    path = Path(repo.env["HOME"]) / ".thrum" / "worktrees" / "project" / "api.v2"

    made = project("worktree", "create", "api.v2", *AGENT, timeout_s=90)
    (session,) = sessions(tmux_server)
    assert made.splitlines()[-1] == (f"Agent is NOT running yet. Start it with: thrum tmux launch {session}")
    assert tmux_server("display-message", "-p", "-t", session, "#{pane_current_path}") == str(path)
    assert project.at(path).json("whoami")["agent_id"] == "ada"
    again = project("worktree", "create", "api.v2", *AGENT, timeout_s=90)
    assert again.splitlines()[-1] == made.splitlines()[-1] and sessions(tmux_server) == [session]

    shutil.rmtree(path)  # the shell of its session stands nowhere then
    project("worktree", "create", "api.v2", *AGENT, timeout_s=90)
    assert sessions(tmux_server) == [session] and project.at(path).json("whoami")["agent_id"] == "ada"
    assert tmux_server("display-message", "-p", "-t", session, "#{pane_current_path}") == str(path)

    (path / "draft").write_text("work\n")
    assert "1 new file (draft)" in project.refused("worktree", "teardown", "api.v2")
    assert sessions(tmux_server) == [session], "what is refused ends nothing"
    (path / "draft").unlink()
    project.at(path)("tmux", "create", "bare", "--cwd", str(path), "--no-agent")
    tmux_server.session("theirs", cwd=str(path))
    project("worktree", "teardown", "api.v2")

    assert sessions(tmux_server) == ["theirs"] and not path.exists()
    assert project.json("team", "--all")["members"] == []


def test_what_cannot_move_in_leaves_nothing(project: Cli, repo: Repo, tmux_server: TmuxServer) -> None:
    tmux_server.session("mine")

    said = project.refused("worktree", "create", "mine", *AGENT)

    assert 'session "mine" already exists' in said
    assert sessions(tmux_server) == ["mine"]
    assert len(project.json("worktree", "list")) == 1 and repo.git("branch", "--list", "feature/mine") == ""

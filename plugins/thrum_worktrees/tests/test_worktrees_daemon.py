"""Worktrees with a real daemon and real git, as a person types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from thrum_kernel.testing.harness import Cli, Repo


@pytest.fixture
def project(cli: Cli, repo: Repo) -> Iterator[Cli]:
    """An initialised repository whose daemon runs."""
    cli("init", "--non-interactive")
    yield cli


@pytest.fixture
def base(repo: Repo) -> Path:
    """Where worktrees of the repository go."""
    return Path(repo.env["HOME"]) / ".thrum" / "worktrees" / repo.path.name


def test_a_worktree_comes_and_goes(project: Cli, repo: Repo, base: Path) -> None:
    said = project(
        "worktree", "create", "auth", "--name", "impl_a", "--role", "implementer", "--module", "auth"
    )

    path = base / "auth"
    assert said.splitlines()[0] == f"✓ Worktree created at {path}"
    assert "Agent is NOT running yet." in said
    assert (path / "README.md").read_text() == "# A project\n"
    assert (path / ".thrum" / "redirect").read_text() == f"{repo.path / '.thrum'}\n"
    assert repo.git("-C", str(path), "symbolic-ref", "--short", "HEAD") == "feature/auth"
    assert repo.git("-C", str(path), "status", "--porcelain") == ""
    assert project.at(path).json("whoami")["agent_id"] == "impl_a"

    gone = project("worktree", "teardown", "auth")

    assert gone.splitlines() == ["Removed identity: impl_a", "✓ Worktree auth removed"]
    assert [each.name for each in base.iterdir()] == []
    assert str(path) not in repo.git("worktree", "list")
    assert "feature/auth" in repo.git("branch", "--list", "feature/auth")
    assert "impl_a" not in json.dumps(project.json("team", "--all"))


WITNESS = """
from thrum_kernel.api import API_LEVEL, PluginContext, PluginManifest, WorktreeChange, hookimpl

MANIFEST = PluginManifest(name="witness", summary="Hears of worktrees", api=API_LEVEL, hooks=__name__)


@hookimpl
async def thrum_worktree(ctx: PluginContext, change: WorktreeChange) -> None:
    with (ctx.paths.thrum / "heard").open("a") as file:
        there = (change.path / ".thrum" / "redirect").exists()
        print(change.kind, change.path.name, change.branch, *change.agents, change.runtime, there, file=file)
    if change.path.name == "bad":
        raise RuntimeError("not this one")
"""


def test_plugins_hear_of_worktrees_and_whoever_fails_is_named(project: Cli, repo: Repo) -> None:
    (repo.path / ".thrum-plugins").mkdir()
    (repo.path / ".thrum-plugins" / "witness.py").write_text(WITNESS)
    project("plugin", "trust", "witness")
    project("config", "set", "plugins.team", '["witness"]')
    project("daemon", "restart")
    agent = ("--name", "ada", "--role", "tester", "--module", "auth")

    project("worktree", "create", "good", *agent, "--runtime", "claude")
    project("worktree", "create", "bad")
    warned = project.run("worktree", "teardown", "bad")
    project("worktree", "teardown", "good")

    assert (repo.path / ".thrum" / "heard").read_text().splitlines() == [
        "prepared good feature/good ada claude True",
        "prepared bad feature/bad  True",
        "going bad feature/bad  True",
        "going good feature/good ada  True",
    ]
    assert warned.status == 0 and "witness" in warned.err and "not this one" in warned.err


def test_list_has_who_lives_where(project: Cli, repo: Repo, base: Path) -> None:
    project("worktree", "create", "auth", "--name", "impl_a", "--role", "implementer", "--module", "auth")
    project("worktree", "create", "loose", "--detach")

    head = repo.git("rev-parse", "HEAD")
    assert project.json("worktree", "list") == [
        {"path": str(repo.path), "branch": "main", "head": head},
        {
            "path": str(base / "auth"),
            "branch": "feature/auth",
            "head": head,
            "agent": "impl_a",
            "status": "active",
        },
        {"path": str(base / "loose"), "branch": "", "head": head},
    ]
    table = project("worktree", "list").splitlines()
    assert table[0].split() == ["WORKTREE", "BRANCH", "HEAD", "AGENT", "STATUS"]
    assert table[2].split() == [str(base / "auth"), "feature/auth", head[:7], "@impl_a", "active"]
    assert table[3].split()[1:] == ["(detached)", head[:7]]


def test_create_with_json_is_one_object(project: Cli, base: Path) -> None:
    made = project.json("worktree", "setup", "auth", "-b", "topic")
    assert {key: made[key] for key in made if key != "hints"} == {
        "worktree_path": str(base / "auth"),
        "branch": "topic",
    }


def test_teardown_keeps_what_is_in_no_commit(project: Cli, repo: Repo, base: Path) -> None:
    project("worktree", "create", "auth")
    (base / "auth" / "new.txt").write_text("work\n")
    (base / "auth" / "README.md").write_text("changed\n")

    said = project.refused("worktree", "teardown", "auth")

    assert "1 changed file (README.md); 1 new file (new.txt)" in said
    assert (base / "auth" / "new.txt").read_text() == "work\n"
    assert (base / "auth" / "README.md").read_text() == "changed\n"
    forced = project("worktree", "teardown", "auth", "--force")
    assert "Thrown away: 1 changed file\n  README.md\n" in forced
    assert "Thrown away: 1 new file\n  new.txt\n" in forced
    assert not (base / "auth").exists()

"""Worktrees with a real daemon and real git, as a person types it. One daemon for the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from thrum_kernel.testing.harness import Cli, Repo, stop_daemon
from thrum_kernel.testing.spawner import Spawner

AGENT = ("--role", "implementer", "--module", "auth")
WITNESS = """
from thrum_kernel.api import API_LEVEL, PluginContext, PluginManifest, WorktreeChange, hookimpl

MANIFEST = PluginManifest(name="witness", summary="Hears of worktrees", api=API_LEVEL, hooks=__name__)


@hookimpl
async def thrum_worktree(ctx: PluginContext, change: WorktreeChange) -> None:
    with (ctx.paths.thrum / "heard").open("a") as file:
        there = (change.path / ".thrum" / "redirect").exists()
        print(change.path.name, change.kind, change.branch, *change.agents, change.runtime, there, file=file)
    if change.path.name == "bad":
        raise RuntimeError("not this one")
"""


@dataclass(frozen=True)
class House:
    """Where a test stands.

    Attributes:
        cli: typed in the main checkout by a person who is no agent.
        repo: the main checkout.
        base: where its worktrees go.
    """

    cli: Cli
    repo: Repo
    base: Path

    def heard(self, name: str) -> list[str]:
        """What the witness heard of one worktree."""
        lines = (self.repo.path / ".thrum" / "heard").read_text().splitlines()
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{name} ")]

    def names(self) -> list[str]:
        """Everybody who is registered."""
        return sorted(each["agent_id"] for each in self.cli.json("team", "--all")["members"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, thrum_spawner: Spawner) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    repo = Repo.housed(folder, THRUM_PLUGINS_STRICT="1", THRUM_PLUGINS_DISABLE="tmux")
    (repo.path / ".thrum-plugins").mkdir()
    (repo.path / ".thrum-plugins" / "witness.py").write_text(WITNESS)
    cli = Cli(thrum_spawner, repo.path, repo.env)
    cli("init", "--non-interactive", "--no-daemon")
    cli("plugin", "trust", "witness")
    cli("config", "set", "plugins.team", '["witness"]')
    repo.git("add", ".")
    repo.git("commit", "-q", "-m", "thrum")
    cli("daemon", "start")
    yield House(cli, repo, folder / "home" / ".thrum" / "worktrees" / "project")
    stop_daemon(cli)


def test_a_worktree_comes_and_goes(house: House) -> None:
    cli, repo, path = house.cli, house.repo, house.base / "auth"

    said = cli("worktree", "create", "auth", "--name", "ada", *AGENT, "--intent", "tokens")

    assert said.splitlines() == [
        f"✓ Worktree created at {path}",
        "  Branch: feature/auth, begun at main",
        "  Agent: @ada",
        f"Agent is NOT running yet. Start its runtime in its worktree: cd {path}",
    ]
    assert (path / "README.md").read_text() == "# A project\n"
    assert (path / ".thrum" / "redirect").read_text() == f"{repo.path / '.thrum'}\n"
    assert (path / ".thrum" / "redirect").stat().st_mode & 0o777 == 0o600
    assert repo.git("-C", str(path), "symbolic-ref", "--short", "HEAD") == "feature/auth"
    assert repo.git("-C", str(path), "status", "--porcelain") == ""
    shown = cli.at(path).json("whoami")
    assert (shown["agent_id"], shown["worktree"], shown["intent"]) == ("ada", str(path), "tokens")

    gone = cli("worktree", "teardown", "auth")

    assert gone.splitlines() == ["Removed identity: ada", "✓ Worktree auth removed"]
    assert not path.exists() and str(path) not in repo.git("worktree", "list")
    assert "feature/auth" in repo.git("branch", "--list", "feature/auth")
    assert "ada" not in house.names()


def test_plugins_hear_of_worktrees_and_whoever_fails_is_named(house: House) -> None:
    house.cli("worktree", "create", "good", "--name", "grace", *AGENT, "--runtime", "claude")
    house.cli("worktree", "create", "bad")
    warned = house.cli.run("worktree", "teardown", "bad")
    house.cli("worktree", "teardown", "good")

    assert house.heard("good") == [
        "prepared feature/good grace claude True",
        "going feature/good grace  True",
    ]
    assert house.heard("bad") == ["prepared feature/bad  True", "going feature/bad  True"]
    assert warned.status == 0 and "witness" in warned.err and "not this one" in warned.err


def test_list_and_team_tell_who_is_where_and_who_has_what(house: House) -> None:
    cli, base = house.cli, house.base
    cli("worktree", "create", "web", "--name", "wilma", *AGENT)
    cli("worktree", "create", "loose", "--detach")
    head = house.repo.git("rev-parse", "HEAD")

    rows = cli.json("worktree", "list")
    assert rows[0] == {"path": str(house.repo.path), "branch": "main", "head": head}
    assert [row for row in rows if "agent" in row] == [
        {
            "path": str(base / "web"),
            "branch": "feature/web",
            "head": head,
            "agent": "wilma",
            "status": "active",
        }
    ]
    assert {"path": str(base / "loose"), "branch": "", "head": head} in rows
    table = [line.split() for line in cli("worktree", "list").splitlines()]
    assert table[0] == ["WORKTREE", "BRANCH", "HEAD", "AGENT", "STATUS"]
    assert [str(base / "web"), "feature/web", head[:7], "@wilma", "active"] in table
    assert [str(base / "loose"), "(detached)", head[:7]] in table

    (base / "web" / "page.html").write_text("x\n")
    assert "@wilma is editing page.html" in cli("who-has", "page.html")
    (member,) = (each for each in cli.json("team")["members"] if each["agent_id"] == "wilma")
    assert (member["worktree"], member["branch"]) == ("web", "feature/web")
    cli.at(base / "web")("send", "hello from the worktree", "--to", "@wilma")
    (base / "web" / "page.html").unlink()
    gone = cli.json("worktree", "teardown", "web", "--delete-branch")
    assert gone == {
        "name": "web",
        "worktree_path": str(base / "web"),
        "removed_identities": ["wilma"],
        "deleted_branch": "feature/web",
    }
    assert "No agents are currently editing" in cli("who-has", "page.html")
    cli("worktree", "teardown", "loose")


def test_create_with_json_is_one_object(house: House) -> None:
    made = house.cli.json("worktree", "setup", "alias", "-b", "topic")

    assert {key: made[key] for key in made if key != "hints"} == {
        "worktree_path": str(house.base / "alias"),
        "branch": "topic",
    }
    again = house.cli("worktree", "create", "alias", "-b", "topic", "--base", "main")
    assert again.startswith(f"✓ Worktree at {house.base / 'alias'} is there already\n")
    assert again.splitlines()[-1] == (
        "No agent lives there yet. Register one with: "
        "thrum worktree create alias -b topic --name AGENT --role ROLE --module MODULE"
    )
    house.cli("worktree", "teardown", "alias", "--delete-branch")


def test_teardown_keeps_what_is_in_no_commit(house: House) -> None:
    path = house.base / "draft"
    house.cli("worktree", "create", "draft", "--name", "dora", *AGENT)
    odd = path / "two\nlines\x1b[2J"
    odd.touch()
    assert "1 new file (two\\nlines\\x1b[2J)\n" in house.cli.refused("worktree", "teardown", "draft")
    odd.unlink()
    (path / "new.txt").write_text("work\n")
    (path / "README.md").write_text("changed\n")

    said = house.cli.refused("worktree", "teardown", "draft", "--keep-agent")

    assert said.splitlines()[0] == (
        "Error: worktree draft has work that would be lost: 1 changed file (README.md); 1 new file (new.txt)"
    )
    assert (path / "new.txt").read_text() == "work\n" and (path / "README.md").read_text() == "changed\n"
    assert house.cli.at(path).json("whoami")["agent_id"] == "dora"
    assert house.heard("draft") == ["prepared feature/draft dora  True"], "nobody was told of a going"
    forced = house.cli("worktree", "teardown", "draft", "--force")
    assert "Thrown away: 1 changed file\n  README.md\n" in forced
    assert "Thrown away: 1 new file\n  new.txt\n" in forced
    assert not path.exists()


def test_setup_wires_a_worktree_that_somebody_made(house: House, tmp_path: Path) -> None:
    cli, path = house.cli, tmp_path / "by-hand"
    house.repo.git("worktree", "add", "-q", "-b", "by-hand", str(path))

    outside = cli.at(tmp_path).refused("setup", str(path))
    assert f"Hint: cd {path} && thrum setup ." in outside and not (path / ".thrum").exists()
    assert cli("setup", str(path)) == f"✓ {path} shares {house.repo.path / '.thrum'}\n"

    assert house.heard("by-hand") == ["prepared by-hand  True"]
    assert cli("setup", str(path)) == f"✓ {path} shares already {house.repo.path / '.thrum'}\n"
    cli.at(path)("quickstart", "hand", *AGENT)
    assert cli("worktree", "teardown", "by-hand").splitlines()[0] == "Removed identity: hand"


def test_what_is_mistyped_is_one_line_and_changes_nothing(house: House) -> None:
    before = house.repo.git("for-each-ref"), house.repo.git("worktree", "list")
    for words, said in (
        (("create", "a/b"), 'invalid worktree name "a/b": must not contain /, \\ or parent references'),
        (("create", "x", "--detach", "-b", "y"), "--branch and --detach are mutually exclusive"),
        (("create", "x", "--name", "ada"), "an agent needs --name, --role and --module"),
        (("create", "x", "--name", "A b", *AGENT), 'invalid agent name "A b"'),
        (("create", "x", "--name", "system", *AGENT), 'invalid agent name "system": it is reserved'),
        (
            ("create", "x", "--name", "implementer", *AGENT),
            'agent name "implementer" is the same as its role',
        ),
        (("create", "x", "--name", "ada", "--role", "r", "--module", "/a"), 'invalid module name "/a"'),
        (("create", "x", "--base", "nope"), "commit not found: nope"),
        (("create", "x", "-b", "main"), f"branch main is checked out at {house.repo.path}"),
        (("create", "x", "--runtime", "a b"), 'invalid runtime name "a b"'),
        (("create",), "missing argument: NAME"),
        (("create", "x", "--nope"), "unknown flag: --nope"),
        (("teardown", "nothing"), "worktree not found: nothing"),
        (("teardown", "project"), "worktree not found: project"),
    ):
        assert house.cli.refused("worktree", *words).startswith(f"Error: {said}"), words
        assert house.cli.run("worktree", *words, "--json").out == "", words

    assert (house.repo.git("for-each-ref"), house.repo.git("worktree", "list")) == before
    assert json.loads(house.cli("doctor", "--json"))

"""``thrum init`` with this plugin installed, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runtimes_plan import tree

from thrum_kernel.testing.harness import Cli, Repo


@pytest.fixture
def cli(cli: Cli) -> Cli:
    """`cli` that stops when a plugin is broken."""
    return cli.at(cli.cwd, THRUM_PLUGINS_STRICT="1")


def test_a_dry_run_lists_every_file_and_writes_none(cli: Cli, repo: Repo) -> None:
    before = tree(repo.path)
    result = cli.json("init", "--non-interactive", "--dry-run", "--runtime", "all")
    assert tree(repo.path) == before
    assert (result["runtime"], result["detected"], result["dry_run"]) == ("all", False, True)
    listed = {Path(file["path"]).name: file for file in result["files"]}
    assert listed["settings.json"]["action"] == listed["thrum-startup.sh"]["action"] == "create"
    assert listed["thrum-startup.sh"]["runtime"] == "claude"
    assert {"config.json", "AGENTS.md", "CLAUDE.md", "opencode.json", "thrum-polling.sh"} <= set(listed)


def test_files_come_with_the_first_init_and_later(cli: Cli, repo: Repo) -> None:
    result = cli.json("init", "--non-interactive", "--no-daemon", "--runtime", "claude")
    assert result["runtime"] == "claude"
    assert (repo.path / "scripts" / "thrum-check-inbox.sh").stat().st_mode & 0o111
    config = json.loads((repo.path / ".thrum" / "config.json").read_text())
    assert config["runtime"]["primary"] == "claude"
    assert "scripts/" not in repo.git("status", "--porcelain"), "our scripts are ignored"

    (repo.path / "scripts" / "thrum-startup.sh").write_text("old")
    again = cli.json("init", "--non-interactive", "--runtime", "claude")
    actions = {Path(file["path"]).name: file["action"] for file in again["files"]}
    assert actions == {
        "settings.json": "noop",
        "thrum-startup.sh": "overwrite",
        "thrum-check-inbox.sh": "noop",
    }
    assert "thrum prime" in (repo.path / "scripts" / "thrum-startup.sh").read_text()


def test_stealth_hides_what_was_written_and_nothing_else(cli: Cli, repo: Repo) -> None:
    (repo.path / ".claude").mkdir()
    (repo.path / ".claude" / "mine.md").write_text("mine")
    cli("init", "--non-interactive", "--no-daemon", "--stealth", "--runtime", "claude")
    assert repo.git("status", "--porcelain", "-uall").split() == ["??", ".claude/mine.md"]
    cli("init", "--non-interactive", "--no-daemon", "--runtime", "codex")
    assert repo.git("status", "--porcelain", "-uall").split() == ["??", ".claude/mine.md"]


def test_without_stealth_what_was_written_is_shown(cli: Cli, repo: Repo) -> None:
    cli("init", "--non-interactive", "--no-daemon", "--runtime", "claude")
    assert ".claude/settings.json" in repo.git("status", "--porcelain", "-uall")


def test_what_cannot_be_merged_takes_everything_back(cli: Cli, repo: Repo) -> None:
    (repo.path / ".claude").mkdir()
    (repo.path / ".claude" / "settings.json").write_text("{oops")
    before = tree(repo.path)
    said = cli.refused("init", "--non-interactive", "--no-daemon", "--runtime", "claude")
    assert "settings.json: is not valid JSON" in said
    assert tree(repo.path) == before


def test_the_skill_alone(cli: Cli, repo: Repo) -> None:
    cli("init", "--non-interactive", "--no-daemon")
    result = cli.json("init", "--skills", "--runtime", "gemini")
    assert result["agent"] == "gemini"
    assert Path(result["install_path"]) == repo.path / ".agents" / "skills" / "thrum"
    assert not (repo.path / ".gemini").exists()


def test_a_linked_worktree_gets_its_own_files(cli: Cli, repo: Repo) -> None:
    cli("init", "--non-interactive", "--no-daemon")
    linked = repo.worktree("side")
    cli.at(linked.path)("init", "--non-interactive", "--no-daemon", "--runtime", "cursor")
    assert (linked.path / ".cursorrules").is_file()
    assert not (repo.path / ".cursorrules").exists()


def test_doctor_tells_where_hooks_came_without_their_scripts(cli: Cli, repo: Repo) -> None:
    cli("init", "--non-interactive", "--no-daemon", "--runtime", "all")
    assert "scripts/" not in repo.git("status", "--porcelain"), "every script of ours is ignored"
    repo.git("add", ".claude")
    repo.git("commit", "-qm", "hooks")
    linked = cli.at(repo.worktree("side").path)

    def about_claude(asked: Cli) -> dict[str, str]:
        found: list[dict[str, str]] = json.loads(asked.run("doctor", "--json").out)["findings"]
        (told,) = [each for each in found if each["text"].startswith("claude:")]
        return told

    told = about_claude(linked)
    assert told["text"] == "claude: missing: scripts/thrum-startup.sh, scripts/thrum-check-inbox.sh"
    assert (told["level"], told["remedy"]) == ("warning", "thrum doctor --fix")
    linked.run(*told["remedy"].split()[1:])  # its status tells what else is wrong here
    assert about_claude(linked)["level"] == about_claude(cli)["level"] == "ok"


def test_unknown_runtimes_are_refused_with_a_suggestion(cli: Cli, repo: Repo) -> None:
    before = tree(repo.path)
    said = cli.refused("init", "--non-interactive", "--no-daemon", "--runtime", "clod")
    assert 'unknown runtime "clod"' in said
    assert "claude" in said
    assert tree(repo.path) == before


def test_quickstart_writes_the_files_of_the_runtime_it_is_told(cli: Cli, repo: Repo) -> None:
    cli("init", "--non-interactive")
    (repo.path / "AGENTS.md").write_text("mine")
    words = ("quickstart", "alice", "--role", "implementer", "--module", "main", "--runtime", "codex")
    cli(*words, "--no-init")
    assert not (repo.path / "scripts").exists()
    done = cli.json(*words)["runtime_init"]
    actions = {Path(file["path"]).name: file["action"] for file in done["files"]}
    assert actions == {
        "session-start": "create",
        "hooks.json": "create",
        "AGENTS.md": "skip",
        "thrum-startup.sh": "create",
    }
    assert (repo.path / "AGENTS.md").read_text() == "mine"
    assert "runtime" not in json.loads((repo.path / ".thrum" / "config.json").read_text())
    assert "0 written, 4 kept" in cli(*words)


def test_quickstart_registers_also_where_files_cannot_be_written(cli: Cli, repo: Repo) -> None:
    cli("init", "--non-interactive")
    (repo.path / ".claude").mkdir()
    (repo.path / ".claude" / "settings.json").write_text("{oops")
    words = ("quickstart", "alice", "--role", "implementer", "--module", "main", "--runtime", "claude")
    result = cli.run(*words)
    assert result.status == 0
    assert "✓ Agent registered: alice" in result.out
    assert "settings.json: is not valid JSON" in result.err
    assert not (repo.path / "scripts").exists()

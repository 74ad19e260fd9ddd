"""Files that ``init --runtime`` and ``init --skills`` write, in real repositories."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from runtimes_plan import WritingPlan, run_step, tree
from thrum_runtimes.kit import template
from thrum_runtimes.plugin import MANIFEST
from thrum_runtimes.presets import BUILT_IN
from thrum_runtimes.skills import FILES

from thrum_kernel.cli.app import kernel_tree
from thrum_kernel.errors import FileDamaged, NotFound, UsageError
from thrum_kernel.testing.harness import Repo

NAMES = [preset.name for preset in BUILT_IN]
STARTUP = "scripts/thrum-startup.sh"


def plan_of(repo: Repo, **options: Any) -> WritingPlan:
    force, dry_run = options.pop("force", False), options.pop("dry_run", False)
    return WritingPlan(repo.path, repo.env, options, force=force, dry_run=dry_run)


@pytest.mark.parametrize("name", NAMES)
def test_every_runtime_gets_files_and_a_second_time_none(repo: Repo, name: str) -> None:
    first = run_step(plan_of(repo, runtime=name))
    assert set(first.actions.values()) == {"create"}
    assert os.access(repo.path / STARTUP, os.X_OK)
    before = tree(repo.path)
    second = run_step(plan_of(repo, runtime=name))
    assert set(second.actions) == set(first.actions)
    assert set(second.actions.values()) == {"noop"}
    assert tree(repo.path) == before


@pytest.mark.parametrize("name", [*NAMES, "all"])
def test_a_dry_run_lists_the_same_and_writes_nothing(repo: Repo, name: str) -> None:
    before = tree(repo.path)
    listed = run_step(plan_of(repo, runtime=name, dry_run=True)).actions
    assert tree(repo.path) == before
    assert run_step(plan_of(repo, runtime=name)).actions == listed


def test_the_files_of_each_runtime(repo: Repo) -> None:
    files = {name: set(run_step(plan_of(repo, runtime=name, dry_run=True)).actions) for name in NAMES}
    assert files == {
        "claude": {".claude/settings.json", STARTUP, "scripts/thrum-check-inbox.sh"},
        "codex": {".codex/hooks/session-start", ".codex/hooks.json", "AGENTS.md", STARTUP},
        "opencode": {"opencode.json", ".opencode/thrum.md", STARTUP},
        "cursor": {".cursorrules", STARTUP},
        "gemini": {".gemini/instructions.md", ".gemini/settings.json", STARTUP},
        "auggie": {".augment/settings.json", ".augment/rules/thrum.md", STARTUP},
        "kiro-cli": {"AGENTS.md", STARTUP},
        "amp": {"CLAUDE.md", STARTUP},
        "shell": {STARTUP},
        "cli-only": {STARTUP, "scripts/thrum-polling.sh"},
    }
    every = run_step(plan_of(repo, runtime="all"))
    assert set(every.actions) == set().union(*files.values())


@pytest.mark.parametrize("runtime", ["all", *(preset.name for preset in BUILT_IN)])
def test_all_files_parse(repo: Repo, runtime: str) -> None:
    before = set(tree(repo.path))
    run_step(plan_of(repo, runtime=runtime))
    for name, data in tree(repo.path).items():
        if name in before:
            continue
        assert b"{{." not in data and data.endswith(b"\n"), name
        if name.endswith(".json"):
            assert isinstance(json.loads(data), dict)
        elif name.startswith("scripts/") or name.endswith("session-start"):
            done = subprocess.run(["bash", "-n", repo.path / name], capture_output=True, check=False)
            assert done.returncode == 0, done.stderr
        else:
            assert name.endswith((".md", ".cursorrules")), f"nobody says how {name} is checked"
            assert_markdown(data.decode())


def assert_markdown(text: str) -> None:
    """Front matter of plain keys if any, then one first heading, and no code fence left open."""
    if text.startswith("---\n"):
        front, _, text = text.removeprefix("---\n").partition("\n---\n")
        assert all(re.fullmatch(r"[a-z_]+: \S.*", line) for line in front.splitlines()), front
    assert text.startswith("# ")
    assert len(re.findall(r"(?m)^# ", text)) == 1
    assert text.count("```") % 2 == 0


def test_the_result_says_what_was_done(repo: Repo) -> None:
    (repo.path / "AGENTS.md").write_text("mine\n")
    plan = run_step(plan_of(repo, runtime="codex"))
    assert plan.reported["runtime"] == "codex"
    assert plan.reported["detected"] is False
    skipped = next(file for file in plan.reported["files"] if file["path"].endswith("AGENTS.md"))
    assert skipped == {
        "path": str(repo.path / "AGENTS.md"),
        "action": "skip",
        "runtime": "codex",
        "template": "codex/AGENTS.md",
        "skipped": True,
        "skip_reason": "file exists; --force replaces it",
    }
    assert (repo.path / "AGENTS.md").read_text() == "mine\n"
    assert any("keep" in line and "AGENTS.md" in line for line in plan.said)


def test_force_replaces_a_file_of_the_project_and_keeps_it_beside(repo: Repo) -> None:
    (repo.path / "AGENTS.md").write_text("mine\n")
    plan = run_step(plan_of(repo, runtime="kiro-cli", force=True))
    assert plan.actions["AGENTS.md"] == "overwrite"
    assert plan.actions["AGENTS.md.before-thrum"] == "create"
    assert (repo.path / "AGENTS.md.before-thrum").read_text() == "mine\n"
    assert "thrum" in (repo.path / "AGENTS.md").read_text()
    again = run_step(plan_of(repo, runtime="kiro-cli", force=True))
    assert again.actions["AGENTS.md"] == "noop"
    (repo.path / "AGENTS.md").write_text("mine again\n")
    run_step(plan_of(repo, runtime="kiro-cli", force=True))
    assert (repo.path / "AGENTS.md.before-thrum").read_text() == "mine\n"
    assert (repo.path / "AGENTS.md.before-thrum1").read_text() == "mine again\n"


def test_a_script_of_ours_is_brought_up_to_date(repo: Repo) -> None:
    run_step(plan_of(repo, runtime="shell"))
    wanted = (repo.path / STARTUP).read_bytes()
    (repo.path / STARTUP).write_text("old\n")
    assert run_step(plan_of(repo, runtime="shell")).actions == {STARTUP: "overwrite"}
    assert (repo.path / STARTUP).read_bytes() == wanted


@pytest.mark.parametrize("linked", [".claude", ".claude/settings.json"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_nothing_is_written_through_a_link_out_of_the_worktree(
    repo: Repo, tmp_path: Path, linked: str, dry_run: bool
) -> None:
    shared = tmp_path / "dotfiles"
    shared.mkdir()
    (shared / "settings.json").write_text("{}")
    path = repo.path / linked
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(shared / "settings.json" if linked.endswith("json") else shared)
    before = tree(repo.path)

    with pytest.raises(UsageError, match="thrum writes nothing there") as refused:
        run_step(plan_of(repo, runtime="claude", dry_run=dry_run))

    assert str(shared / "settings.json") in str(refused.value)
    assert (shared / "settings.json").read_text() == "{}"
    assert tree(repo.path) == before


def test_a_link_within_the_worktree_is_followed_and_one_into_git_is_not(repo: Repo) -> None:
    (repo.path / "tools").mkdir()
    (repo.path / ".claude").mkdir()
    settings = repo.path / ".claude" / "settings.json"
    settings.symlink_to("../tools/claude.json")
    run_step(plan_of(repo, runtime="claude"))
    assert "hooks" in json.loads((repo.path / "tools" / "claude.json").read_text())
    settings.unlink()
    settings.symlink_to("../.git/claude.json")
    with pytest.raises(UsageError, match="thrum writes nothing there"):
        run_step(plan_of(repo, runtime="claude"))


def test_the_project_s_own_file_that_stays_may_be_a_link_anywhere(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("everybody's\n")
    (repo.path / "AGENTS.md").symlink_to(tmp_path / "AGENTS.md")
    assert run_step(plan_of(repo, runtime="kiro-cli")).actions["AGENTS.md"] == "skip"
    with pytest.raises(UsageError, match="thrum writes nothing there"):
        run_step(plan_of(repo, runtime="kiro-cli", force=True))
    assert (tmp_path / "AGENTS.md").read_text() == "everybody's\n"


def test_foreign_hooks_stay(repo: Repo) -> None:
    settings = repo.path / ".claude" / "settings.json"
    settings.parent.mkdir()
    own = {
        "model": "x",
        "hooks": {"Stop": [{"matcher": "", "hooks": [{"type": "command", "command": "beep"}]}]},
    }
    settings.write_text(json.dumps(own, indent=4))
    plan = run_step(plan_of(repo, runtime="claude"))
    assert plan.actions[".claude/settings.json"] == "merge"
    after = json.loads(settings.read_text())
    assert after["model"] == "x"
    assert after["hooks"]["Stop"][0] == own["hooks"]["Stop"][0]  # type: ignore[index]
    assert len(after["hooks"]["Stop"]) == 2
    assert run_step(plan_of(repo, runtime="claude")).actions[".claude/settings.json"] == "noop"


def test_a_malformed_settings_file_stops_everything_before_anything_is_written(repo: Repo) -> None:
    settings = repo.path / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{"hooks": {"Stop": [}')
    before = tree(repo.path)
    with pytest.raises(FileDamaged, match=r"settings\.json.*line 1, column 21"):
        run_step(plan_of(repo, runtime="all"))
    assert tree(repo.path) == before


def test_a_folder_where_a_file_is_needed_is_told(repo: Repo) -> None:
    (repo.path / "CLAUDE.md").mkdir()
    with pytest.raises(UsageError, match=r"CLAUDE\.md is a folder"):
        run_step(plan_of(repo, runtime="amp"))


def test_the_first_runtime_becomes_the_repositorys(repo: Repo) -> None:
    assert run_step(plan_of(repo, runtime="codex")).configured == {"runtime.primary": "codex"}
    (repo.path / ".thrum").mkdir()
    (repo.path / ".thrum" / "config.json").write_text('{"runtime": {"primary": "codex"}}')
    assert run_step(plan_of(repo, runtime="claude")).configured == {}
    assert run_step(plan_of(repo, runtime="all")).configured == {}


def test_unknown_and_invalid_names_write_nothing(repo: Repo) -> None:
    before = tree(repo.path)
    with pytest.raises(NotFound, match='unknown runtime "clod"'):
        run_step(plan_of(repo, runtime="clod"))
    with pytest.raises(UsageError, match="invalid runtime name"):
        run_step(plan_of(repo, runtime="../x"))
    assert tree(repo.path) == before


def test_without_a_runtime_it_only_tells_what_it_sees(repo: Repo) -> None:
    assert run_step(plan_of(repo)).reported == {"runtime": "", "detected": False}
    (repo.path / ".gemini").mkdir()
    plan = run_step(plan_of(repo))
    assert plan.reported == {"runtime": "gemini", "detected": True}
    assert plan.said == []


def test_fields_are_identifiers_or_refused(repo: Repo) -> None:
    from thrum_runtimes.rendering import Fields, render

    fields = Fields.of({"name": "@impl_a", "role": None, "module": "auth"})
    assert render("{{.AgentName}} {{ .AgentRole }} {{.AgentModule}} {{.MCPCommand}} {{.Other}}", fields) == (
        "impl_a implementer auth thrum {{.Other}}"
    )
    with pytest.raises(UsageError, match="invalid name"):
        run_step(plan_of(repo, runtime="shell", name="$(rm -rf)"))


# --- the skill -------------------------------------------------------------------------------------------------------


def test_the_skill_goes_where_the_runtime_looks(repo: Repo) -> None:
    (repo.path / ".claude").mkdir()
    plan = run_step(plan_of(repo, skills=True, runtime="claude"))
    folder = repo.path / ".claude" / "skills" / "thrum"
    assert plan.reported["agent"] == "claude"
    assert plan.reported["install_path"] == str(folder)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.md")} == set(FILES)
    assert not (repo.path / "scripts").exists()
    assert set(run_step(plan_of(repo, skills=True, runtime="claude")).actions.values()) == {"noop"}


def test_the_skill_goes_to_the_shared_folder_where_the_runtime_has_none(repo: Repo) -> None:
    plan = run_step(plan_of(repo, skills=True, runtime="codex"))
    assert plan.reported["install_path"] == str(repo.path / ".agents" / "skills" / "thrum")


def test_the_runtime_of_the_skill_is_detected(repo: Repo) -> None:
    (repo.path / ".cursor").mkdir()
    plan = run_step(plan_of(repo, skills=True))
    assert (plan.reported["agent"], plan.reported["detected"]) == ("cursor", True)
    assert plan.reported["install_path"] == str(repo.path / ".cursor" / "skills" / "thrum")


def test_a_skill_that_was_changed_stays_unless_forced(repo: Repo) -> None:
    run_step(plan_of(repo, skills=True, runtime="codex"))
    skill = repo.path / ".agents" / "skills" / "thrum" / "SKILL.md"
    skill.write_text("mine")
    with pytest.raises(UsageError, match=r"SKILL\.md exists"):
        run_step(plan_of(repo, skills=True, runtime="codex"))
    assert skill.read_text() == "mine"
    run_step(plan_of(repo, skills=True, runtime="codex", force=True))
    assert skill.read_text() != "mine"


@pytest.mark.parametrize(
    "installed", [{"version": 2, "plugins": {"thrum@market": []}}, {"plugins": ["thrum"]}]
)
def test_the_plugin_of_claude_brings_the_skill_already(repo: Repo, installed: dict[str, Any]) -> None:
    path = Path(repo.env["HOME"]) / ".claude" / "plugins" / "installed_plugins.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(installed))
    with pytest.raises(UsageError, match="brings the skill already"):
        run_step(plan_of(repo, skills=True, runtime="claude"))
    run_step(plan_of(repo, skills=True, runtime="codex"))
    path.write_text('{"plugins": {"other@market": []}}')
    run_step(plan_of(repo, skills=True, runtime="claude", force=True))


def test_the_texts_name_only_commands_that_exist() -> None:
    ours = {command.words for command in MANIFEST.commands}
    briefing = {("doctor",), ("prime",), ("help",)}
    known = {words for words, _ in kernel_tree().root.commands()} | ours | briefing
    texts = [template(name) for name in ("instructions.md", *(f"skill/{file}" for file in FILES))]
    code = [piece for text in texts for piece in re.findall(r"```.*?```|`[^`]+`|^    .*$", text, re.S | re.M)]
    named = {
        tuple(words.split())
        for piece in code
        for words in re.findall(r"\bthrum ([a-z][a-z-]*(?: [a-z][a-z-]*)?)", piece)
    }
    assert len(named) > 25
    assert [words for words in named if words not in known and words[:1] not in known] == []

"""The kit of a runtime in a worktree that was made for an agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from thrum_runtimes import worktree_kit
from thrum_runtimes.presets import BUILT_IN

from thrum_kernel.api import WorktreeChange
from thrum_kernel.errors import FileDamaged, UsageError


@pytest.fixture
def thrum(tmp_path: Path) -> Path:
    (tmp_path / "project" / ".thrum").mkdir(parents=True)
    return tmp_path / "project" / ".thrum"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


def put(tree: Path, thrum: Path, runtime: str = "") -> set[str]:
    change = WorktreeChange(kind="prepared", path=tree, agents=("ada",), runtime=runtime)
    files = worktree_kit.put(BUILT_IN, change, thrum=thrum, home=tree.parent / "home")
    return {str(file.relative_to(tree)) for file in files}


def test_scripts_and_hooks_come_once_and_instructions_do_not(tree: Path, thrum: Path) -> None:
    expected = {".claude/settings.json", "scripts/thrum-startup.sh", "scripts/thrum-check-inbox.sh"}
    assert put(tree, thrum, "claude") == expected
    assert put(tree, thrum, "claude") == set()
    assert (tree / "scripts" / "thrum-startup.sh").stat().st_mode & 0o111
    assert "AGENTS.md" not in put(tree, thrum, "codex") and not (tree / "AGENTS.md").exists()


def test_the_projects_runtime_is_taken_where_none_is_named(tree: Path, thrum: Path) -> None:
    assert put(tree, thrum) == set()
    (thrum / "config.json").write_text('{"runtime": {"primary": "claude"}}')
    assert ".claude/settings.json" in put(tree, thrum)
    assert put(tree, thrum, "some-program-of-mine") == set()


def test_settings_of_the_branch_keep_what_they_say(tree: Path, thrum: Path) -> None:
    (tree / ".claude").mkdir()
    (tree / ".claude" / "settings.json").write_text('{"model": "x", "hooks": {"Stop": [1]}}')
    put(tree, thrum, "claude")
    value = json.loads((tree / ".claude" / "settings.json").read_text())
    assert value["model"] == "x" and value["hooks"]["Stop"][0] == 1 and "SessionStart" in value["hooks"]


def test_what_cannot_be_merged_or_leads_away_writes_nothing(tree: Path, thrum: Path, tmp_path: Path) -> None:
    (tree / ".claude").mkdir()
    (tree / ".claude" / "settings.json").write_text("{")
    with pytest.raises(FileDamaged):
        put(tree, thrum, "claude")
    (tree / ".claude" / "settings.json").unlink()
    (tree / "scripts").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="behind a link"):
        put(tree, thrum, "claude")
    assert list((tree / ".claude").iterdir()) == []

"""What thrum put into a worktree is told apart from what a person did to the same files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from thrum_worktrees import traces
from worktrees_ground import Site, commit

from thrum_kernel.api import KitFile, RuntimePreset
from thrum_kernel.testing.harness import Repo

HOOK = {"hooks": [{"type": "command", "command": "bash scripts/thrum-startup.sh"}]}
KIT = RuntimePreset(
    name="claude",
    display_name="Claude",
    command="claude",
    files=(
        KitFile(path=".claude/settings.json", content=json.dumps({"hooks": {"Stop": [HOOK]}}), merge="hooks"),
        KitFile(path="scripts/thrum-startup.sh", content="#!/bin/sh\n", managed=True, executable=True),
        KitFile(path="RULES.md", content="# Rules\n\nYou are {{.AgentName}}.\n"),
    ),
)
SETTINGS = ".claude/settings.json"


def is_ours(site: Site, tree: Repo, path: str) -> bool:
    return traces.judge([KIT], site.ground.git, site.record(tree.path), tree.path)(path)


def write(tree: Repo, path: str, text: str) -> None:
    (tree.path / path).parent.mkdir(parents=True, exist_ok=True)
    (tree.path / path).write_text(text)


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (".thrum/identities/ada.json", "{}", True),
        (".beads/redirect", "/x/.beads\n", True),
        (".beads/issues.db", "work", False),
        ("scripts/thrum-startup.sh", "#!/bin/sh\n# of an earlier thrum\n", True),
        ("scripts/other.sh", "#!/bin/sh\n", False),
        (".claude/settings.local.json", "{}", True),
        ("RULES.md", "# Rules\n\nYou are ada.\n", True),
        ("RULES.md", "# Rules\n\nYou are ada.\nAnd more.\n", False),
    ],
)
def test_what_is_ours_by_path_and_text(site: Site, path: str, text: str, expected: bool) -> None:
    tree = site.worktree("a")
    write(tree, path, text)
    assert is_ours(site, tree, path) is expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, {"hooks": {"Stop": [HOOK]}}, True),
        (None, {"hooks": {"Stop": [HOOK]}, "model": "x"}, False),
        ({"model": "x"}, {"model": "x", "hooks": {"Stop": [HOOK]}}, True),
        ({"model": "x"}, {"model": "y", "hooks": {"Stop": [HOOK]}}, False),
        ({"hooks": {"Stop": [1]}}, {"hooks": {"Stop": [1, HOOK]}}, True),
        ({"hooks": {"Stop": [1]}}, json.dumps({"hooks": {"Stop": [HOOK]}}, indent=1), False),
        ({"hooks": {"Stop": [HOOK]}}, {"hooks": {}}, True),
        ({"model": "x"}, {}, False),
        (None, [1], False),
        (None, "no JSON at all", False),
    ],
)
def test_hook_settings_are_ours_when_only_our_hooks_differ(
    site: Site, before: Any, after: Any, expected: bool
) -> None:
    if before is not None:
        commit(site.repo, SETTINGS, json.dumps(before))
    tree = site.worktree("a")
    write(tree, SETTINGS, after if isinstance(after, str) else json.dumps(after))
    assert is_ours(site, tree, SETTINGS) is expected


def test_a_file_of_ours_that_was_deleted_or_is_a_link_is_work(site: Site) -> None:
    commit(site.repo, "RULES.md", "# Rules\n\nYou are ada.\n")
    tree = site.worktree("a")
    (tree.path / "RULES.md").unlink()
    assert not is_ours(site, tree, "RULES.md")
    (tree.path / "RULES.md").symlink_to("README.md")
    assert not is_ours(site, tree, "RULES.md")

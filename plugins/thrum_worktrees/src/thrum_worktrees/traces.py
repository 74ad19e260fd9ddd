"""What thrum put into a worktree, told apart from work.

Ours are the ``.thrum`` folder, the redirect of ``.beads``, the scripts of the runtimes' kits, their hook settings when
nothing but our hooks differs from what is committed, texts of ours that nobody changed, and local settings that a
runtime keeps for itself. Source: spec/decisions.md "Worktrees".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from thrum_kernel.api import KitFile, RuntimePreset
from thrum_worktrees.git import Git
from thrum_worktrees.records import Record
from thrum_worktrees.wiring import BEADS, REDIRECT, THRUM
from thrum_worktrees.work import IsOurs

Judge = Callable[[Git, Record, Path], IsOurs]
"""For a worktree (by its record, and where its files are), tells what of it is only ours."""

_LOCAL_SETTINGS: Final = frozenset({".claude/settings.local.json"})
_FIELD: Final = re.compile(r"\{\{\.\w+\}\}")


def judge(presets: Sequence[RuntimePreset], git: Git, record: Record, tree: Path) -> IsOurs:
    """What tells of a path in a worktree whether it is only ours."""
    kits: dict[str, list[KitFile]] = {}
    for preset in presets:
        for file in preset.files:
            kits.setdefault(file.path, []).append(file)

    def is_ours(path: str) -> bool:
        if path.startswith(f"{THRUM}/") or path == f"{BEADS}/{REDIRECT}" or path in _LOCAL_SETTINGS:
            return True
        return any(_is_kit(file, git, record, tree) for file in kits.get(path, ()))

    return is_ours


def _is_kit(file: KitFile, git: Git, record: Record, tree: Path) -> bool:
    path = tree / file.path
    if path.is_symlink() or not path.is_file():
        return False
    if file.managed:
        return True
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    if _matches(file.content, text):
        return True
    return file.merge == "hooks" and _differs_by_hooks(file, git, record, text)


def _matches(template: str, text: str) -> bool:
    """Whether *text* is the template with something in the place of its fields."""
    parts = [re.escape(part) for part in _FIELD.split(template)]
    return re.fullmatch("[^\n]*".join(parts), text) is not None


def _differs_by_hooks(file: KitFile, git: Git, record: Record, text: str) -> bool:
    """Whether the file without our hooks says what the committed one says."""
    committed = git.look("cat-file", "blob", f"HEAD:{file.path}", record=record.folder)
    try:
        ours = json.loads(file.content)
        have = json.loads(text)
        before = json.loads(committed.out) if committed.ok else {}
    except ValueError:
        return False
    return bool(_without(have, ours) == _without(before, ours))


def _without(value: Any, ours: Any) -> Any:
    """*value* without the hooks that *ours* has, and without what is empty then."""
    if not isinstance(value, dict):
        return value
    known = _commands(ours.get("hooks"))
    hooks = value.get("hooks")
    if not isinstance(hooks, dict):
        return value
    kept = {
        event: left
        for event, groups in hooks.items()
        if (
            left := [group for group in groups if not _is_known(group, known)]
            if isinstance(groups, list)
            else groups
        )
    }
    rest = {key: entry for key, entry in value.items() if key != "hooks"}
    return {**rest, "hooks": kept} if kept else rest


def _is_known(group: Any, known: set[str]) -> bool:
    commands = _commands([group])
    return bool(commands) and commands <= known


def _commands(value: Any) -> set[str]:
    """Every command that is named anywhere in *value*."""
    if isinstance(value, dict):
        own = {value["command"]} if isinstance(value.get("command"), str) else set()
        return own.union(*(_commands(entry) for entry in value.values()))
    if isinstance(value, list):
        return set[str]().union(*(_commands(entry) for entry in value))
    return set()

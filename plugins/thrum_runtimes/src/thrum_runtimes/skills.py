"""The thrum skill: ``SKILL.md`` with references, put where a runtime looks for skills.

Source: spec/features.md §11.6.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thrum_kernel.api import RuntimePreset
from thrum_kernel.errors import UsageError
from thrum_runtimes import kit
from thrum_runtimes.detection import has_marker
from thrum_runtimes.kit_plan import FilePlan, read

NAME = "thrum"
SHARED_FOLDER = ".agents/skills"
"""Where skills go for runtimes that have no folder of their own here."""

FILES = (
    "SKILL.md",
    "references/CLI_REFERENCE.md",
    "references/MESSAGING.md",
    "references/WAITING.md",
)


@dataclass(frozen=True, slots=True)
class SkillPlan:
    """What installing the skill does.

    Attributes:
        agent: name of the runtime it is for.
        folder: where it goes.
        files: what becomes of each file.
    """

    agent: str
    folder: Path
    files: Sequence[FilePlan]


def plan_skill(preset: RuntimePreset, worktree: Path, *, home: Path, force: bool) -> SkillPlan:
    """What installing the skill for *preset* does. Only looks.

    Raises:
        UsageError: it is there already in another state, or comes with a plugin of the runtime; not with *force*.
    """
    folder = worktree / _skills_dir(preset, worktree) / NAME
    files = [_plan(folder / name, name, preset.name) for name in FILES]
    if force or all(file.action == "noop" for file in files):
        return SkillPlan(preset.name, folder, files)
    plugin = _claude_plugin(worktree, home) if preset.name == "claude" else None
    if plugin is not None:
        raise UsageError(
            f"the thrum plugin for Claude Code brings the skill already ({plugin})",
            hint="to install it beside the plugin: thrum init --skills --force",
        )
    if (folder / "SKILL.md").exists():
        raise UsageError(
            f"{folder / 'SKILL.md'} exists", hint="to bring it up to date: thrum init --skills --force"
        )
    return SkillPlan(preset.name, folder, files)


def current(folder: Path) -> bool:
    """Whether the skill in *folder* is the one this version installs."""
    return all(_plan(folder / name, name, "").action == "noop" for name in FILES)


def _plan(path: Path, name: str, runtime: str) -> FilePlan:
    wanted, present = kit.template(f"skill/{name}").encode(), read(path)
    template = f"skill/{name}"
    if present == wanted:
        return FilePlan(path, "noop", runtime, template)
    return FilePlan(path, "create" if present is None else "overwrite", runtime, template, wanted)


def _skills_dir(preset: RuntimePreset, worktree: Path) -> str:
    """The runtime's own folder where the runtime is used, else the shared one."""
    folders = [marker for marker in preset.markers if marker.endswith("/")]
    is_used = any(has_marker(worktree, marker) for marker in folders)
    return preset.skills_dir if preset.skills_dir and is_used else SHARED_FOLDER


def _claude_plugin(worktree: Path, home: Path) -> str | None:
    """Where a plugin called thrum is installed for Claude Code; None when none is."""
    for path in (worktree / ".claude-plugin" / "plugin.json", worktree / "plugin.json"):
        if _object(path).get("name") == NAME:
            return str(path)
    path = home / ".claude" / "plugins" / "installed_plugins.json"
    plugins = _object(path).get("plugins")
    names = plugins if isinstance(plugins, dict | list) else ()
    if any(isinstance(name, str) and name.partition("@")[0] == NAME for name in names):
        return str(path)
    return None


def _object(path: Path) -> dict[str, object]:
    """The JSON object of another program's file; empty when it is not there or makes no sense to us."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}

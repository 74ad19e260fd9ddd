"""The agents of this machine, as their identity files tell it; for commands that run with no daemon. Blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Resident:
    """An agent that lives on this machine.

    Attributes:
        worktree: root of its worktree.
    """

    name: str
    role: str
    module: str
    worktree: Path


def residents(repo: Path) -> list[Resident]:
    """The agents with an identity file in the repository's worktrees, by name."""
    found: dict[str, Resident] = {}
    for worktree in (repo, *_linked(repo)):
        for path in sorted((worktree / ".thrum" / "identities").glob("*.json")):
            agent = _resident(path, worktree)
            if agent is not None:
                found.setdefault(agent.name, agent)
    return [found[name] for name in sorted(found)]


def _resident(path: Path, worktree: Path) -> Resident | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None  # `thrum doctor` tells of damaged identity files
    identity = _lowered(value)
    agent = _lowered(identity.get("agent"))
    name, role = agent.get("name"), agent.get("role")
    if not (isinstance(name, str) and name and isinstance(role, str)) or identity.get("reserved"):
        return None
    return Resident(name, role, str(agent.get("module") or ""), worktree)


def _lowered(value: Any) -> Mapping[str, Any]:
    return {str(key).lower(): inner for key, inner in value.items()} if isinstance(value, dict) else {}


def _linked(repo: Path) -> Iterator[Path]:
    """The linked worktrees of a repository, as the files that git keeps tell it."""
    git = repo / ".git"
    common = git if git.is_dir() else _common_of(git)
    if common is None:
        return
    for record in sorted((common / "worktrees").glob("*/gitdir")):
        pointer = Path(record.read_text("utf-8", "surrogateescape").strip())
        worktree = (pointer if pointer.is_absolute() else record.parent / pointer).parent
        if worktree.is_dir() and worktree.resolve() != repo.resolve():
            yield worktree


def _common_of(pointer: Path) -> Path | None:
    """The shared git folder that a linked worktree's ``.git`` file leads to."""
    try:
        folder = (
            pointer.parent / pointer.read_text("utf-8", "surrogateescape").removeprefix("gitdir:").strip()
        )
        return (folder / (folder / "commondir").read_text("utf-8", "surrogateescape").strip()).resolve()
    except OSError:
        return None

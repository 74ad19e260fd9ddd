"""An `InitPlan` that writes at once, as ``init`` does, for steps that are run by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thrum_runtimes.init_step import step
from thrum_runtimes.presets import BUILT_IN


@dataclass
class WritingPlan:
    """Writes unless `dry_run`; keeps what the step said and reported."""

    worktree: Path
    env: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    force: bool = False
    said: list[str] = field(default_factory=list)
    reported: dict[str, Any] = field(default_factory=dict)
    configured: dict[str, Any] = field(default_factory=dict)

    @property
    def repo(self) -> Path:
        return self.worktree

    @property
    def thrum(self) -> Path:
        return self.worktree / ".thrum"

    def write(self, path: Path, data: bytes, *, mode: int = 0o644) -> None:
        if self.dry_run:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)

    def make_folder(self, path: Path) -> None:
        if not self.dry_run:
            path.mkdir(parents=True, exist_ok=True)

    def configure(self, key: str, value: Any) -> None:
        self.configured[key] = value

    def say(self, line: str) -> None:
        self.said.append(line)

    def report(self, key: str, value: Any) -> None:
        self.reported[key] = value

    @property
    def actions(self) -> dict[str, str]:
        """By path in the worktree, what was reported to become of it."""
        return {
            str(Path(file["path"]).relative_to(self.worktree)): file["action"]
            for file in self.reported["files"]
        }


def run_step(plan: WritingPlan) -> WritingPlan:
    """Run the runtimes' step with nobody's plugins but ours."""
    step(lambda: BUILT_IN).run(plan)
    return plan


def tree(root: Path) -> dict[str, bytes]:
    """Every file below *root* but git's, with its bytes."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(root).parts
    }

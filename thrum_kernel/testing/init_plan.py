"""An `InitPlan` that writes at once, for a step of ``init`` run by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class FakePlan:
    """Writes unless `dry_run`; keeps what the step said, reported and configured.

    Attributes:
        worktree: root of the worktree, which is the project's main one.
        said: lines for people.
        reported: what was added to the JSON result, by key.
        configured: keys of config.json that were set; that file is not written.
    """

    worktree: Path
    env: Mapping[str, str] = field(default_factory=dict)
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

"""An `InitPlan` that writes at once, for the step of ``init`` run by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class WritingPlan:
    """Writes unless `dry_run`; keeps what the step said, reported and configured."""

    repo: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    force: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    reported: dict[str, Any] = field(default_factory=dict)
    configured: dict[str, Any] = field(default_factory=dict)

    @property
    def worktree(self) -> Path:
        return self.repo

    @property
    def thrum(self) -> Path:
        return self.repo / ".thrum"

    def write(self, path: Path, data: bytes, *, mode: int = 0o644) -> None:
        if not self.dry_run:
            path.write_bytes(data)

    def make_folder(self, path: Path) -> None:
        if not self.dry_run:
            path.mkdir(parents=True, exist_ok=True)

    def configure(self, key: str, value: Any) -> None:
        self.configured[key] = value

    def say(self, line: str) -> None:
        self.said.append(line)

    def report(self, key: str, value: Any) -> None:
        self.reported[key] = value

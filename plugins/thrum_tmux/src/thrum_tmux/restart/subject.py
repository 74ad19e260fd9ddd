"""Whose session a snapshot is of, as the agent's identity file tells; blocking."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Subject:
    """An agent and the process that its identity file names.

    Attributes:
        agent: its name.
        worktree: where it lives.
        thrum: that worktree's own ``.thrum``.
        runtime: name of its runtime: what was seen running, else what it prefers; empty when unknown.
        pid: the runtime's process; 0 when none is known.
        started: when that process started, in the kernel's count; 0 when the file does not tell.
    """

    agent: str
    worktree: Path
    thrum: Path
    runtime: str = ""
    pid: int = 0
    started: int = 0

    @property
    def session(self) -> str:
        """What tells this session of the runtime apart from all others; empty when none is known."""
        return f"{self.pid}:{self.started}" if self.pid else ""


def subject(agent: str, worktree: Path) -> Subject:
    """What the identity file of *agent* in *worktree* says; no process where there is no file, or an unreadable one."""
    thrum = worktree / ".thrum"
    found = _read(thrum / "identities" / f"{agent}.json")
    return Subject(
        agent=agent,
        worktree=worktree,
        thrum=thrum,
        runtime=_text(found, "runtime") or _text(found, "preferred_runtime"),
        pid=_number(found, "agent_pid") or _number(found, "claude_pid"),
        started=_number(found, "agent_pid_start"),
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError):
        return {}
    return {key.lower(): value for key, value in found.items()} if isinstance(found, dict) else {}


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""


def _number(found: Mapping[str, Any], key: str) -> int:
    value = found.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

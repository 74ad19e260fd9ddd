"""An identity with the process it names, as a guard is told of it."""

from __future__ import annotations

from pathlib import Path

from thrum_kernel.api import IdentityFacts, Process
from thrum_kernel.identity.model import Identity


def subject(identity: Identity, worktree: Path, running: Process | None) -> IdentityFacts:
    """One identity; *running* is the process that has its process id now."""
    started = identity.agent_pid_start
    return IdentityFacts(
        name=identity.name,
        worktree=worktree,
        pid=identity.agent_pid,
        start_time=started,
        is_running=running is not None and started in (0, running.start_time),
        tmux_session=identity.tmux_session,
    )

"""The identities of a worktree with the processes they name, as a guard is told of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from thrum_kernel.api import IdentityFacts, Process
from thrum_kernel.identity import files, probe
from thrum_kernel.identity.model import Identity
from thrum_kernel.paths import THRUM_FOLDER


def of_worktree(
    worktree: Path, *, process: Callable[[int], Process | None] = probe.process
) -> tuple[IdentityFacts, ...]:
    """Every identity that can be read in *worktree*, by name; blocking.

    Args:
        process: what the system says of a process id; None when there is no such process.
    """
    found = files.read_all(worktree / THRUM_FOLDER / "identities")
    return tuple(subject(identity, worktree, process(identity.agent_pid)) for identity in found.identities)


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

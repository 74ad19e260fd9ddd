"""Guards before thrum is set up or its daemon started: asked in this process, for there is no daemon yet."""

from __future__ import annotations

import os
from typing import Final

from thrum_kernel import gitdir
from thrum_kernel.api import Caller, GuardedCall
from thrum_kernel.cli.command import Run
from thrum_kernel.errors import GuardFired
from thrum_kernel.identity import probe
from thrum_kernel.paths import Paths
from thrum_kernel.plugins.in_process import ProcessHost

NON_GIT: Final = "non_git_bootstrap"
"""The checkpoint whose verdict, where it does not refuse, stands for ``--force`` outside git."""


def judge(run: Run, where: Paths, plugins: ProcessHost, command: str, *, force: bool) -> bool:
    """Ask the guards whether *command* (``init``, ``daemon start``) may go on; what they warn of is shown.

    Returns:
        Whether it may go without git: it is in git, forced, or a guard that was asked about just this lets it pass.

    Raises:
        GuardFired: a guard refuses.
    """
    is_git = gitdir.locate(where.worktree) is not None
    verdict = plugins.run(
        plugins.judge(
            GuardedCall(
                kind="bootstrap",
                name=str(where.repo),
                caller=person(),
                params={"command": command, "is_git": is_git},
                force=force,
            )
        )
    )
    if verdict is not None and verdict.outcome == "warn":
        run.out.note(f"Warning: {GuardFired(verdict.guard, verdict.reason, facts=verdict.facts)}")
    return is_git or force or (verdict is not None and verdict.guard == NON_GIT)


def person() -> Caller:
    """Who runs this process, as the system tells."""
    facts = probe.facts(os.getpid())
    runtime = facts.runtime
    return Caller(
        kind="anonymous",
        pid=facts.pid,
        runtime_pid=runtime.pid if runtime else 0,
        runtime=runtime.runtime if runtime else "",
        cwd=facts.cwd,
        worktree=facts.git_root,
        chain=facts.chain,
    )

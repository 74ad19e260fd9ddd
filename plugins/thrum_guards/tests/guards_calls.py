"""Calls as the kernel would describe them, for tests that need no daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thrum_kernel.api import Caller, GuardedCall, IdentityFacts, Process

HERE = Path("/w/alice")
SHELL = Process(300, 200, 3, "bash")
CLAUDE = Process(200, 100, 2, "claude", "claude")
TERMINAL = Process(100, 1, 1, "tmux: server")
STRICT = {
    "cross_worktree": "strict",
    "quickstart_self_rename": "strict",
    "quickstart_name_collision": "strict",
    "non_git_bootstrap": "strict",
    "unauthenticated_rpc": "strict",
    "daemon_writer_liveness": "strict",
    "prime_ownership": "strict",
    "dead_pid_auto_reclaim": "warn",
}


def caller(*above: Process, name: str = "alice", **more: Any) -> Caller:
    """A process in alice's worktree with these processes above it."""
    chain = (SHELL, *above)
    runtime = next((process for process in chain if process.runtime), None)
    known = {
        "kind": "agent" if name else "anonymous",
        "agent_id": name,
        "source": "worktree" if name else "none",
        "pid": SHELL.pid,
        "runtime_pid": runtime.pid if runtime else 0,
        "runtime": runtime.runtime if runtime else "",
        "cwd": HERE,
        "worktree": HERE,
        "chain": chain,
    }
    return Caller(**{**known, **more})


def identity(name: str = "alice", pid: int = 0, **more: Any) -> IdentityFacts:
    return IdentityFacts(name=name, worktree=HERE, pid=pid, **more)


def command(words: str, who: Caller, *here: IdentityFacts, **params: Any) -> GuardedCall:
    return GuardedCall(kind="command", name=words, caller=who, params=params, identities=here)


def registration(who: Caller, *here: IdentityFacts, force: bool = False, **params: Any) -> GuardedCall:
    given = {"name": "alice", "role": "tester", "module": "core", **params}
    return GuardedCall(
        kind="method", name="agent.register", caller=who, params=given, force=force, identities=here
    )

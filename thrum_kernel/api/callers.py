"""Who calls, and what is known of whoever does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec


@dataclass(frozen=True, slots=True)
class Process:
    """One process.

    Attributes:
        pid: its id in our namespace.
        ppid: its parent's id; 0 when there is none to be seen.
        start_time: opaque number that tells apart processes which had the same id, also across a reboot.
        comm: the kernel's name of it.
        runtime: name of the runtime it is; empty when none.
    """

    pid: int
    ppid: int
    start_time: int
    comm: str = ""
    runtime: str = ""

    @property
    def key(self) -> tuple[int, int]:
        return self.pid, self.start_time


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from, as the operating system and the tokens tell.

    Attributes:
        kind: ``agent`` a registered agent; ``user`` a person with a token (``agent_id`` is then ``user:<name>``);
            ``anonymous`` provably none of them; ``kernel`` the daemon itself or a plugin.
        agent_id: name of the agent, user or sender; empty when anonymous.
        source: how it was found: ``process`` (a registered runtime above the caller), ``worktree``, ``claim``,
            ``token``, ``kernel``, ``none``.
        asserted: the claim was taken because the system could not tell; shown with everything it does.
        pid: the calling process, 0 when unknown.
        runtime_pid: the nearest process above it that is a known runtime, 0 when none.
        runtime: name of that runtime, e.g. ``claude``; empty when none.
        cwd: where it stands; None when unknown.
        worktree: root of the worktree it stands in; None when in none.
        reason: why it is anonymous, for the log; empty otherwise.
        chain: the calling process and those above it, nearest first, from the one look that told who calls; empty when
            that was not asked of the system.
        damage: what is wrong with identity files where it stands, while it is anonymous: one may be its own.
        ignored_name: its ``THRUM_NAME`` where that names no identity of the place; empty otherwise.
    """

    kind: Literal["agent", "user", "anonymous", "kernel"]
    agent_id: str = ""
    source: Literal["process", "worktree", "claim", "token", "kernel", "none"] = "none"
    asserted: bool = False
    pid: int = 0
    runtime_pid: int = 0
    runtime: str = ""
    cwd: Path | None = None
    worktree: Path | None = None
    reason: str = ""
    chain: tuple[Process, ...] = field(default=(), compare=False, repr=False)
    damage: str = ""
    ignored_name: str = ""

    @property
    def is_known(self) -> bool:
        """Whether it may write in somebody's name."""
        return self.kind != "anonymous"

    @property
    def is_person(self) -> bool:
        """Whether a person asks: with a user's token, or at a shell in a git worktree with no runtime above it.

        They act in the name of an agent where they stand in its worktree, and stay the one whom the project belongs to.
        """
        if self.kind == "user":
            return True
        is_here = self.worktree is not None and self.source in ("worktree", "none")
        return self.kind in ("agent", "anonymous") and is_here and not self.runtime_pid


KERNEL_CALLER = Caller(kind="kernel", agent_id="daemon", source="kernel")


@dataclass(frozen=True, slots=True)
class CallerFacts:
    """What is known of a caller that several identities fit.

    Attributes:
        method: what it asks for.
        candidates: names of the identities that fit, sorted; nobody else can be chosen.
        pid: its process; 0 when unknown.
        cwd: where that process stands; None when unknown.
    """

    method: str
    candidates: tuple[str, ...]
    pid: int = 0
    cwd: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityFacts:
    """An identity file and the process it names, as they are now.

    Attributes:
        name: whose it is.
        worktree: the worktree whose ``.thrum`` holds it.
        pid: the runtime that it says acts as this agent; 0 when none.
        start_time: of that process as `Process.start_time`; 0 when the file does not tell.
        is_running: that very process runs.
        tmux_session: ``session:window.pane``; empty when none.
    """

    name: str
    worktree: Path
    pid: int = 0
    start_time: int = 0
    is_running: bool = False
    tmux_session: str = ""


class IdentityView(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True):
    """An identity file, as ``agent.identities`` and ``agent.setTerminal`` give it.

    ``worktree`` is the one that holds it; ``is_running`` says whether the very process ``agent_pid`` runs.
    """

    name: str
    role: str
    module: str
    worktree: str
    file: str
    branch: str = ""
    intent: str = ""
    runtime: str = ""
    preferred_runtime: str = ""
    tmux_session: str = ""
    agent_status: str = ""
    agent_pid: int = 0
    is_running: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """An agent as preamble and briefing hooks see it.

    Attributes:
        worktree: root of the worktree it lives in.
        thrum: that worktree's own ``.thrum`` (identities, context).
    """

    name: str
    role: str
    module: str
    worktree: Path
    thrum: Path
    runtime: str = ""
    display: str = ""

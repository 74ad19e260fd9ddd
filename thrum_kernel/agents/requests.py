"""Parameters of the methods ``agent.*``, ``session.*`` and ``team.list``.

``caller_agent_id`` is the claim that clients of the reference send along; the dispatcher has checked it.
Source: spec/kernel.md §4.4.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from thrum_kernel.events.core import Label

Said = Annotated[str, msgspec.Meta(max_length=1000)]
"""What an agent says of itself: kept with every work context and read by everybody, so no more than a paragraph."""
Display = Annotated[str, msgspec.Meta(max_length=200)]


class _Params(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    caller_agent_id: str = ""


class Register(_Params):
    """Register an agent for the caller's worktree.

    Attributes:
        name: its name; ``<role>_<hash>`` when empty.
        agent_pid: the runtime it lives in, one of the caller's ancestors; None = as the system tells, 0 = none.
        runtime: the runtime it prefers, kept in its identity file.
        worktree: where it is registered: only the kernel may name another than the caller's own.
        force: take the name over from another worktree or runtime, or change role and module.
        re_register: write a registration even when nothing changed.
    """

    role: str = ""
    module: str = ""
    name: str = ""
    display: Display = ""
    force: bool = False
    re_register: bool = False
    agent_pid: int | None = None
    runtime: str = ""
    worktree: str = ""
    intent: Said = ""


class ListAgents(_Params):
    """Which agents to list: all, or those of a role and module."""

    role: str = ""
    module: str = ""


class WhoAmI(_Params):
    """Nothing but the caller."""


class ListContext(_Params):
    """Work contexts of open sessions.

    Attributes:
        agent_id: of this agent only.
        branch: on this branch only.
        file: with this file changed: its path from the worktree's root, or the last parts of it.
    """

    agent_id: str = ""
    branch: str = ""
    file: str = ""


class Delete(_Params):
    """Delete an agent of this daemon. *force*: also while its runtime is running or another's session is open."""

    name: str
    force: bool = False


class Leave(_Params):
    """Let an agent of this daemon leave its worktree; it stays registered. *force*: also while its runtime runs."""

    name: str
    force: bool = False


class Cleanup(_Params):
    """Find agents of this daemon without an identity file; delete them with *force*.

    Attributes:
        dry_run: only look, also with *force*.
        threshold: days after which an agent that has its identity file is named as stale.
    """

    dry_run: bool = False
    force: bool = False
    threshold: int = 30


class SetStatus(_Params):
    """What an agent of this daemon says it is: working, idle, blocked or stuck."""

    agent: str
    status: str


class Lookup(_Params):
    """One agent, by name or long name."""

    name: str


class Move(_Params):
    """Hand an agent of this daemon to another one, named by its id or host."""

    name: str
    to: str


class Adopt(_Params):
    """Take over an agent whose home is gone. *force*: although its daemon was heard of lately."""

    name: str
    force: bool = False


class ListTeam(_Params):
    """Who is in the team.

    Attributes:
        include_system: reserved pseudo-agents, too.
        with_work: ask git what they do; else only what was noted last is told of it, at once.
    """

    include_offline: bool = False
    include_system: bool = False
    with_work: bool = True


class StartSession(_Params):
    """Begin a work period of an agent."""

    agent_id: str
    scopes: list[Label] = []
    refs: list[Label] = []


class EndSession(_Params):
    """End a work period; again on an ended one changes nothing."""

    session_id: str
    reason: Said = "normal"


class ListSessions(_Params):
    """Sessions, newest first, of one agent or all."""

    agent_id: str = ""
    active_only: bool = False


class Heartbeat(_Params):
    """Sign of life; changes the session's scopes and refs and looks at its worktree."""

    session_id: str
    add_scopes: list[Label] = []
    remove_scopes: list[Label] = []
    add_refs: list[Label] = []
    remove_refs: list[Label] = []


class SetIntent(_Params):
    """What the agent means to do; empty clears it."""

    session_id: str
    intent: Said = ""


class SetTask(_Params):
    """The task at hand; empty clears it."""

    session_id: str
    current_task: Said = ""


Status = Literal["working", "idle", "blocked", "stuck"]
STATUSES: tuple[Status, ...] = ("working", "idle", "blocked", "stuck")

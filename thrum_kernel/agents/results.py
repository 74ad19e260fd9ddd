"""Results of the methods ``agent.*``, ``session.*`` and ``team.list``.

Times are timestamps; what is unknown is left out. An ``agent_id`` is the bare name where that means this agent, else
``name@daemon``. Source: spec/kernel.md §4.4.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from thrum_kernel.events.core import FileChange, Label, UnmergedCommit


class Conflict(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Who holds a name already."""

    existing_agent_id: str
    registered_at: str
    last_seen_at: str = ""
    conflict_pid: int = 0


class IntentSet(msgspec.Struct, kw_only=True):
    session_id: str
    intent: str
    intent_updated_at: str


class Registered(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How a registration ended.

    ``conflict``: another live runtime of this worktree has the name; nothing was changed.
    ``intent``: it was set with the registration, so nobody need set it again.
    ``single_agent_mode_ended``: this was the second agent, so messaging came on.
    ``also_here``: other agents of this worktree, where the new one has no runtime by which commands could tell them
    apart: they ask for ``THRUM_NAME`` from now on.
    ``notes``: who was told that it was taken over from another worktree.
    """

    agent_id: str
    status: Literal["registered", "updated", "conflict"]
    session_id: str = ""
    session_resumed: bool = False
    identity_file: str = ""
    single_agent_mode_ended: bool = False
    also_here: list[str] = []
    notes: list[str] = []
    intent: IntentSet | None = None
    conflict: Conflict | None = None


class AgentInfo(msgspec.Struct, kw_only=True):
    agent_id: str
    kind: str
    role: str
    module: str
    display: str
    registered_at: str
    last_seen_at: str | msgspec.UnsetType = msgspec.UNSET
    agent_pid: int | msgspec.UnsetType = msgspec.UNSET


class AgentList(msgspec.Struct, kw_only=True):
    """Agents, newest registered first."""

    agents: list[AgentInfo]


class Whoami(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Who the caller is.

    ``source``: ``peercred`` the operating system told, ``caller`` the claim was taken, ``identity_file`` it was read
    from the file in the caller's worktree. ``is_local`` is whether the agent lives on this daemon.
    """

    agent_id: str
    role: str
    module: str
    display: str = ""
    source: Literal["peercred", "caller", "identity_file"]
    branch: str = ""
    worktree: str = ""
    intent: str = ""
    repo_id: str = ""
    session_id: str = ""
    session_start: str = ""
    identity_file: str = ""
    updated_at: str = ""
    status: str = ""
    host: str = ""
    pid: int = 0
    tmux_session: str = ""
    tmux_alive: bool | msgspec.UnsetType = msgspec.UNSET
    is_local: bool = False
    asserted: bool = False


class ContextInfo(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What an agent works on in one open session."""

    session_id: str
    agent_id: str
    branch: str = ""
    worktree_path: str = ""
    unmerged_commits: list[UnmergedCommit] = []
    uncommitted_files: list[str] = []
    changed_files: list[str] = []
    file_changes: list[FileChange] = []
    git_updated_at: str = ""
    current_task: str = ""
    task_updated_at: str = ""
    intent: str = ""
    intent_updated_at: str = ""


class ContextList(msgspec.Struct, kw_only=True):
    contexts: list[ContextInfo]


class Deleted(msgspec.Struct, kw_only=True, omit_defaults=True):
    agent_id: str
    deleted: bool | msgspec.UnsetType = msgspec.UNSET
    message: str = ""
    notes: list[str] = []


class Left(msgspec.Struct, kw_only=True):
    """An agent without a worktree; ``worktrees`` are those that had an identity file of it."""

    agent_id: str
    worktrees: list[str]
    notes: list[str] | msgspec.UnsetType = msgspec.UNSET


class Orphan(msgspec.Struct, kw_only=True):
    """An agent of this daemon that no worktree has an identity file of."""

    agent_id: str
    role: str
    module: str
    worktree: str
    branch: str
    last_seen_at: str
    worktree_missing: bool
    branch_missing: bool
    days_since_last_seen: int
    message_count: int


class CleanedUp(msgspec.Struct, kw_only=True):
    orphans: list[Orphan]
    deleted: list[str]
    dry_run: bool
    message: str | msgspec.UnsetType = msgspec.UNSET


class StatusSet(msgspec.Struct, kw_only=True):
    agent: str
    status: str


class Moved(msgspec.Struct, kw_only=True):
    """An agent's new home: the daemon's id and the name it is shown by."""

    agent_id: str
    from_daemon: str
    to_daemon: str
    daemon: str


class TeamMember(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One agent. ``facts`` holds what plugins add beyond the named fields.

    ``worktree`` is the folder's name; ``worktree_path`` its place on this machine, for agents that live here;
    ``worktree_missing``: there is no folder any more.
    """

    agent_id: str
    role: str
    module: str
    status: Literal["active", "offline", "reserved"]
    unmerged_commits: int
    inbox_total: int
    inbox_unread: int
    display: str = ""
    hostname: str = ""
    origin_daemon: str = ""
    agent_pid: int = 0
    runtime: str = ""
    worktree: str = ""
    worktree_path: str = ""
    worktree_missing: bool = False
    session_id: str = ""
    session_start: str = ""
    last_seen: str = ""
    intent: str = ""
    current_task: str = ""
    branch: str = ""
    agent_status: str = ""
    file_changes: list[FileChange] = []
    tmux_session: str = ""
    tmux_state: str = ""
    reserved: bool = False
    is_local: bool = False
    adopted: bool = False
    asserted: bool = False
    facts: dict[str, Any] = {}


class Looked(msgspec.Struct, kw_only=True):
    member: TeamMember | None


class GroupTotal(msgspec.Struct, kw_only=True):
    name: str
    total: int


class SharedMessages(msgspec.Struct, kw_only=True):
    broadcast_total: int
    groups: list[GroupTotal] | msgspec.UnsetType = msgspec.UNSET


class Team(msgspec.Struct, kw_only=True):
    members: list[TeamMember]
    shared_messages: SharedMessages


class SessionStarted(msgspec.Struct, kw_only=True):
    session_id: str
    agent_id: str
    started_at: str


class SessionEnded(msgspec.Struct, kw_only=True):
    session_id: str
    ended_at: str
    duration_ms: int


class SessionInfo(msgspec.Struct, kw_only=True):
    session_id: str
    agent_id: str
    started_at: str
    last_seen_at: str
    status: Literal["active", "ended"]
    ended_at: str | msgspec.UnsetType = msgspec.UNSET
    end_reason: str | msgspec.UnsetType = msgspec.UNSET
    intent: str | msgspec.UnsetType = msgspec.UNSET
    scopes: list[Label] | msgspec.UnsetType = msgspec.UNSET
    refs: list[Label] | msgspec.UnsetType = msgspec.UNSET


class SessionList(msgspec.Struct, kw_only=True):
    sessions: list[SessionInfo]


class HeartbeatTaken(msgspec.Struct, kw_only=True):
    session_id: str
    last_seen_at: str
    branch: str | msgspec.UnsetType = msgspec.UNSET
    unmerged_commits: int | msgspec.UnsetType = msgspec.UNSET
    file_changes: list[FileChange] | msgspec.UnsetType = msgspec.UNSET


class TaskSet(msgspec.Struct, kw_only=True):
    session_id: str
    current_task: str
    task_updated_at: str

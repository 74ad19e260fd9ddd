"""The briefing as data. Keys are those of spec/features.md §12.2; times are timestamps."""

from __future__ import annotations

from typing import Any

import msgspec


class PrimeParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Parameters of ``prime.show``.

    ``tmux`` and ``tmux_pane`` are what ``TMUX`` and ``TMUX_PANE`` say where the caller stands; they are believed only
    as far as the system confirms them.
    """

    tmux: str = ""
    tmux_pane: str = ""
    caller_agent_id: str = ""


class BriefedSession(msgspec.Struct, kw_only=True):
    """The open session of the agent; all empty when there is none."""

    session_id: str = ""
    started_at: str = ""
    intent: str = ""


class BriefedAgent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One of the team. ``status`` is ``active``, ``offline`` or ``reserved``."""

    agent_id: str
    role: str
    module: str
    status: str
    display: str = ""
    intent: str = ""
    branch: str = ""
    agent_status: str = ""
    last_seen_at: str = ""
    is_local: bool = False


class BriefedTeam(msgspec.Struct, kw_only=True):
    """Everyone, those of this machine first."""

    total: int = 0
    active: int = 0
    list: list[BriefedAgent] = []


class BriefedMessage(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An unread message; ``preview`` is its first line, at most 60 characters."""

    message_id: str
    agent_id: str
    created_at: str
    preview: str
    priority: str = "normal"
    thread_id: str = ""


class BriefedMail(msgspec.Struct, kw_only=True):
    """What waits for the agent; ``recent`` are the newest unread ones, at most five."""

    unread: int = 0
    total: int = 0
    recent: list[BriefedMessage] = []


class BriefedWork(msgspec.Struct, kw_only=True):
    """What git says of the worktree; ``error`` why it says nothing."""

    branch: str = ""
    uncommitted_files: list[str] = []
    unmerged_commits: list[dict[str, Any]] = []
    git_updated_at: str = ""
    error: str = ""


class BriefedDaemon(msgspec.Struct, kw_only=True):
    """The daemon that answers."""

    daemon_status: str
    uptime_ms: int
    sync_state: str
    version: str


class BriefedCommand(msgspec.Struct, kw_only=True):
    """A command that exists here."""

    command: str
    help: str


class Briefing(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What an agent needs to know to begin, or to go on after its context was lost.

    ``identity`` has the keys of ``agent.whoami`` and is null where nobody is registered. ``sections`` holds what
    plugins add, by key; ``thrum prime --json`` shows them beside the kernel's keys. ``preamble`` and ``project_state``
    are the texts as they are shown. ``warnings`` are what guards had to say. ``text`` is the whole briefing for the
    agent to read.
    """

    identity: dict[str, Any] | None
    session: BriefedSession
    agents: BriefedTeam
    messages: BriefedMail
    work_context: BriefedWork
    sync_state: BriefedDaemon
    repo_path: str
    runtime: str
    single_agent_mode: bool
    tmux_mode: bool
    restart_snapshot: Any
    saved_session_context: str
    commands: list[BriefedCommand]
    preamble: str = ""
    project_state: str = ""
    sections: dict[str, Any] = {}
    warnings: list[str] = []
    text: str = ""


KERNEL_KEYS = frozenset(Briefing.__struct_fields__) - {"restart_snapshot"}
"""Keys that no plugin may give; the restart snapshot is for the plugin that restarts runtimes."""

"""Parameters and results of the methods ``monitor.*``. Source: spec/features.md §7.1."""

from __future__ import annotations

import msgspec


class StartParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A command, without a shell, and what to do with its output.

    ``match`` is an RE2 pattern for each line, ``target`` the agent that gets the alarms. ``cwd`` is absolute. ``path`` is
    where the program is looked for, by default the daemon's ``PATH``. With ``schedule`` (minute hour day-of-month month
    day-of-week) the command runs at each moment that fits, for ``timeout_seconds`` at most.
    """

    name: str
    argv: list[str]
    match: str
    target: str
    cwd: str
    env: dict[str, str] = {}
    debounce_seconds: int = 60
    schedule: str = ""
    timeout_seconds: int = 0
    path: str = ""
    caller_agent_id: str = ""


class Started(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``pid`` is there for a command that runs now."""

    id: str
    pid: int | None = None


class IdParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A monitor by its id or its name."""

    id: str = ""
    caller_agent_id: str = ""


class Stopped(msgspec.Struct, kw_only=True):
    """What it is now."""

    status: str


class ListParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Those that run, or with *include_all* the dead and stopped ones, too."""

    include_all: bool = False
    caller_agent_id: str = ""


class MonitorView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A monitor.

    ``next_run_at`` is when it is started next, by its schedule or because it ended. ``env`` has the names of its variables; their values are never shown. ``reason`` says why it is dead,
    ``rerouted_to`` who gets its alarms while its target is gone, ``undelivered`` how many could not be sent yet and
    ``problem`` why, ``suppressed`` how many matches in the window that is open were not told yet, ``skipped_bytes`` how
    much of its output was never looked at, ``dropped`` how many alarms were given up because too many waited for a target
    that is gone. ``last_exit_code`` is negative for a signal.
    """

    id: str
    name: str
    argv: list[str]
    match: str
    target: str
    cwd: str
    env: dict[str, str]
    debounce_seconds: int
    status: str
    created_at: str
    updated_at: str
    created_by: str = ""
    pid: int | None = None
    schedule: str = ""
    timeout_seconds: int = 0
    next_run_at: str = ""
    reason: str = ""
    last_started_at: str | None = None
    last_exit_code: int | None = None
    last_exit_at: str | None = None
    rerouted_to: str = ""
    undelivered: int = 0
    problem: str = ""
    suppressed: int = 0
    skipped_bytes: int = 0
    dropped: int = 0


class LogsParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The last *limit* entries of a monitor, by its id or its name."""

    id: str = ""
    limit: int = 20
    caller_agent_id: str = ""


class MatchView(msgspec.Struct, kw_only=True):
    """A message that a monitor sent."""

    message_id: str
    content: str
    created_at: str


class LineView(msgspec.Struct, kw_only=True):
    """A line of output, or one that starts with ``—`` and tells of the command itself."""

    at: str
    text: str

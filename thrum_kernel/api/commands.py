"""What was typed, and what a plugin adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Invocation:
    """One command as a person or agent typed it; a command never looks at ``sys`` or ``os.environ`` itself.

    Attributes:
        argv: the words after ``thrum``.
        cwd: where it was typed, as the operating system tells.
        env: the allow-listed part of the environment.
        request_id: identifies this try of the command and all its retries.
        in_daemon: whether it runs inside the daemon.
        as_json, quiet, verbose, repo, role, module: the global flags.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    in_daemon: bool = False
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    repo: str = ""
    role: str = ""
    module: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginCommand:
    """A command that a plugin adds; declared so that it can be listed without importing the plugin.

    Attributes:
        words: where it stands, e.g. ``("runtime", "list")``.
        target: ``package.module:function``, imported when it is first run: ``(ctx, …) -> int | None``, with
            ``run_of(ctx)`` for what it may use.
        help: one line.
        local: runs in the caller's own process.
        offline: runs with no daemon, and never starts one.
        in_daemon: may run inside the daemon: it blocks nobody and touches nothing but its `Run`. Otherwise it runs in
            the caller's process.
        hidden: not listed.
        aliases: other last words.
    """

    words: tuple[str, ...]
    target: str
    help: str
    local: bool = False
    offline: bool = False
    in_daemon: bool = False
    hidden: bool = False
    aliases: tuple[str, ...] = ()

"""What the commands of plugins may use beside `thrum_kernel.api`; apart from it, for it needs more of the kernel.

A command is a function named by `api.PluginCommand.target`::

    import typer
    from thrum_kernel.api_commands import run_of

    def show(ctx: typer.Context, name: str) -> None:
        \"\"\"Show one.\"\"\"
        run = run_of(ctx)
        found = run.call("example.show", name=name)
        run.out.json(found)
        run.out.line(found["text"])

It is imported when it first runs, never prints, and never looks at ``sys`` or ``os.environ``: `Run` has what was
typed (``inv``), the daemon (``call``), the caller's input (``stdin``, ``file``) and where to write (``out``).
"""

from __future__ import annotations

import os

from thrum_kernel.api import Process, RuntimePreset
from thrum_kernel.cli.command import Outcome, Pending, Run, refuse_together, run_of
from thrum_kernel.cli.durations import parse_duration_us
from thrum_kernel.cli.output import Output
from thrum_kernel.errors import NotInitialized
from thrum_kernel.identity import probe

__all__ = [
    "Outcome",
    "Output",
    "Pending",
    "Run",
    "presets",
    "process",
    "refuse_together",
    "run_of",
    "runtime_above",
    "seconds",
]


def process(pid: int) -> Process | None:
    """The process with this id as the kernel tells processes apart; None when it is gone, or only a zombie.

    Its ``start_time`` is what identity files call ``agent_pid_start``. Blocks for as long as one look takes.
    """
    return probe.process(pid)


def runtime_above() -> Process | None:
    """The nearest known runtime that this process runs under; None when it runs under none.

    For commands that run in their caller's process; inside the daemon a call's ``caller`` tells.
    """
    return next((found for found in probe.facts(os.getpid()).chain if found.runtime), None)


def presets(run: Run) -> tuple[RuntimePreset, ...]:
    """Every runtime that plugins declare, loaded in this process, also outside any project.

    For commands that need no daemon; inside it, and in hooks, there is ``ctx.presets()``. Blocks for as long as it
    takes to import the plugins.

    Raises:
        PluginError: a plugin failed and ``THRUM_PLUGINS_STRICT`` is set.
    """
    from thrum_kernel import paths
    from thrum_kernel.plugins import in_process
    from thrum_kernel.settings.document import SettingsFile

    where, repo = run.inv.cwd, run.inv.repo or None
    try:
        found = paths.find(where, repo=repo, env=run.inv.env)
    except NotInitialized:
        found = paths.plan(where, repo=repo, env=run.inv.env, without_git=True)
    with in_process.host(found, SettingsFile(found.config), env=run.inv.env) as plugins:
        return tuple(plugins.presets.values())


def seconds(text: str, *, flag: str) -> int:
    """Whole seconds of a length of time as people type it (``90s``, ``5m``, ``2h30m``), rounded up.

    Raises:
        UsageError: it is none, or not above zero; names *flag*.
    """
    return -(-parse_duration_us(text, flag=flag) // 1_000_000)

"""``prime``: the briefing of an agent."""

from __future__ import annotations

from typing import Any

import typer

from thrum_kernel.cli.arguments import given
from thrum_kernel.cli.command import Group, Run, command, run_of
from thrum_kernel.cli.commands.view import show
from thrum_kernel.errors import DaemonNotRunning, NotInitialized

NOT_HERE = "Thrum not initialized (run: thrum init && thrum daemon start)"


def register(root: Group) -> None:
    """Add these commands."""
    command(root, "prime")(prime)


def prime(ctx: typer.Context) -> None:
    """Show what an agent needs to begin, or to go on after its context was lost."""
    run = run_of(ctx)
    env = run.inv.env
    where = given({"tmux": env.get("TMUX", ""), "tmux_pane": env.get("TMUX_PANE", "")})
    try:
        found = run.call("prime.show", **where)
    except (NotInitialized, DaemonNotRunning):
        # A runtime's hook asks in every repository: where there is nothing to tell that is no failure.
        show(run, {"initialized": False, "message": NOT_HERE}, [NOT_HERE])
        return
    _show(run, found)


def _show(run: Run, found: dict[str, Any]) -> None:
    text = found.pop("text", "")
    sections = found.pop("sections", {})
    for warning in found.get("warnings", ()):
        run.out.warn(warning)
    show(run, {**found, **sections}, text.split("\n"))

"""``thrum tmux …``."""

from __future__ import annotations

import typer

from thrum_kernel.api_commands import run_of


def status(ctx: typer.Context) -> None:
    """Show the sessions of this project's agents."""
    run = run_of(ctx)
    found = run.call("tmux.status")
    run.out.json(found)
    if not found["sessions"]:
        run.out.line("No tmux-managed sessions")
    for session in found["sessions"]:
        run.out.line(f"{session['name']:<25} {session['state']}")

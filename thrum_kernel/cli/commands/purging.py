"""``purge``: old messages, sessions and events go for good, everywhere."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from thrum_kernel.cli.command import Group, command, refuse_together, run_of
from thrum_kernel.cli.commands.view import show, view_of
from thrum_kernel.cli.durations import parse_cutoff_us
from thrum_kernel.cli.render import View, columns, counted
from thrum_kernel.clock import format_us, parse_us
from thrum_kernel.errors import UsageError

_COUNTS = (
    ("messages_deleted", "message"),
    ("sessions_deleted", "ended session"),
    ("events_deleted", "event"),
    ("command_queue_deleted", "queued command"),
    ("sync_message_files", "published file"),
    ("sync_events_filtered", "published event"),
)


def register(root: Group) -> None:
    """Add these commands."""
    command(root, "purge")(purge)


def purge(
    ctx: typer.Context,
    before: Annotated[
        str | None,
        typer.Option(
            "--before", metavar="DURATION|DATE", help="Older than 2d, 24h, 2026-03-15, or an RFC 3339 time."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything up to now.")] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Really do it; otherwise only a preview.")
    ] = False,
) -> None:
    """Remove old messages, ended sessions and their events; agents and open sessions stay."""
    run = run_of(ctx)
    refuse_together(before=before, all=everything)
    if not before and not everything:
        raise UsageError("either --before or --all is required", hint="for example thrum purge --before 30d")
    view = view_of(run)
    cutoff = parse_cutoff_us(before, flag="--before", now_us=view.now_us) if before else view.now_us
    done = run.call("purge.execute", before=format_us(cutoff), dry_run=not confirm)
    show(run, done, _lines(done, view))


def _lines(done: dict[str, Any], view: View) -> list[str]:
    dry_run = bool(done.get("dry_run"))
    verb = "Would remove" if dry_run else "✓ Removed"
    counts = [counted(done[key], noun).split(" ", 1) for key, noun in _COUNTS if done.get(key)]
    lines = [f"{verb} everything before {view.local(parse_us(done['before']))}:"]
    lines += columns(counts, indent="  ") or ["  nothing"]
    if dry_run:
        return [*lines, "", "Run with --confirm to execute."]
    return [*lines, "", "Agents and open sessions are untouched: nobody has to register again."]

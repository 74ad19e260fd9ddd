"""``monitor list | show | stop | restart | logs | delete``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from thrum_kernel.api_commands import Pending, Run, run_of
from thrum_monitor import wording

Name = Annotated[str, typer.Argument(metavar="NAME|ID", help="The monitor.", show_default=False)]
SHOWN = 10


def list_monitors(
    ctx: typer.Context,
    all: Annotated[bool, typer.Option("--all", help="Dead and stopped ones, too.")] = False,
) -> None:
    """List the monitors that run."""
    run = run_of(ctx)
    found = run.call("monitor.list", include_all=all)
    run.out.json(found)
    if not found:
        run.out.line("No monitors." if all else "No monitors are running. (thrum monitor list --all)")
    for monitor in found:
        run.out.line(wording.row(monitor))


def show(ctx: typer.Context, name: Name) -> None:
    """Show a monitor: what it does, how it is, and its last lines of output."""
    run = run_of(ctx)
    found = run.call("monitor.show", id=name)
    run.out.json(found)
    for line in wording.details(found):
        run.out.line(line)
    lines = run.call("monitor.output", id=found["id"], limit=SHOWN)
    if lines:
        run.out.line("  Last output:")
    for line in lines:
        run.out.line(f"    {line['at']}  {line['text']}")


def stop(ctx: typer.Context, name: Name) -> Pending:
    """End a monitor's command with all that it started; `restart` starts it again."""
    run = run_of(ctx)
    return _change(run, "monitor.stop", name, told="Stopped")


def restart(ctx: typer.Context, name: Name) -> Pending:
    """Start a monitor's command anew, whether it runs, was stopped or is dead."""
    run = run_of(ctx)
    return _change(run, "monitor.restart", name, told="Restarted")


def logs(
    ctx: typer.Context,
    name: Name,
    limit: Annotated[int, typer.Option("-n", "--limit", help="How many, the last ones.")] = 20,
    matches: Annotated[
        bool, typer.Option("--matches", help="The messages that it sent, newest first.")
    ] = False,
) -> None:
    """Show the last lines that a monitor's command printed, with times; or what it sent."""
    run = run_of(ctx)
    if matches:
        found = run.call("monitor.logs", id=name, limit=limit)
        run.out.json(found)
        for message in found:
            run.out.line(f"{message['created_at']}  {message['message_id']}  {message['content']}")
    else:
        found = run.call("monitor.output", id=name, limit=limit)
        run.out.json(found)
        for line in found:
            run.out.line(f"{line['at']}  {line['text']}")
    if not found:
        run.out.line("Nothing matched yet." if matches else "No output yet.")


def delete(ctx: typer.Context, name: Name) -> Pending:
    """End a monitor and forget it; its messages stay."""
    run = run_of(ctx)
    return _change(run, "monitor.delete", name, told="Deleted")


def _change(run: Run, method: str, name: str, *, told: str) -> Pending:
    """Change a monitor; long, because a process that runs the monitors and is stuck is replaced before."""
    found = run.call("monitor.show", id=name)

    def finish(done: dict[str, Any]) -> None:
        run.out.json({"id": found["id"], **done})
        run.out.line(f"{told} monitor {found['id']}")

    return Pending(method, {"id": found["id"]}, finish)

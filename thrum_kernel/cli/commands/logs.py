"""``log verify|show|replay`` and ``sync status|force``: the log itself, and how it travels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from thrum_kernel.cli.arguments import bare_name, given
from thrum_kernel.cli.command import Group, Pending, Run, command, group, run_of
from thrum_kernel.cli.commands.view import show, view_of
from thrum_kernel.cli.durations import parse_cutoff_us
from thrum_kernel.cli.render import View, at, columns, counted, fields, shorten
from thrum_kernel.clock import format_us
from thrum_kernel.errors import UsageError

DAMAGED = 1


def register(root: Group) -> None:
    """Add these commands."""
    logs = group(root, "log", help="The append-only log: check it, look into it")
    command(logs, "verify")(verify)
    command(logs, "show")(show_events)
    command(logs, "replay")(replay)
    syncs = group(root, "sync", help="How the log travels between clones")
    command(syncs, "status")(status)
    command(syncs, "force")(force)


def verify(ctx: typer.Context) -> Pending:
    """Check every file of the log against what it should hold."""
    run = run_of(ctx)
    return Pending("log.verify", {}, finish=lambda result: _verified(run, result))


def show_events(
    ctx: typer.Context,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only this kind, e.g. message.create.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="Only about this agent.")
    ] = None,
    writer: Annotated[str | None, typer.Option("--writer", metavar="ID", help="Only of this writer.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DURATION|DATE", help="Only newer ones.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="How many, the newest.")] = 50,
) -> None:
    """Show events of the log, oldest first."""
    run = run_of(ctx)
    if limit < 1:
        raise UsageError(f"invalid --limit {limit}: must be at least 1")
    view = view_of(run)
    cutoff = format_us(parse_cutoff_us(since, flag="--since", now_us=view.now_us)) if since else ""
    wanted = {
        "type": kind,
        "agent": bare_name(agent or ""),
        "writer": writer,
        "since": cutoff,
        "limit": limit,
    }
    found = run.call("log.show", **given(wanted))
    show(run, found, _event_lines(found["events"], view))


def replay(
    ctx: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="EVENT_ID|TIME", help="Up to this event or time.")],
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="What this agent knew then.")
    ] = None,
) -> Pending:
    """Show how things stood at one point: project the log up to there and look; changes nothing."""
    run = run_of(ctx)
    point = (
        to
        if to.startswith("evt_")
        else format_us(parse_cutoff_us(to, flag="--to", now_us=view_of(run).now_us))
    )
    params = given({"to": point, "agent": bare_name(agent or "")})
    return Pending("log.replay", params, finish=lambda result: _replayed(run, result))


def status(ctx: typer.Context) -> None:
    """Show whether and how the log travels."""
    run = run_of(ctx)
    found = run.call("sync.status")
    show(run, found, sync_lines(found, view_of(run)))


def force(ctx: typer.Context) -> None:
    """Publish and fetch now, without waiting for the end of it."""
    run = run_of(ctx)
    done = run.call("sync.force")
    said = "✓ Sync triggered" if done.get("triggered") else "Nothing to sync with"
    show(run, done, [said, *sync_lines(done, view_of(run))])


def sync_lines(found: Mapping[str, Any], view: View) -> list[str]:
    """The state of synchronisation; the first line is the mode."""
    local_only = bool(found.get("local_only"))
    last = view.time(str(found.get("last_sync_at") or ""))
    return [
        "Mode: local-only" if local_only else "Mode: normal",
        *fields(
            [
                ("State", str(found.get("sync_state") or "")),
                ("Reason", str(found.get("local_only_reason") or "")),
                ("Last sync", last or "never"),
                ("Error", str(found.get("last_error") or "")),
            ]
        ),
    ]


def _verified(run: Run, result: dict[str, Any]) -> int:
    problems = result.get("problems") or []
    counts = fields(
        [
            ("Files", str(result.get("files", ""))),
            ("Events", str(result.get("events", ""))),
            ("Journals", str(result.get("journals", ""))),
            ("Quarantined", str(result.get("quarantined") or "")),
        ]
    )
    if not problems:
        show(run, result, ["✓ The log is sound", *counts])
        return 0
    lines = [f"{counted(len(problems), 'problem')} in the log:"]
    lines += [f"  {_problem(problem)}" for problem in problems]
    show(run, result, lines + counts)
    return DAMAGED


def _problem(problem: Any) -> str:
    if not isinstance(problem, Mapping):
        return str(problem)
    where = problem.get("path") or problem.get("file") or problem.get("writer") or ""
    what = problem.get("problem") or problem.get("reason") or problem.get("message") or ""
    return f"{where}: {what}" if where else str(what)


def _event_lines(events: list[dict[str, Any]], view: View) -> list[str]:
    if not events:
        return ["No events."]
    return columns([_event_row(entry, view) for entry in events])


def _event_row(entry: dict[str, Any], view: View) -> list[str]:
    event = entry.get("event", entry)
    about = event.get("agent_id") or event.get("group_id") or event.get("title") or ""
    said = (
        (event.get("body") or {}).get("content") or event.get("message_id") or event.get("session_id") or ""
    )
    detail = json.dumps(event, ensure_ascii=False) if view.verbose else shorten(str(said), 60)
    return [event["event_id"], view.time(event["timestamp"]), event["type"], at(str(about)), detail]


def _replayed(run: Run, result: dict[str, Any]) -> None:
    counts = [
        (key.replace("_", " ").capitalize(), str(value))
        for key, value in result.items()
        if isinstance(value, int)
    ]
    lines = [f"As of {result.get('at') or result.get('to') or ''}:", *fields(counts)]
    lines += _event_lines(result.get("events") or [], view_of(run)) if result.get("events") else []
    show(run, result, lines)

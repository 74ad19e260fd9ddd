"""``log verify|show|replay`` and ``sync status|force|gc|held|release``: the log itself, and how it travels."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from thrum_kernel.cli.arguments import MOST_SHOWN, filled, given, named
from thrum_kernel.cli.command import Group, Pending, Run, command, group, run_of
from thrum_kernel.cli.commands.view import show, view_of
from thrum_kernel.cli.durations import parse_cutoff_us
from thrum_kernel.cli.render import shorten
from thrum_kernel.cli.texts.log import event_lines, replayed_lines, verified_lines
from thrum_kernel.cli.texts.sync import collected_lines, forced_line, held_lines, released_lines, sync_lines
from thrum_kernel.clock import format_us
from thrum_kernel.errors import UsageError
from thrum_kernel.ids import is_ulid

DAMAGED = 1

Agent = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only about this agent.")]


def register(root: Group) -> None:
    """Add these commands."""
    logs = group(root, "log", help="The append-only log: check it, look into it")
    command(logs, "verify")(verify)
    command(logs, "show")(show_events)
    command(logs, "replay")(replay)
    syncs = group(root, "sync", help="How the log travels between clones")
    command(syncs, "status")(status)
    command(syncs, "force")(force)
    command(syncs, "gc")(gc)
    command(syncs, "held")(held)
    command(syncs, "release")(release)


def verify(ctx: typer.Context) -> Pending:
    """Check every file of the log against what it should hold; exit 1 when something is wrong."""
    run = run_of(ctx)
    return Pending("log.verify", {}, finish=lambda result: _verified(run, result))


def show_events(
    ctx: typer.Context,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only this type; several with commas.")
    ] = None,
    agent: Agent = None,
    message: Annotated[
        str | None, typer.Option("--message", metavar="MSG_ID", help="Only about this message.")
    ] = None,
    writer: Annotated[str | None, typer.Option("--writer", metavar="ID", help="Only of this writer.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DURATION|DATE", help="Only from then on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DURATION|DATE", help="Only up to then.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="How many, the newest.")] = 50,
) -> Pending:
    """Show events of the log, oldest first; --verbose shows them whole."""
    run = run_of(ctx)
    if limit < 1:
        raise UsageError(f"invalid --limit {limit}: must be at least 1")
    wanted = {
        "type": filled(kind, flag="--type"),
        "agent": named(agent, flag="--agent"),
        "message_id": filled(message, flag="--message"),
        "writer": filled(writer, flag="--writer"),
        "since": _point(run, since, "--since"),
        "until": _point(run, until, "--until"),
        "limit": limit,
    }
    return Pending(
        "log.show", given(wanted), finish=lambda found: show(run, found, event_lines(found, view_of(run)))
    )


def replay(
    ctx: typer.Context,
    to: Annotated[
        str, typer.Option("--to", metavar="EVENT_ID|TIME", help="Up to this event or time, e.g. 2h.")
    ],
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="What this agent had then.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="How many messages.")] = 20,
) -> Pending:
    """Show how things stood at one point of the log; changes nothing."""
    run = run_of(ctx)
    if limit < 1:
        raise UsageError(f"invalid --limit {limit}: must be at least 1")
    point = _point_of_log(run, to)
    params = given({"to": point, "agent": named(agent, flag="--agent"), "limit": limit})
    return Pending(
        "log.replay", params, finish=lambda found: show(run, found, replayed_lines(found, view_of(run)))
    )


def status(ctx: typer.Context) -> None:
    """Show whether and how the log travels."""
    run = run_of(ctx)
    found = run.call("sync.status")
    show(run, found, sync_lines(found, view_of(run)))


def force(ctx: typer.Context) -> int:
    """Publish now, and exchange with the remote; what takes long goes on by itself. 1 when the exchange failed."""
    run = run_of(ctx)
    done = run.call("sync.force")
    show(run, done, [forced_line(done), *sync_lines(done, view_of(run))])
    if not done.get("failed"):
        return 0
    usual = "it is tried again by itself: thrum sync status"
    run.out.error(f"nothing was exchanged: {done['last_error']}", hint=done.get("remedy") or usual)
    return 1


def gc(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what there is to do, and change nothing.")
    ] = False,
    forget_lost: Annotated[
        bool,
        typer.Option(
            "--forget-lost", help="Begin the history anew though files are missed that nobody has any more."
        ),
    ] = False,
) -> Pending:
    """Make the log as small as it can be: roll up, begin the history of the branch anew, let go of the old one."""
    run = run_of(ctx)
    asked = {"dry_run": dry_run, **({"forget_lost": True} if forget_lost else {})}
    return Pending("sync.gc", asked, finish=lambda done: show(run, done, collected_lines(done, forget_lost)))


def held(ctx: typer.Context) -> None:
    """List what stays on this machine since it looks like a secret."""
    run = run_of(ctx)
    found = run.call("sync.held")
    show(run, found, held_lines(found, view_of(run)))


def release(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[MSG_ID | EVENT_ID]...", help="What may travel.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that is held back.")] = False,
) -> None:
    """Let travel what was held back: a message with its edits, or one event."""
    run = run_of(ctx)
    if everything and names:
        raise UsageError("MSG_ID and --all are mutually exclusive")
    if not everything and not names:
        raise UsageError("nothing to release: give MSG_ID … or --all", hint="thrum sync held")
    done = run.call("sync.release", **({"all": True} if everything else {"names": names}))
    show(run, done, released_lines(done))


def _point(run: Run, text: str | None, flag: str) -> str:
    return "" if text is None else format_us(parse_cutoff_us(text, flag=flag, now_us=view_of(run).now_us))


def _point_of_log(run: Run, text: str) -> str:
    """An event id, or a time.

    Raises:
        UsageError: it is neither.
    """
    word = text.strip()
    if word.startswith("evt_") and is_ulid(word[4:]):
        return word
    try:
        return format_us(parse_cutoff_us(word, flag="--to", now_us=view_of(run).now_us))
    except UsageError:
        raise UsageError(
            f'invalid value "{shorten(word, MOST_SHOWN)}" for --to: neither an event nor a time',
            hint="an event id (evt_…), how long ago (30m, 2h, 7d), a date (2026-03-15) or a time (2026-03-15T09:30:00Z)",
        ) from None


def _verified(run: Run, result: dict[str, Any]) -> int:
    show(run, result, verified_lines(result))
    return 0 if result["ok"] else DAMAGED

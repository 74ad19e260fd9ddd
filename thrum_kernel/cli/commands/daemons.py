"""``daemon start|stop|restart|status|logs|run|token|unit|adopt``."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated, Any

import typer

from thrum_kernel import gitdir, paths
from thrum_kernel.cli import bootstrapping, daemon_log, process, units
from thrum_kernel.cli.arguments import filled, given, named
from thrum_kernel.cli.command import Group, Run, command, group, refuse_together, run_of
from thrum_kernel.cli.commands.ready import until_ready
from thrum_kernel.cli.commands.view import show, view_of
from thrum_kernel.cli.durations import parse_cutoff_us, parse_duration_us
from thrum_kernel.cli.lifecycle import Lifecycle, Started
from thrum_kernel.cli.process import Running
from thrum_kernel.cli.render import columns
from thrum_kernel.cli.texts.daemon import daemon_lines, uptime_text
from thrum_kernel.errors import DaemonError, NotInitialized, ThrumError, UsageError
from thrum_kernel.plugins import in_process
from thrum_kernel.settings.document import SettingsFile

NOT_RUNNING = 1
DEFAULT_LINES = 50

Local = Annotated[bool, typer.Option("--local", help="Without remote git sync; kept in the configuration.")]
Force = Annotated[bool, typer.Option("--force", help="Also outside git.")]
Kill = Annotated[
    bool, typer.Option("--force", help="Kill (SIGKILL) a daemon that does not end within 15 seconds.")
]


def register(root: Group) -> None:
    """Add these commands."""
    daemons = group(root, "daemon", help="The background process that serves this repository")
    command(daemons, "start", local=True, offline=True)(start)
    command(daemons, "stop", local=True, offline=True)(stop)
    command(daemons, "restart", local=True, offline=True)(restart)
    command(daemons, "status", local=True, offline=True)(status)
    command(daemons, "logs", local=True, offline=True)(logs)
    command(daemons, "run", local=True, offline=True, hidden=True)(run_daemon)
    command(daemons, "token")(token)
    command(daemons, "unit", local=True, offline=True)(unit)
    command(daemons, "adopt")(adopt)


def start(ctx: typer.Context, local: Local = False, force: Force = False) -> None:
    """Start the daemon."""
    run = run_of(ctx)
    try:
        where = _paths(run)
    except NotInitialized:
        _judge_outside(run, force=force)
        raise
    lifecycle = Lifecycle(where, run.inv.env)
    if lifecycle.running() is None:
        _judge(run, where, force=force)
    started = lifecycle.start(local=local, force=force)
    until_ready(run)
    if started.was_running:
        said = f"daemon is already running (PID {started.pid}) for repo {where.repo}"
    else:
        said = f"✓ Daemon started (PID {started.pid})"
    show(run, _started(where, started), [said])


def stop(ctx: typer.Context, local: Local = False, force: Kill = False) -> None:
    """Stop the daemon; it stays stopped until it is started on purpose."""
    run = run_of(ctx)
    ended = Lifecycle(_paths(run), run.inv.env).stop(force=force)
    _tell_killed(run, ended)
    show(
        run,
        {"running": False, "stopped_pid": ended.pid, **({"killed": True} if ended.killed else {})},
        [
            f"✓ Daemon {'killed' if ended.killed else 'stopped'} (PID {ended.pid})",
            "  Messaging commands fail until it runs again: thrum daemon start",
        ],
    )


def restart(ctx: typer.Context, local: Local = False, force: Force = False) -> None:
    """Stop the daemon, if it runs, and start it."""
    run = run_of(ctx)
    where = _paths(run)
    started = Lifecycle(where, run.inv.env).restart(local=local, force=force)
    until_ready(run)
    show(run, _started(where, started), [f"✓ Daemon restarted (PID {started.pid})"])


def status(ctx: typer.Context, local: Local = False, force: Force = False) -> int:
    """Show whether the daemon runs, what it serves and how it is."""
    run = run_of(ctx)
    found = _status(run)
    show(run, found, daemon_lines(found, view_of(run)))
    return 0 if found["running"] or run.inv.as_json else NOT_RUNNING


def logs(
    ctx: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added.")] = False,
    lines: Annotated[
        int | None,
        typer.Option("--lines", "-n", metavar="N", help="How many, 0 for all; 50 without --since."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DURATION|DATE", help="For example 1h, 7d, 2026-04-09.")
    ] = None,
) -> None:
    """Show the daemon's log."""
    run = run_of(ctx)
    if lines is not None and lines < 0:
        raise UsageError(f"invalid --lines {lines}: must be 0 or more")
    if follow and run.inv.as_json:
        raise UsageError(
            "--follow and --json are mutually exclusive", hint="a log that goes on is no single JSON value"
        )
    where = _paths(run)
    cutoff = parse_cutoff_us(since, flag="--since", now_us=view_of(run).now_us) if since else None
    last = lines if lines is not None else (0 if since else DEFAULT_LINES)
    found = daemon_log.read(where.log, since_us=cutoff, last=last)
    show(run, {"lines": found}, found)
    if follow:
        _follow(run, where)


def run_daemon(ctx: typer.Context, local: Local = False, force: Force = False) -> None:
    """Run the daemon in the foreground."""
    words = " ".join(process.command(_paths(run_of(ctx)).repo, local=local, force=force))
    raise UsageError("daemon run does not go through the command tree", hint=words)


def token(
    ctx: typer.Context,
    user: Annotated[
        str | None, typer.Option("--user", metavar="NAME", help="For a person; not from within an agent.")
    ] = None,
    ttl: Annotated[
        str | None, typer.Option("--ttl", metavar="DURATION", help="How long it is good for, e.g. 8h or 30d.")
    ] = None,
    label: Annotated[str | None, typer.Option("--label", metavar="TEXT", help="What it is for.")] = None,
    link: Annotated[bool, typer.Option("--link", help="A link for a browser that works once.")] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="List the tokens that are good, without their text.")
    ] = False,
    everyone: Annotated[bool, typer.Option("--all", help="With --list: everybody's; for a person.")] = False,
    revoke: Annotated[
        str | None, typer.Option("--revoke", metavar="TOKEN_ID", help="Make one worthless.")
    ] = None,
) -> None:
    """Mint a token that speaks for you on the WebSocket; list or revoke tokens."""
    run = run_of(ctx)
    refuse_together(list=listing, revoke=revoke)
    refuse_together(list=listing, link=link)
    if listing:
        _list_tokens(run, everyone=everyone)
        return
    if revoke is not None:
        token_id = filled(revoke, flag="--revoke")
        done = run.call("token.revoke", token_id=token_id)
        show(run, done, ["✓ Token revoked: " + token_id if done["revoked"] else "It was worthless already."])
        return
    ttl_s = parse_duration_us(ttl, flag="--ttl") // 1_000_000 if ttl is not None else None
    principal = named(user, flag="--user")
    made = run.call("token.mint", **given({"user": principal, "ttl_s": ttl_s, "label": label, "link": link}))
    good = view_of(run).time(made["expires_at"])
    run.out.note(f"Speaks for {made['principal']}, expires {good}. Keep it secret: whoever has it is you.")
    show(run, made, [str(made.get("url") or made.get("token"))])


def unit(
    ctx: typer.Context,
    systemd: Annotated[bool, typer.Option("--systemd", help="For systemd (the default on Linux).")] = False,
    launchd: Annotated[bool, typer.Option("--launchd", help="For launchd (the default on macOS).")] = False,
) -> None:
    """Print a unit with which the system runs the daemon."""
    run = run_of(ctx)
    refuse_together(systemd=systemd, launchd=launchd)
    where = _paths(run)
    words = process.command(where.repo)
    is_launchd = launchd or (sys.platform == "darwin" and not systemd)
    text = units.launchd(where.repo, words, log=where.log) if is_launchd else units.systemd(where.repo, words)
    name = units.unit_name(where.repo) + (".plist" if is_launchd else ".service")
    folder = "~/Library/LaunchAgents" if is_launchd else "~/.config/systemd/user"
    enable = f"launchctl load {folder}/{name}" if is_launchd else f"systemctl --user enable --now {name}"
    run.out.hint("daemon.unit.install", f"write it to {folder}/{name}, then: {enable}")
    show(run, {"name": name, "unit": text}, text.rstrip("\n").split("\n"))


def adopt(
    ctx: typer.Context,
    new: Annotated[bool, typer.Option("--new", help="Take a new identity instead.")] = False,
) -> None:
    """Say that this machine's daemon goes on as the one this repository was copied or moved from."""
    run = run_of(ctx)
    done = run.call("daemon.adopt", **given({"new": new}))
    lines = [f"✓ This daemon is {done['daemon_id']}"]
    if done.get("restart"):
        lines.append("  Takes effect after: thrum daemon restart")
    show(run, done, lines)


def _judge(run: Run, where: paths.Paths, *, force: bool) -> None:
    with in_process.host(where, SettingsFile(where.config), env=run.inv.env) as plugins:
        bootstrapping.judge(run, where, plugins, "daemon start", force=force)


def _judge_outside(run: Run, *, force: bool) -> None:
    """Where there is neither a project nor git, the guards speak first, as they do for ``init``."""
    if gitdir.locate(run.inv.cwd / run.inv.repo) is not None:
        return
    with contextlib.suppress(UsageError):  # the home folder, which is no project of any kind
        _judge(
            run,
            paths.plan(run.inv.cwd, repo=run.inv.repo or None, env=run.inv.env, without_git=True),
            force=force,
        )


def _tell_killed(run: Run, ended: Running) -> None:
    if ended.killed:
        run.out.note(f"Warning: {ended.killed}; it was killed, nothing it had acknowledged is lost")


def _list_tokens(run: Run, *, everyone: bool) -> None:
    found = run.call("token.list", **given({"all": everyone}))
    view = view_of(run)
    rows = [
        (each["token_id"], each["principal"], f"until {view.time(each['expires_at'])}", each.get("label", ""))
        for each in found["tokens"]
    ]
    show(run, found, columns(rows) or ["No tokens."])


def _paths(run: Run) -> paths.Paths:
    return paths.find(run.inv.cwd, repo=run.inv.repo or None, env=run.inv.env)


def _started(where: paths.Paths, started: Started) -> dict[str, Any]:
    return {
        "running": True,
        "pid": started.pid,
        "repo_path": str(where.repo),
        "socket": str(where.socket),
        "already_running": started.was_running,
    }


def _status(run: Run) -> dict[str, Any]:
    where = _paths(run)
    found = Lifecycle(where, run.inv.env).running()
    if found is None:
        return {"running": False, "status": "stopped" if where.stopped.exists() else "not running"}
    base = {"running": True, "pid": found.pid, "repo_path": found.repo or str(where.repo)}
    try:
        health = run.call("daemon.status")
    except DaemonError as error:
        return {**base, "status": str(error)}
    except ThrumError as error:
        return {**base, "status": f"does not answer: {error}"}
    return {**base, "status": "ok", **health, "uptime": health.get("uptime") or uptime_text(health)}


def _follow(run: Run, where: paths.Paths) -> None:
    run.out.flush()
    for batch in daemon_log.follow(where.log):
        for line in batch:
            run.out.line(line)
        run.out.flush()

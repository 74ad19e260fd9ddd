"""``team``, ``team local|daemons``, ``who-has`` and ``ping``: who is there and what they do."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from thrum_kernel.cli.arguments import bare_name, filled, given
from thrum_kernel.cli.command import Group, Run, command, group, run_of
from thrum_kernel.cli.commands.view import show, view_of
from thrum_kernel.cli.texts.people import daemons_lines, ping_lines, team_lines, who_has_lines
from thrum_kernel.errors import NotFound, UsageError

All = Annotated[bool, typer.Option("--all", help="Also those who are offline.")]
System = Annotated[bool, typer.Option("--system", help="Also reserved pseudo-agents.")]


def register(root: Group) -> None:
    """Add these commands."""
    teams = group(root, "team", help="Who is in the team and what they do")
    command(root, "team")(team)
    command(teams, "local")(local)
    command(teams, "daemons")(daemons)
    command(root, "who-has")(who_has)
    command(root, "ping", brief=True)(ping)


def team(
    ctx: typer.Context,
    everyone: All = False,
    system: System = False,
    daemon: Annotated[
        str | None, typer.Option("--daemon", metavar="ID", help="Only agents of this daemon.")
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="NAME", help="Only agents of this machine.")
    ] = None,
) -> None:
    """Show the team: sessions, branches, changed files, mail."""
    run = run_of(ctx)
    daemon, host = filled(daemon, flag="--daemon"), filled(host, flag="--host")
    found = _team(run, everyone, system)
    if daemon:
        found["members"] = [member for member in found["members"] if member.get("origin_daemon") == daemon]
    if host:
        found["members"] = [member for member in found["members"] if member.get("hostname") == host]
    show(run, found, team_lines(found, view_of(run), showed_all=everyone))


def local(ctx: typer.Context, everyone: All = False, system: System = False) -> None:
    """Show the agents that live on this machine."""
    run = run_of(ctx)
    found = _team(run, everyone, system)
    found["members"] = [
        member for member in found["members"] if member.get("is_local") or member.get("reserved")
    ]
    show(run, found, team_lines(found, view_of(run), showed_all=everyone))


def daemons(ctx: typer.Context, everyone: All = False, system: System = False) -> None:
    """Show the daemons that agents of the team live on."""
    run = run_of(ctx)
    listed = _by_daemon(_team(run, everyone, system)["members"])
    show(run, listed, daemons_lines(listed))


def who_has(
    ctx: typer.Context, file: Annotated[str, typer.Argument(metavar="FILE", help="Path in the repository.")]
) -> None:
    """Show which agents are editing a file."""
    run = run_of(ctx)
    if not file.strip():
        raise UsageError("FILE must not be empty")
    found = run.call("agent.listContext", file=_in_worktree(run, file))
    show(run, found, who_has_lines(found["contexts"], file, view_of(run)))


def ping(
    ctx: typer.Context,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Name, with or without @.")],
) -> None:
    """Check whether an agent is there."""
    run = run_of(ctx)
    name = bare_name(agent)
    member = run.call("agent.lookup", name=name)["member"]
    listed = run.call("agent.list")["agents"]
    if member is None:
        near = get_close_matches(name.lower(), [entry["agent_id"] for entry in listed], n=1)
        asked = f"did you mean @{near[0]}? " if near else ""
        hint = f"{asked}thrum team --all lists everyone"
        raise NotFound("agent", name, message=f"agent {name} not found", hint=hint)
    who = member["agent_id"]
    contexts = run.call("agent.listContext", agent_id=who)["contexts"]
    answer = {
        "agents": [entry for entry in listed if entry["agent_id"] == who],
        "contexts": contexts,
        "status": member["status"],
    }
    show(run, answer, ping_lines(member, contexts[0] if contexts else None, view_of(run)))


def _team(run: Run, everyone: bool, system: bool) -> dict[str, Any]:
    found: dict[str, Any] = run.call(
        "team.list", **given({"include_offline": everyone, "include_system": system})
    )
    return found


def _by_daemon(members: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for member in members:
        daemon = member.get("origin_daemon") or "unknown"
        entry = found.setdefault(daemon, {"daemon_id": daemon, "hostname": "", "agent_count": 0})
        entry["hostname"] = entry["hostname"] or member.get("hostname") or ""
        entry["agent_count"] += 1
    return sorted(found.values(), key=lambda entry: str(entry["daemon_id"]))


def _in_worktree(run: Run, file: str) -> str:
    """*file* below where the caller stands, or the end of its path; a path that leads elsewhere as a whole one.

    Pure arithmetic on names; the daemon knows the worktrees and compares ends of paths.
    """
    full = os.path.normpath(run.inv.cwd / file)
    below = f"{run.inv.cwd}/"
    return full.removeprefix(below) if full.startswith(below) and not file.startswith("/") else full

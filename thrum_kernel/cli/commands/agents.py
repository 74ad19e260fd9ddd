"""``agent register|list|whoami|context|delete|cleanup|set-status|move|adopt``."""

from __future__ import annotations

import difflib
from typing import Annotated, Any

import typer

from thrum_kernel.cli.arguments import bare_name, filled, given, named
from thrum_kernel.cli.command import Group, Run, command, group, run_of
from thrum_kernel.cli.commands.view import show, view_of
from thrum_kernel.cli.render import at, text_of
from thrum_kernel.cli.texts.people import agent_list_lines, cleanup_lines, context_lines, whoami_lines
from thrum_kernel.errors import IdentityAmbiguous, ThrumError, UnknownAgent, UsageError
from thrum_kernel.identity.model import check_agent

STATUSES = ("working", "idle", "blocked", "stuck")
CONFLICT = 1

Name = Annotated[str, typer.Argument(metavar="NAME", help="The agent's name, with or without @.")]
Field = Annotated[str | None, typer.Option("--field", metavar="NAME", help="Print only this field.")]
Display = Annotated[str | None, typer.Option("--display", metavar="NAME", help="A name for people.")]

_WHOAMI_FIELDS = (
    "agent_id",
    "role",
    "module",
    "display",
    "branch",
    "worktree",
    "intent",
    "repo_id",
    "session_id",
    "session_start",
    "identity_file",
    "updated_at",
    "source",
    "status",
    "host",
    "pid",
    "tmux_session",
    "tmux_alive",
    "is_local",
)


def register(root: Group) -> None:
    """Add these commands."""
    command(root, "whoami", offline=True, brief=True)(whoami)
    agents = group(root, "agent", help="Agents: register, look up, change, remove")
    command(agents, "register")(register_agent)
    command(agents, "list")(list_agents)
    command(agents, "whoami", offline=True, brief=True)(whoami)
    command(agents, "context")(show_context)
    command(agents, "delete")(delete)
    command(agents, "cleanup")(cleanup)
    command(agents, "set-status", offline=True, brief=True)(set_status)
    command(agents, "move")(move)
    command(agents, "adopt")(adopt)


def whoami(ctx: typer.Context, field: Field = None) -> None:
    """Show who you are here."""
    run = run_of(ctx)
    me = _overridden(run, run.call("agent.whoami"))
    if field is None:
        show(run, me, whoami_lines(me, view_of(run)))
        return
    if field not in me and field not in _WHOAMI_FIELDS:
        raise UsageError(f"unknown field: {field}", hint=f"one of {', '.join(_WHOAMI_FIELDS)}")
    show(run, me.get(field), [text_of(me.get(field))])


def register_agent(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The agent's name.")] = None,
    display: Display = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take the name over, or change role and module.")
    ] = False,
    re_register: Annotated[
        bool, typer.Option("--re-register", help="Register again although nothing changed.")
    ] = False,
) -> int:
    """Register an agent for the worktree you stand in."""
    run = run_of(ctx)
    params = registration(run, name, {"display": display, "force": force, "re_register": re_register})
    done = run.call("agent.register", **params)
    show(run, done, registered_lines(done))
    if done["status"] == "conflict":
        return CONFLICT
    run.out.hint(
        "agent.register.next-session", "next: begin a session, so that others see you: thrum agent start"
    )
    return 0


def list_agents(
    ctx: typer.Context,
    role: Annotated[str | None, typer.Option("--role", metavar="ROLE", help="Only this role.")] = None,
    module: Annotated[
        str | None, typer.Option("--module", metavar="MODULE", help="Only this module.")
    ] = None,
    context: Annotated[bool, typer.Option("--context", help="Branch, commits and intent of each.")] = False,
) -> None:
    """List registered agents."""
    run = run_of(ctx)
    agents = run.call("agent.list", **given({"role": role, "module": module}))
    contexts = run.call("agent.listContext")
    if context:
        listed = {agent["agent_id"] for agent in agents["agents"]}
        kept = [entry for entry in contexts["contexts"] if entry["agent_id"] in listed]
        show(run, {"contexts": kept}, context_lines(kept, view_of(run)))
        return
    lines = agent_list_lines(agents["agents"], contexts["contexts"], view_of(run))
    show(run, {"agents": agents, "contexts": contexts}, lines)


def show_context(
    ctx: typer.Context,
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT]", help="Only this agent.")] = None,
    agent_flag: Annotated[
        str | None, typer.Option("--agent", metavar="NAME|ROLE", help="Only this agent or role.")
    ] = None,
    branch: Annotated[
        str | None, typer.Option("--branch", metavar="NAME", help="Only on this branch.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", metavar="PATH", help="Only who changed this file.")
    ] = None,
) -> None:
    """Show what agents work on: branch, commits, files, intent, task."""
    run = run_of(ctx)
    if agent and agent_flag:
        raise UsageError("AGENT and --agent are mutually exclusive")
    where = {"branch": filled(branch, flag="--branch"), "file": filled(file, flag="--file")}
    wanted = named(agent, flag="AGENT") or named(agent_flag, flag="--agent")
    found = run.call("agent.listContext", **given(where))
    if wanted:
        members = run.call("agent.list")["agents"]
        names = {member["agent_id"] for member in members if wanted in (member["agent_id"], member["role"])}
        if not names:
            raise UnknownAgent(wanted, _near(wanted, members))
        found = {"contexts": [entry for entry in found["contexts"] if entry["agent_id"] in names]}
    show(run, found, context_lines(found["contexts"], view_of(run)))


def delete(
    ctx: typer.Context,
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Also while it runs or is in a session, and another's.")
    ] = False,
) -> None:
    """Delete an agent: its identity and its registration; its messages stay."""
    run = run_of(ctx)
    done = run.call("agent.delete", name=bare_name(name), **given({"force": force}))
    show(run, done, [f"✓ Agent deleted: {done['agent_id']}"])
    for note in done.get("notes", ()):
        run.out.warn(note)


def cleanup(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Delete what is found.")] = False,
    threshold: Annotated[
        int, typer.Option("--threshold", metavar="DAYS", help="Unseen for how long counts as stale.")
    ] = 30,
) -> None:
    """Find agents of this machine that no worktree knows any more."""
    run = run_of(ctx)
    if dry_run and force:
        raise UsageError("--dry-run and --force are mutually exclusive")
    if threshold < 1:
        raise UsageError(f"invalid --threshold {threshold}: must be at least one day")
    done = run.call("agent.cleanup", dry_run=not force, force=force, threshold=threshold)
    show(run, done, cleanup_lines(done, view_of(run)))


def set_status(
    ctx: typer.Context,
    status: Annotated[str, typer.Argument(metavar="working|idle|blocked|stuck", help="What you are.")],
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="Another agent of this machine.")
    ] = None,
) -> None:
    """Say whether you are working, idle, blocked or stuck."""
    run = run_of(ctx)
    if status not in STATUSES:
        raise UsageError(f'invalid status "{status}": must be working, idle, blocked, or stuck')
    other = named(agent, flag="--agent")
    name = other or run.call("agent.whoami")["agent_id"]
    done = run.call("agent.set-status", agent=name, status=status)
    said = f"✓ Status for {name} set to {status}" if other else f"✓ Status set to {status}"
    show(run, done, [said])


def move(
    ctx: typer.Context,
    name: Name,
    to: Annotated[str, typer.Option("--to", metavar="DAEMON", help="Id or host name of the new home.")],
) -> None:
    """Hand an agent of this machine over to another one, unread mail included."""
    run = run_of(ctx)
    done = run.call("agent.move", name=bare_name(name), to=to)
    show(run, done, [f"✓ Agent moved: {at(done['agent_id'])} now lives on {done.get('daemon') or to}"])


def adopt(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME@DAEMON", help="The agent in its long form.")],
    force: Annotated[bool, typer.Option("--force", help="Although its daemon was heard of lately.")] = False,
) -> None:
    """Take an agent over whose machine is gone; the team sees that it was adopted."""
    run = run_of(ctx)
    done = run.call("agent.adopt", name=bare_name(name), **given({"force": force}))
    show(run, done, [f"✓ Agent adopted: {at(done['agent_id'])} now lives here"])


def registration(run: Run, name: str | None, more: dict[str, Any], *, is_new: bool = False) -> dict[str, Any]:
    """Parameters of ``agent.register``: flags, then the environment, then what is registered here already.

    An explicit ``--name`` says who is registered, ``THRUM_NAME`` is its default; without both it is who is here
    already. Where thrum is not set up yet (*is_new*) nobody is registered already, and nobody is asked.

    Raises:
        IdentityAmbiguous: nobody is named, and several are here.
        UsageError: role or module are known from nowhere, or the name is empty.
        InvalidName: a name breaks the rules.
    """
    env = run.inv.env
    if name is not None and not bare_name(name):
        raise UsageError("--name is empty", hint="for example --name alice")
    who = bare_name(name or env.get("THRUM_NAME", ""))
    role = run.inv.role or env.get("THRUM_ROLE", "")
    module = run.inv.module or env.get("THRUM_MODULE", "")
    if not (who and role and module) and not is_new:
        known = _known(run, who)
        who = who or known.get("agent_id", "")
        role, module = role or known.get("role", ""), module or known.get("module", "")
    missing = [flag for flag, value in (("--role", role), ("--module", module)) if not value]
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} required", hint="for example --role implementer --module auth"
        )
    if who:
        check_agent(who, role, module)
    display = more.get("display") or env.get("THRUM_DISPLAY", "")
    return {"role": role, "module": module} | given({"name": who, **more, "display": display})


def registered_lines(done: dict[str, Any]) -> list[str]:
    """The success line of a registration, or who holds the name."""
    if done["status"] == "conflict":
        holder = done.get("conflict") or {}
        pid = f" (PID {holder['conflict_pid']})" if holder.get("conflict_pid") else ""
        return [
            f"Conflict: @{done['agent_id']} is held by another live runtime{pid}",
            "Use --force to take it over.",
        ]
    lines = [f"✓ Agent registered: {done['agent_id']}"]
    if done.get("single_agent_mode_ended"):
        lines.append("  Single-agent mode is off now: messaging between agents is on.")
    if others := done.get("also_here"):
        lines.append(f"  Also registered in this worktree: {', '.join(map(at, others))}.")
        lines.append(f"  Commands here must be told who you are: export THRUM_NAME={done['agent_id']}")
    return lines + [f"  {note}" for note in done.get("notes", ())]


def _near(name: str, members: list[dict[str, Any]]) -> list[str]:
    return difflib.get_close_matches(name, [str(member["agent_id"]) for member in members])


def _known(run: Run, name: str) -> dict[str, Any]:
    """The identity that is here already, if it is the one to be registered.

    Raises:
        IdentityAmbiguous: *name* is empty, and several are here.
    """
    try:
        me: dict[str, Any] = run.call("agent.whoami")
    except ThrumError as error:
        if isinstance(error, IdentityAmbiguous) and not name:
            raise
        return {}
    return me if not name or me.get("agent_id") == name else {}


def _overridden(run: Run, me: dict[str, Any]) -> dict[str, Any]:
    """Role, module and display as flags and environment say; they are overrides, not claims."""
    env = run.inv.env
    wanted = {
        "role": run.inv.role or env.get("THRUM_ROLE", ""),
        "module": run.inv.module or env.get("THRUM_MODULE", ""),
        "display": env.get("THRUM_DISPLAY", ""),
    }
    return me | {key: value for key, value in wanted.items() if value}

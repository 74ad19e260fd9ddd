"""``session start|end|list|heartbeat|set-intent|set-task``, the first four of them also below ``agent``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from thrum_kernel.cli.arguments import filled, given, labels, named
from thrum_kernel.cli.command import Group, Run, command, group, run_of
from thrum_kernel.cli.commands.view import show, view_of
from thrum_kernel.cli.texts.people import heartbeat_lines, session_ended_lines, session_list_lines
from thrum_kernel.errors import NotFound

Labels = list[str] | None
SessionId = Annotated[
    str | None, typer.Option("--session-id", metavar="ID", help="Another session than the one open.")
]


def register(root: Group) -> None:
    """Add these commands, and their aliases below ``agent``."""
    sessions = group(root, "session", help="Work periods of an agent")
    command(sessions, "list")(list_sessions)
    for parent in (sessions, group(root, "agent", help="Agents: register, look up, change, remove")):
        command(parent, "start")(start)
        command(parent, "end")(end)
        command(parent, "heartbeat", brief=True)(heartbeat)
        command(parent, "set-intent", brief=True)(set_intent)
        command(parent, "set-task", brief=True)(set_task)


def start(
    ctx: typer.Context,
    scope: Annotated[
        Labels, typer.Option("--scope", metavar="TYPE:VALUE", help="Label the session; repeatable.")
    ] = None,
    ref: Annotated[
        Labels, typer.Option("--ref", metavar="TYPE:VALUE", help="Refer to something; repeatable.")
    ] = None,
) -> None:
    """Begin a work session."""
    run = run_of(ctx)
    me = run.call("agent.whoami")
    extra = given({"scopes": labels(scope, flag="--scope"), "refs": labels(ref, flag="--ref")})
    begun = run.call("session.start", agent_id=me["agent_id"], **extra)
    show(run, begun, [f"✓ Session started: {begun['session_id']}"])


def end(
    ctx: typer.Context,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="normal, crash, or your own word.")
    ] = "normal",
    session_id: SessionId = None,
) -> None:
    """End the work session."""
    run = run_of(ctx)
    other = filled(session_id, flag="--session-id")
    ended = run.call("session.end", session_id=other or open_session(run), reason=reason)
    show(run, ended, session_ended_lines(ended))


def list_sessions(
    ctx: typer.Context,
    active: Annotated[bool, typer.Option("--active", help="Only open ones.")] = False,
    agent: Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only this agent's.")] = None,
) -> None:
    """List sessions, newest first."""
    run = run_of(ctx)
    wanted = given({"active_only": active, "agent_id": named(agent, flag="--agent")})
    found = run.call("session.list", **wanted)
    show(run, found, session_list_lines(found["sessions"], view_of(run)))


def heartbeat(
    ctx: typer.Context,
    add_scope: Annotated[Labels, typer.Option("--add-scope", metavar="TYPE:VALUE")] = None,
    remove_scope: Annotated[Labels, typer.Option("--remove-scope", metavar="TYPE:VALUE")] = None,
    add_ref: Annotated[Labels, typer.Option("--add-ref", metavar="TYPE:VALUE")] = None,
    remove_ref: Annotated[Labels, typer.Option("--remove-ref", metavar="TYPE:VALUE")] = None,
) -> None:
    """Say that you are alive, and have your branch and changed files looked at."""
    run = run_of(ctx)
    changes = {
        "add_scopes": labels(add_scope, flag="--add-scope"),
        "remove_scopes": labels(remove_scope, flag="--remove-scope"),
        "add_refs": labels(add_ref, flag="--add-ref"),
        "remove_refs": labels(remove_ref, flag="--remove-ref"),
    }
    beat = run.call("session.heartbeat", session_id=open_session(run), **given(changes))
    show(run, beat, heartbeat_lines(beat))


def set_intent(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help='What you are about to do; "" clears it.')],
) -> None:
    """Say what you are about to do."""
    run = run_of(ctx)
    done = run.call("session.setIntent", session_id=open_session(run), intent=text)
    show(run, done, [f"✓ Intent set: {text}" if text else "✓ Intent cleared"])


def set_task(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TASK", help='Id of the task at hand; "" clears it.')],
) -> None:
    """Say which task you are on."""
    run = run_of(ctx)
    done = run.call("session.setTask", session_id=open_session(run), current_task=text)
    show(run, done, [f"✓ Task set: {text}" if text else "✓ Task cleared"])


def open_session(run: Run) -> str:
    """The caller's open session.

    Raises:
        NotFound: there is none.
    """
    me: dict[str, Any] = run.call("agent.whoami")
    session = str(me.get("session_id") or "")
    if not session:
        raise NotFound(
            "session",
            me["agent_id"],
            message=f"no active session found for agent {me['agent_id']}",
            hint="begin one: thrum agent start",
        )
    return session

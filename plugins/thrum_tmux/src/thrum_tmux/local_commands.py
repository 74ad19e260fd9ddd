"""``thrum tmux start`` and ``thrum tmux connect``: they end as tmux itself, in the caller's terminal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from thrum_kernel.api_commands import Run, run_of
from thrum_kernel.errors import Refused, UsageError
from thrum_tmux.commands import show_table
from thrum_tmux.errors import SessionMissing, TmuxMissing
from thrum_tmux.names import check_runtime, session_name


def start(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="The session; by default the worktree's name."),
    ] = None,
    runtime: Annotated[
        str | None, typer.Option("--runtime", metavar="NAME", help="By default the agent's, the project's.")
    ] = None,
    main: Annotated[bool, typer.Option("--main", help="The worktree may be the main checkout.")] = False,
) -> None:
    """Make a session for the agent of this worktree, start its runtime, and attach to it.

    Where the agent has a session that lives, it is attached to as it is; a runtime that has ended is started again.
    """
    run = run_of(ctx)
    if runtime:
        check_runtime(runtime)
    program = _tmux(run.inv.env)
    me = run.call("agent.whoami")
    session = _living(run, me["agent_id"])
    if session is None:
        made = run.call(
            "tmux.create",
            name=name or session_name(Path(me["worktree"]).name),
            cwd=me["worktree"],
            agent_name=me["agent_id"],
            role=me["role"],
            module=me["module"],
            intent=me.get("intent", ""),
            runtime=runtime or "",
            main=main,
            quickstart=False,
        )
        run.call("tmux.launch", name=made["session"], runtime=runtime or "")
        session = _living(run, me["agent_id"])
    elif session["state"] == "stale":
        run.call("tmux.launch", name=session["name"], runtime=runtime or "")
    if session is None:
        raise SessionMissing(name or me["agent_id"])
    _become(run, program, session)


def connect(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The session; without it you choose.")
    ] = None,
) -> None:
    """Attach this terminal to a session of this project."""
    run = run_of(ctx)
    program = _tmux(run.inv.env)
    sessions = [each for each in run.call("tmux.status")["sessions"] if each["state"] != "dead"]
    if name is None:
        session = _chosen(run, sessions)
    else:
        session = next((each for each in sessions if each["name"] in (name, _sanitised(name))), None)
    if session is None and name is not None:
        raise SessionMissing(name)
    if session is not None:
        _become(run, program, session)


def _living(run: Run, agent: str) -> dict[str, Any] | None:
    sessions: list[dict[str, Any]] = run.call("tmux.status")["sessions"]
    return next(
        (each for each in sessions if each.get("agent") == agent and each["state"] != "dead"),
        None,
    )


def _chosen(run: Run, sessions: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """What the person at the terminal chooses; the only one without a question; None when there is nothing."""
    show_table(run, list(sessions), is_numbered=True)
    run.out.flush()
    if not sessions:
        return None
    if run.terminal is None:
        raise UsageError("which session? there is no terminal to ask on", hint="thrum tmux connect NAME")
    try:
        answer = run.terminal.ask(f"Enter number (1-{len(sessions)}): ").strip()
    except EOFError:
        raise UsageError("no session was chosen") from None
    if not answer.isdigit() or not 1 <= int(answer) <= len(sessions):
        raise UsageError(f'"{answer}" is no number from 1 to {len(sessions)}')
    return sessions[int(answer) - 1]


def attach_words(env: Mapping[str, str], session: Mapping[str, Any]) -> list[str]:
    """The arguments with which tmux shows a session to somebody who stands where *env* says.

    Raises:
        Refused: they stand in a pane of another tmux server, which would be shown within itself.
    """
    socket, target = str(session["socket"]), f"={session['name']}"
    standing = env.get("TMUX", "").partition(",")[0]
    if not standing:
        return ["-S", socket, "attach-session", "-t", target]
    if os.path.realpath(standing) == os.path.realpath(socket):
        return ["-S", socket, "switch-client", "-t", target]
    raise Refused(
        f"you are inside another tmux ({standing}), and this session lives on {socket}",
        hint="detach first (C-b d), or in a terminal outside of it: thrum tmux connect "
        + str(session["name"]),
    )


def _become(run: Run, program: str, session: Mapping[str, Any]) -> NoReturn:
    """Nothing of ours comes after it."""
    words = attach_words(run.inv.env, session)
    if run.terminal is None and "attach-session" in words:
        raise UsageError("this is no terminal to attach", hint=f"tmux {' '.join(words)}")
    run.out.flush()
    os.execve(program, ["tmux", *words], dict(run.inv.env))


def _tmux(env: Mapping[str, str]) -> str:
    found = shutil.which("tmux", path=env.get("PATH"))
    if found is None:
        raise TmuxMissing
    return found


def _sanitised(name: str) -> str:
    try:
        return session_name(name)
    except UsageError:
        return name

"""``thrum tmux create | launch | status | kill | send | capture | check-pane``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from thrum_kernel.api_commands import Outcome, Pending, Run, run_of

Session = Annotated[str, typer.Argument(metavar="NAME", help="The session.")]
_WIDTHS: Final = {"SESSION": 25, "AGENT": 20, "STATE": 12, "RUNTIME": 10, "BRANCH": 0}


def create(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The session; without it, role and module.")
    ] = None,
    cwd: Annotated[
        str | None, typer.Option("--cwd", metavar="PATH", help="The worktree; by default where you are.")
    ] = None,
    agent: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The agent.")] = None,
    role: Annotated[str | None, typer.Option("--role", metavar="ROLE", help="Its role.")] = None,
    module: Annotated[str | None, typer.Option("--module", metavar="MODULE", help="Its module.")] = None,
    intent: Annotated[
        str | None, typer.Option("--intent", metavar="TEXT", help="What it is about to do.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option("--runtime", metavar="NAME", help="The runtime that it prefers.")
    ] = None,
    no_agent: Annotated[
        bool, typer.Option("--no-agent", help="A bare session; nobody is registered.")
    ] = False,
    main: Annotated[bool, typer.Option("--main", help="The worktree may be the main checkout.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="End a session of that name or worktree first.")
    ] = False,
) -> Outcome:
    """Make a session for an agent of a worktree, and register the agent from inside it."""
    run = run_of(ctx)
    params = {
        "name": name or "",
        "cwd": str(run.inv.cwd / (cwd or ".")),
        "agent_name": agent or "",
        "role": role or run.inv.role,
        "module": module or run.inv.module,
        "intent": intent or "",
        "runtime": runtime or "",
        "no_agent": no_agent,
        "main": main,
        "force": force,
    }
    if no_agent:
        params |= {"role": role or "", "module": module or ""}

    def finish(made: Mapping[str, Any]) -> None:
        run.out.json(made)
        run.out.line(f"✓ Session created: {made['session']}")
        for note in made.get("notes", ()):
            run.out.warn(note)
        if made.get("identity"):
            run.out.line(f"Agent is NOT running yet. Start it with: thrum tmux launch {made['session']}")

    return Pending("tmux.create", params, finish)


def launch(
    ctx: typer.Context,
    name: Session,
    runtime: Annotated[
        str | None,
        typer.Option("--runtime", metavar="NAME", help="By default the agent's, yours, the project's."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also in one that is another agent's, who is told.")
    ] = False,
) -> Outcome:
    """Start a runtime in a session; one that thrum did not make is kept from then on."""
    run = run_of(ctx)

    def finish(done: Mapping[str, Any]) -> None:
        run.out.json(done)
        run.out.line(f"Launched {done['runtime']} in session {done['session']}")
        for note in done.get("notes", ()):
            run.out.warn(note)

    return Pending("tmux.launch", {"name": name, "runtime": runtime or "", "force": force}, finish)


def status(ctx: typer.Context) -> None:
    """Show the sessions of this project's agents."""
    run = run_of(ctx)
    found = run.call("tmux.status")
    run.out.json(found)
    show_table(run, found["sessions"])
    for trouble in found.get("trouble", ()):
        run.out.note(f"Warning: {trouble}")


def show_table(run: Run, sessions: list[dict[str, Any]], *, is_numbered: bool = False) -> None:
    """The sessions as a table, for a person to choose from when it is numbered."""
    if not sessions:
        run.out.line("No tmux-managed sessions")
        return
    run.out.line(("#   " if is_numbered else "") + _row(dict(zip(_WIDTHS, _WIDTHS, strict=True))))
    for number, session in enumerate(sessions, start=1):
        agent = session.get("agent", "")
        cells = {
            "SESSION": session["name"],
            "AGENT": f"@{agent}" if agent else "",
            "STATE": session["state"],
            "RUNTIME": session.get("runtime", ""),
            "BRANCH": session.get("branch", ""),
        }
        run.out.line((f"{number:<4}" if is_numbered else "") + _row(cells))


def kill(
    ctx: typer.Context,
    name: Session,
    force: Annotated[
        bool, typer.Option("--force", help="Also one that is another agent's, who is told.")
    ] = False,
) -> None:
    """End a session and what runs in it; its agent stays registered."""
    run = run_of(ctx)
    notes = (run.call("tmux.kill", name=name, force=force) or {}).get("notes", [])
    run.out.json({"session": name})
    run.out.line(f"Session {name} killed")
    for note in notes:
        run.out.warn(note)


def send(
    ctx: typer.Context,
    name: Session,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Typed as it is, then Enter; - reads stdin.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also behind a draft, and into another program.")
    ] = False,
) -> None:
    """Type a text and Enter into a session."""
    run = run_of(ctx)
    if text == "-":
        text = run.stdin().decode("utf-8", "replace").rstrip("\n")
    run.out.json(run.call("tmux.send", name=name, text=text, force=force))


def capture(
    ctx: typer.Context,
    name: Session,
    lines: Annotated[int, typer.Option("--lines", metavar="N", help="How many rows at most.")] = 50,
) -> None:
    """Print what a session's pane shows."""
    run = run_of(ctx)
    found = run.call("tmux.capture", name=name, lines=lines)
    run.out.json(found)
    for line in found["content"].removesuffix("\n").split("\n"):
        run.out.line(line)


def check_pane(ctx: typer.Context, session: Session) -> None:
    """Look at a session's pane and act on what it shows."""
    run = run_of(ctx)
    found = run.call("tmux.check-pane", session=session)
    run.out.json(found)
    run.out.line(
        f"{found['session']}: {found['state']}" + (f" ({found['reason']})" if found.get("reason") else "")
    )


def _row(cells: Mapping[str, str]) -> str:
    return " ".join(f"{cells[name]:<{width}}" for name, width in _WIDTHS.items()).rstrip()

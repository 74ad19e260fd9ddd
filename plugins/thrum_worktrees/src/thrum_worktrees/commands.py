"""``worktree create | teardown | list``."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Final

import typer

from thrum_kernel.api_commands import Outcome, Pending, Run, run_of
from thrum_worktrees.git import one_line
from thrum_worktrees.naming import usual_branch

Name = Annotated[str, typer.Argument(metavar="NAME", help="The worktree's name.")]
_FIRST: Final = 7
"""Characters of a commit that a list shows."""


def create(
    ctx: typer.Context,
    worktree: Name,
    branch: Annotated[
        str, typer.Option("--branch", "-b", metavar="BRANCH", help="What is checked out. [feature/NAME]")
    ] = "",
    base: Annotated[
        str,
        typer.Option("--base", metavar="COMMIT", help="What a new branch begins at. [the current branch]"),
    ] = "",
    detach: Annotated[bool, typer.Option("--detach", help="Check out no branch.")] = False,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Who is to live there.")] = "",
    intent: Annotated[str, typer.Option("--intent", metavar="TEXT", help="What the agent is to do.")] = "",
    runtime: Annotated[str, typer.Option("--runtime", metavar="NAME", help="Which runtime it runs in.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Take the agent's name over, or change its role and module.")
    ] = False,
) -> Pending:
    """Make a worktree, and with --name, --role and --module let an agent move in."""
    run = run_of(ctx)
    params = {
        "name": worktree,
        "branch": branch,
        "base": base,
        "detach": detach,
        "agent": name,
        "role": run.inv.role,
        "module": run.inv.module,
        "intent": intent,
        "runtime": runtime,
        "force": force,
    }
    return Pending("worktrees.create", params, finish=lambda made: _created(run, made))


def teardown(
    ctx: typer.Context,
    worktree: Name,
    delete_branch: Annotated[bool, typer.Option("--delete-branch", help="Delete its branch, too.")] = False,
    keep_agent: Annotated[
        bool, typer.Option("--keep-agent", help="Keep the agent registered, without a worktree.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Also when work is lost with it.")] = False,
) -> Pending:
    """Take a worktree away, with the agent in it; refused while work would be lost."""
    run = run_of(ctx)
    params = {"name": worktree, "delete_branch": delete_branch, "keep_agent": keep_agent, "force": force}
    return Pending("worktrees.destroy", params, finish=lambda gone: _gone(run, gone))


def list_worktrees(ctx: typer.Context) -> None:
    """List the worktrees of this repository and who lives there."""
    run = run_of(ctx)
    found = run.call("worktrees.list")
    run.out.json(
        [
            {key: row[key] for key in ("path", "branch", "head", "agent", "status") if key in row}
            for row in found
        ]
    )
    table = [("WORKTREE", "BRANCH", "HEAD", "AGENT", "STATUS"), *(_cells(row) for row in found)]
    widths = [max(len(cells[column]) for cells in table) for column in range(4)]
    for cells in table:
        padded = [f"{cell:<{width}}" for cell, width in zip(cells[:4], widths, strict=True)]
        run.out.line("  ".join([*padded, cells[4]]).rstrip())


def _created(run: Run, made: dict[str, Any]) -> Outcome:
    run.out.json({"worktree_path": made["worktree_path"], "branch": made["branch"]})
    path = made["worktree_path"]
    run.out.line(
        f"✓ Worktree at {path} is there already" if made.get("reused") else f"✓ Worktree created at {path}"
    )
    run.out.line(_branch_line(made))
    if made.get("agent"):
        run.out.line(f"  Agent: @{made['agent']}")
    for note in made.get("notes", ()):
        run.out.warn(note)
    run.out.line(_next(made))
    return None


def _branch_line(made: dict[str, Any]) -> str:
    base = made.get("base", "")
    if made["branch"]:
        return f"  Branch: {made['branch']}" + (f", begun at {base}" if base else "")
    return "  Detached" + (f" at {base}" if base else "")


def _next(made: dict[str, Any]) -> str:
    """What to do next."""
    name, path = made["name"], made["worktree_path"]
    if not made.get("agent"):
        words = ["thrum", "worktree", "create", name, *_branch_words(made)]
        return f"No agent lives there yet. Register one with: {shlex.join(words)} --name AGENT --role ROLE --module MODULE"
    if made.get("is_running"):
        return "Agent is running already."
    if made.get("session"):
        return f"Agent is NOT running yet. Start it with: thrum tmux launch {made['session']}"
    return f"Agent is NOT running yet. Start its runtime in its worktree: cd {shlex.quote(path)}"


def _branch_words(made: dict[str, Any]) -> list[str]:
    """What names the branch of a worktree, where it is not the usual one."""
    if not made["branch"]:
        return ["--detach"]
    return [] if made["branch"] == usual_branch(made["name"]) else ["-b", made["branch"]]


def _gone(run: Run, gone: dict[str, Any]) -> Outcome:
    run.out.json(gone)
    for agent in gone["removed_identities"]:
        run.out.line(f"Removed identity: {agent}")
    for lost in gone.get("thrown_away", ()):
        run.out.line(f"Thrown away: {lost['what']}")
        for item in lost["items"]:
            run.out.line(f"  {one_line(item)}")
    for note in gone.get("notes", ()):
        run.out.warn(note)
    run.out.line(f"✓ Worktree {gone['name']} removed")
    if gone.get("deleted_branch"):
        run.out.line(f"✓ Branch {gone['deleted_branch']} deleted")
    return None


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    agents = row.get("agents") or ([row["agent"]] if row.get("agent") else [])
    path = f"{row['path']} (missing)" if row.get("missing") else row["path"]
    shown = ", ".join(f"@{name}" for name in agents)
    return path, row["branch"] or "(detached)", row["head"][:_FIRST], shown, row.get("status", "")

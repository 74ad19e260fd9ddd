"""``tmux restart``. Source: spec/features.md §1.12, §13."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from thrum_kernel.api_commands import Outcome, Pending, run_of


def restart(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The session.")],
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Do not ask the agent to save; its transcript is read at once. Also another's agent, which is told.",
        ),
    ] = False,
    runtime: Annotated[
        str | None, typer.Option("--runtime", metavar="NAME", help="By default the one that ran.")
    ] = None,
) -> Outcome:
    """Begin a session's runtime anew, and tell it what it was doing.

    The agent is asked to save a snapshot; what it does not save in time is read from its transcript.
    """
    run = run_of(ctx)

    def finish(done: Mapping[str, Any]) -> None:
        run.out.json(done)
        run.out.line(f"Session {done['session']} restarted ({done['snapshot_lines']} snapshot lines)")
        for note in done.get("notes", ()):
            run.out.warn(note)
        if done.get("draft"):
            run.out.note("The text that stood in its prompt is kept in the snapshot.")
        if not done["snapshot_lines"]:
            why = f": {done['why']}" if done.get("why") else ""
            run.out.warn(f"the snapshot has no conversation{why}; tell the agent what to go on with")

    params = {"name": name, "force": force, "runtime": runtime or ""}
    return Pending("tmux.restart", params, finish)

"""``tmux snapshot save | restore | check`` and the group ``restart`` of earlier versions.

They run in the caller's process, with its rights, and need no daemon.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from thrum_kernel.api_commands import Run, presets, process, run_of, runtime_above
from thrum_kernel.errors import NotFound, Refused, UsageError
from thrum_tmux.restart import transcripts
from thrum_tmux.restart.conversation import Limits
from thrum_tmux.restart.snapshot import SELF, Snapshot, header, one_line, rendered
from thrum_tmux.restart.store import Snapshots
from thrum_tmux.restart.subject import Subject, subject
from thrum_tmux.restart.transcripts import NoTranscript

_MAX_PLAN = 256 << 10

Reason = Annotated[
    str,
    typer.Option(
        "--reason", metavar="TEXT", help="self-initiated, external, context-threshold, or any text."
    ),
]
Jsonl = Annotated[str, typer.Option("--jsonl", metavar="FILE", help="Read this transcript.")]


def save(
    ctx: typer.Context,
    reason: Reason = SELF,
    jsonl: Jsonl = "",
    plan: Annotated[
        str,
        typer.Option(
            "--plan", metavar="TEXT", help="What you mean to do next; - reads it from standard input."
        ),
    ] = "",
) -> None:
    """Save what was said lately, for the next session of this agent's runtime."""
    run = run_of(ctx)
    who = _subject(run)
    text = run.stdin(max_bytes=_MAX_PLAN).decode(errors="replace") if plan == "-" else plan
    if not jsonl:
        who = _alive(run, who)
    snapshot = _snapshot(run, who, reason=one_line(reason), jsonl=jsonl, plan=text)
    path = Snapshots(who.thrum).save(who.agent, rendered(snapshot), saved_in=who.session)
    run.out.json(
        {
            "agent": who.agent,
            "path": str(path),
            "lines": snapshot.lines,
            "reason": snapshot.reason,
            "session": snapshot.session,
        }
    )
    run.out.line(f"Restart snapshot saved for {who.agent} ({snapshot.lines} lines)")


def restore(ctx: typer.Context) -> None:
    """Print the restart snapshot and take it away; a copy stays as <agent>.md.consumed."""
    run = run_of(ctx)
    who = _subject(run)
    kept = Snapshots(who.thrum).consume(who.agent)
    if kept is None:
        raise NotFound(
            "snapshot",
            who.agent,
            message=f"no restart snapshot for {who.agent}",
            hint="thrum tmux snapshot save makes one",
        )
    run.out.json({"agent": who.agent, "content": kept.text})
    run.out.line(kept.text.rstrip("\n"))


def check(ctx: typer.Context) -> int:
    """Tell whether a restart snapshot waits: exit status 0, else 1."""
    run = run_of(ctx)
    who = _subject(run)
    kept = Snapshots(who.thrum).find(who.agent)
    if kept is None:
        run.out.json({"agent": who.agent, "exists": False})
        run.out.line(f"No restart snapshot for {who.agent}")
        return 1
    head = header(kept.text)
    facts = {"saved": head.saved, "reason": head.reason, "lines": head.lines, "path": str(kept.path)}
    run.out.json({"agent": who.agent, "exists": True, **facts, "shown": bool(kept.shown_to)})
    run.out.line(
        f"Restart snapshot of {who.agent}: saved {head.saved or 'at an unknown time'}, "
        f"{head.reason or SELF}, {head.lines} lines"
    )
    return 0


def moved_save(ctx: typer.Context, reason: Reason = SELF, jsonl: Jsonl = "") -> None:
    """Moved: thrum tmux snapshot save."""
    raise _moved("save")


def moved_restore(ctx: typer.Context) -> None:
    """Moved: thrum tmux snapshot restore."""
    raise _moved("restore")


def moved_check(ctx: typer.Context) -> None:
    """Moved: thrum tmux snapshot check."""
    raise _moved("check")


def _moved(word: str) -> UsageError:
    return UsageError(
        f"thrum restart {word} moved to thrum tmux snapshot {word}", hint=f"thrum tmux snapshot {word}"
    )


def _snapshot(run: Run, who: Subject, *, reason: str, jsonl: str, plan: str) -> Snapshot:
    """What is to be saved.

    Raises:
        NoTranscript: there is nothing to save.
    """
    saved_at = datetime.now().astimezone()
    try:
        known = presets(run)
        if jsonl:
            transcript = transcripts.named(run.inv.cwd / jsonl, who, known)
        else:
            transcript = transcripts.find(who, known)
        return transcripts.extracted(
            transcript, who, saved_at=saved_at, limits=_limits(run), reason=reason, plan=plan
        )
    except NoTranscript as problem:
        if plan.strip() and not jsonl:
            run.out.warn(f"{problem.code}: only the plan is saved: {problem}")
            return Snapshot(who.agent, saved_at, reason=reason, plan=plan)
        run.out.hint(problem.code, "nothing was saved", severity="warn")
        raise


def _subject(run: Run) -> Subject:
    """The agent of whoever calls.

    Raises:
        IdentityError: nobody, or nobody knows who.
    """
    me: dict[str, Any] = run.call("agent.whoami")
    return subject(me["agent_id"], Path(me["worktree"]))


def _alive(run: Run, who: Subject) -> Subject:
    """*who* with the runtime that lives: the one its identity names, else the one that the caller runs under.

    Raises:
        Refused: there is none.
    """
    found = process(who.pid) if who.pid else runtime_above()
    if found is None or (who.pid and who.started not in (0, found.start_time)):
        run.out.hint("snapshot.save.no-pid", "nothing was saved", severity="warn")
        raise Refused(
            f"no agent PID found for {who.agent}",
            hint="run it in the agent's session, or name its transcript: --jsonl FILE",
        )
    runtime = who.runtime if who.pid and who.runtime else found.runtime or who.runtime
    return replace(who, pid=found.pid, started=found.start_time, runtime=runtime)


def _limits(run: Run) -> Limits:
    shown, usual = run.call("config.show").get("restart", {}), Limits()
    given = {key: entry["value"] for key, entry in shown.items() if isinstance(entry.get("value"), int)}
    return Limits(lines=given.get("max_lines", usual.lines), octets=given.get("max_bytes", usual.octets))

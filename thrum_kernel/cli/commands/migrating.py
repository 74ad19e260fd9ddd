"""``migrate``: what earlier layouts hold becomes part of the log."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from thrum_kernel import git, gitdir, paths
from thrum_kernel.cli import bringing
from thrum_kernel.cli.command import Group, Run, command, refuse_together, run_of
from thrum_kernel.cli.commands.ready import until_ready
from thrum_kernel.cli.commands.view import show
from thrum_kernel.cli.lifecycle import Lifecycle
from thrum_kernel.cli.texts.migrate import report_lines
from thrum_kernel.errors import NotInitialized, ThrumError
from thrum_kernel.migrate.aside import ASIDE
from thrum_kernel.migrate.places import LAYOUTS
from thrum_kernel.migrate.report import Report
from thrum_kernel.paths import Paths


def register(root: Group) -> None:
    """Add these commands."""
    command(root, "migrate", local=True, offline=True)(migrate)


def migrate(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count everything, write nothing.")] = False,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="LAYOUT|PATH", help=f"Only this: {', '.join(LAYOUTS)}, or a place."),
    ] = None,
    snapshots: Annotated[
        bool, typer.Option("--snapshots", help="Take messages, too, whose own clone is gone for good.")
    ] = False,
    replace_remote: Annotated[
        bool,
        typer.Option("--replace-remote", help="Make the remote's a-sync ours; the old one stays beside it."),
    ] = False,
) -> None:
    """Bring messages of earlier layouts into the log; nothing is removed, doing it again adds nothing."""
    run = run_of(ctx)
    refuse_together(dry_run=dry_run, replace_remote=replace_remote)
    where = paths.find(run.inv.cwd, repo=run.inv.repo or None, env=run.inv.env)
    if not where.is_initialized:
        raise NotInitialized(where.repo)
    report = _preview(run, where, source, snapshots) if dry_run else _bring(run, where, source, snapshots)
    replaced = _replace(run, where) if replace_remote else {}
    if replaced.get("kept_as"):  # the branch may have held more by then than was ever fetched here
        report = _bring(run, where, source, snapshots).following(report)
    value, lines = asdict(report), report_lines(report)
    if replaced:
        value["remote"] = replaced
        lines += _replaced_lines(replaced)
    show(run, value, lines)


def _preview(run: Run, where: Paths, source: str | None, snapshots: bool) -> Report:
    sources = bringing.chosen(where, source or "", Path(run.inv.cwd))
    return bringing.preview(where, sources, snapshots=snapshots, say=_telling(run))


def _bring(run: Run, where: Paths, source: str | None, snapshots: bool) -> Report:
    """Do it while no daemon runs; one that ran runs again afterwards."""
    bringing.chosen(
        where, source or "", Path(run.inv.cwd)
    )  # a wrong --from is told before anything is stopped
    lifecycle = Lifecycle(where, run.inv.env)
    was_running = lifecycle.running() is not None
    if was_running:
        with contextlib.suppress(ThrumError):  # what other clones brought over already need not come twice
            run.call("sync.force")
        lifecycle.end_quietly()
    try:
        report = bringing.bring(
            where,
            lambda: bringing.chosen(where, source or "", Path(run.inv.cwd)),
            snapshots=snapshots,
            say=_telling(run),
        )
    finally:
        if was_running:
            lifecycle.start()
            until_ready(run)
    report.removable = _removable(where)
    return report


def _replace(run: Run, where: Paths) -> dict[str, str]:
    Lifecycle(where, run.inv.env).start()
    until_ready(run)
    found: dict[str, str] = run.call("sync.replace")
    return found


def _replaced_lines(replaced: dict[str, str]) -> list[str]:
    if not replaced["kept_as"]:
        return [f"The branch a-sync of {replaced['remote']} is ours already."]
    return [
        f"✓ The branch a-sync of {replaced['remote']} is ours now; what it was is kept there as {replaced['kept_as']}",
        "  Who still uses the earlier thrum finds a message that says so; tell them, too.",
    ]


def _telling(run: Run) -> bringing.Say:
    def say(text: str) -> None:
        if run.inv.verbose:
            run.out.note(text)
            run.out.flush()

    return say


def _removable(where: Paths) -> list[str]:
    """What of the earlier program is left, and how the person gets rid of it."""
    found = [
        f"git worktree remove --force {quote(str(path))}" for path in sorted(where.sync.glob(f"{ASIDE}*"))
    ]
    place = gitdir.locate(where.repo)
    if place is not None:
        if git.run(place, "rev-parse", "-q", "--verify", "refs/heads/a-sync").ok:
            found.append("git branch -D a-sync")
        names = ("messages.jsonl", ".thrum/messages.jsonl", ".thrum/sync")
        tracked = [name for name in names if git.run(place, "ls-files", "--", name).text]
        found += [f"git rm -r {name}" for name in tracked]
    old = [where.thrum / name for name in ("events.jsonl", "legacy_ingested", "schema_version", "sync")]
    old += sorted(where.var.glob(f"{where.cache_db.name}.*.bak*"))
    return [*found, *(f"rm -r {quote(str(path))}" for path in old if path.exists())]

"""What ``thrum doctor`` looks at: worktrees that are half there. Their ``.thrum`` the kernel looks at itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Final

from thrum_kernel.api import Check, Finding, PluginContext
from thrum_kernel.errors import NotARepository, UsageError
from thrum_worktrees import places, removing
from thrum_worktrees.places import Ground
from thrum_worktrees.records import Record, records
from thrum_worktrees.wiring import BEADS, REDIRECT, redirected

SUBJECT: Final = "linked worktrees"


def checks(ctx: PluginContext, *, env: Mapping[str, str]) -> Sequence[Check]:
    """The checks for the project of *ctx*."""

    def ground() -> Ground:
        paths = ctx.paths
        return Ground.of(paths.repo, paths.thrum, env=env, lock=paths.state / "git.lock")

    def look(_: object) -> Sequence[Finding]:
        try:
            return findings(ground(), ctx.settings.worktrees.base_path)
        except NotARepository:
            return [Finding(SUBJECT, "ok", "no git repository, so there are none")]

    return (Check(subject=SUBJECT, look=look),)


def findings(ground: Ground, base: str) -> list[Finding]:
    """What is wrong, or one line that nothing is."""
    found = list(_of_base(ground, base))
    known = records(ground.git)
    for record in known:
        found += _of_record(record)
    return found or [Finding(SUBJECT, "ok", f"{len(known)}, each with its folder" if known else "none")]


def _of_base(ground: Ground, base: str) -> Iterator[Finding]:
    try:
        places.base_of(ground, base)
    except UsageError as error:
        yield Finding(SUBJECT, "error", str(error), error.hint)


def _of_record(record: Record) -> Iterator[Finding]:
    name, path = record.path.name, record.path
    if record.is_being_made:
        yield Finding(SUBJECT, "warning", f"{path} is half made", f"thrum worktree create {name}")
    elif removing.aside_of(path).exists():
        yield Finding(SUBJECT, "warning", f"{path} is half removed", f"thrum worktree teardown {name}")
    elif not path.exists():
        if record.lock is None:
            yield Finding(SUBJECT, "warning", f"{path} is gone, and git still knows it", "git worktree prune")
    elif not _leads_back(record):
        yield Finding(
            SUBJECT,
            "error",
            f"{path} and git have lost each other",
            f"git worktree repair {quote(str(path))}",
        )
    else:
        yield from _of_beads(record)


def _of_beads(record: Record) -> Iterator[Finding]:
    here = record.path / BEADS
    target = redirected(here)
    if target and not (record.path / target).is_dir():
        text = f"{here / REDIRECT} leads to {target}, which is not there"
        yield Finding(
            SUBJECT,
            "warning",
            text,
            f"rm {quote(str(here / REDIRECT))} && thrum setup {quote(str(record.path))}",
        )


def _leads_back(record: Record) -> bool:
    """Whether the worktree's ``.git`` file names its record."""
    try:
        word, _, target = (record.path / ".git").read_text("utf-8", "surrogateescape").strip().partition(": ")
    except OSError:
        return False
    return word == "gitdir" and (record.path / target).resolve() == record.folder.resolve()

"""The reference's work tree of its branch lies where our published files lie: it is moved aside, never changed.

It is a worktree that the reference registered in the user's repository; its record is told the new place, as
`git worktree move` would, so that git and the reference find it there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from thrum_kernel.jsonio import write_atomic
from thrum_kernel.paths import Paths

ASIDE: Final = "a-sync.before-thrum"
REPLACED: Final = "a-sync-before-thrum-"
"""How names begin that a remote has for what its branch was before it became ours."""


def foreign_worktree(paths: Paths) -> Path | None:
    """The record in the user's repository of a worktree at our place; None when there is none."""
    link = paths.published / ".git"
    try:
        text = link.read_text("utf-8", "replace").strip() if link.is_file() else ""
    except OSError:
        return None
    if not text.startswith("gitdir:"):
        return None
    record = Path(text.removeprefix("gitdir:").strip())
    record = record if record.is_absolute() else (paths.published / record).resolve()
    return record if record.parent.name == "worktrees" else None


def move_aside(paths: Paths) -> Path | None:
    """Move another program's worktree out of our place; where it is now, None when there was none.

    Cut short in between, it is done when called again: git finds a moved worktree by its record alone, which is
    written last, and `git worktree repair` does the same by hand.

    Raises:
        OSError: it cannot be moved.
    """
    _settle(paths)
    record = foreign_worktree(paths)
    if record is None:
        return None
    target = paths.sync / ASIDE
    number = 1
    while target.exists():
        number += 1
        target = paths.sync / f"{ASIDE}-{number}"
    paths.published.rename(target)
    _tell(record, target)
    return target


def _settle(paths: Paths) -> None:
    """Tell the records of worktrees that were moved before, but whose record was not written any more."""
    for folder in sorted(paths.sync.glob(f"{ASIDE}*")):
        link = folder / ".git"
        if link.is_file():
            text = link.read_text("utf-8", "replace").strip().removeprefix("gitdir:").strip()
            _tell(Path(text) if Path(text).is_absolute() else (paths.published / text).resolve(), folder)


def _tell(record: Path, folder: Path) -> None:
    where = record / "gitdir"
    text = f"{folder / '.git'}\n"
    if where.is_file() and where.read_text("utf-8", "replace") != text:
        write_atomic(where, text.encode())

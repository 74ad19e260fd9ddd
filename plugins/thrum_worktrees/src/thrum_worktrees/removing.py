"""Take a worktree away: aside in one step, then for good.

The folder is renamed first. That is the one moment that counts: before it nothing was done, after it nobody works there
any more, and what is left to do can be done again after any interruption. Between the two the files are looked at once
more, and go back when something was written into them meanwhile.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

from thrum_kernel.errors import Refused
from thrum_worktrees.git import Writer, failed
from thrum_worktrees.records import Record, record_of
from thrum_worktrees.work import Loss, told


def aside_of(path: Path) -> Path:
    """Where a worktree's files are between being taken away and being gone."""
    return path.with_name(f".{path.name}.going")


def set_aside(record: Record, look_again: Callable[[Path], list[Loss]], *, force: bool) -> list[Loss]:
    """Rename the worktree's folder; what is lost with it.

    Args:
        look_again: what would be lost, given where the files are now.
        force: also when something is lost; else the files go back.

    Raises:
        Refused: it cannot be renamed, or something would be lost; the worktree is as it was.
    """
    aside = aside_of(record.path)
    if aside.exists():
        raise Refused(f"{aside} is in the way", hint=f"look at it, then: rm -r {aside}")
    try:
        record.path.rename(aside)
    except FileNotFoundError:  # somebody deleted it: what git knows of it is left
        return look_again(record.path)
    except OSError as error:
        raise Refused(f"{record.path} cannot be taken away: {error.strerror}") from error
    try:
        found = look_again(aside)
    except BaseException:
        put_back(aside, record.path)
        raise
    if found and not force:
        put_back(aside, record.path)
        raise Refused(
            f"something was written into {record.path} meanwhile: {told(found)}",
            hint="end what works there, commit it, then retry; --force throws it away",
        )
    return found


def put_back(aside: Path, path: Path) -> None:
    """Bring the files of a worktree back to its place.

    Raises:
        Refused: they cannot be moved; says where they are.
    """
    try:
        aside.rename(path)
    except OSError as error:
        raise Refused(
            f"{path}: its files are in {aside} and cannot be moved back: {error.strerror}",
            hint=f"mv {quote(str(aside))} {quote(str(path))}",
        ) from error


def drop_record(writer: Writer, path: Path) -> None:
    """Have git forget the worktree at *path*, whose folder is gone.

    Raises:
        Refused: something is there again.
        GitFailed: git refuses.
    """
    record = record_of(writer.git, path)
    if record is None:
        return
    if os.path.lexists(path):
        raise Refused(f"{path} is there again: it stays", hint=f"look at it: git -C {path} status")
    answer = writer.run("worktree", "remove", "--force", str(path))
    if not answer.ok:
        raise failed("worktree remove", answer)


def delete(aside: Path) -> str:
    """Delete what was set aside; no link is followed, folders that may not be written are made so.

    Returns:
        Why something of it stays; empty when nothing does.
    """
    if not os.path.lexists(aside):
        return ""
    left: list[str] = []

    def retry(function: Callable[..., Any], path: str, _: object) -> None:
        try:
            for each in (Path(path).parent, Path(path)):
                if each.is_relative_to(aside) and each.is_dir() and not each.is_symlink():
                    each.chmod(stat.S_IRWXU)
            if function in (os.rmdir, os.unlink):
                function(path)
            else:
                shutil.rmtree(path)
        except OSError as error:
            left.append(f"{path}: {error.strerror}")

    if sys.version_info >= (3, 12):
        shutil.rmtree(aside, onexc=retry)
    else:
        shutil.rmtree(aside, onerror=retry)
    return f"{left[0]} ({len(left)} such)" if left else ""

"""Make a worktree, or go on with one that was left half made.

A ``git worktree add`` that a crash cut short leaves its record
locked as "initializing"; it is gone on with without overwriting a file that git did not write: what is missing is
checked out, a file that holds only the beginning of what it should is written anew, all else stays. One that a person
began is theirs. Source: spec/features.md §6.2; issue "half-done states are resumed".
"""

from __future__ import annotations

import contextlib
import shutil

from thrum_kernel.errors import ThrumError, UsageError
from thrum_worktrees import branches
from thrum_worktrees.git import Git, Writer, failed
from thrum_worktrees.planning import Wanted
from thrum_worktrees.records import Record, head_of, record_of


def add(writer: Writer, wanted: Wanted) -> None:
    """Carry *wanted* out; again, as often as it takes.

    Raises:
        GitFailed: git refuses. A branch that was made for it is gone again.
        UsageError: the folder that it lies in cannot be made.
    """
    if wanted.is_there:
        return
    record = record_of(writer.git, wanted.path)
    if record is not None and _goes_on(writer, record, wanted):
        return
    try:
        wanted.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{wanted.path.parent} cannot be made: {error.strerror}",
            hint="thrum config set worktrees.base_path PATH",
        ) from error
    if wanted.is_new_branch:
        branches.make_branch(writer, wanted.branch, wanted.base)
    try:
        _add(writer, wanted)
    except ThrumError:
        take_back(writer, wanted)
        raise


def take_back(writer: Writer, wanted: Wanted) -> None:
    """Undo what `add` made just now; what was there before stays."""
    if wanted.is_there or wanted.is_half_made:
        return
    record = record_of(writer.git, wanted.path)
    if record is not None:
        writer.run("worktree", "remove", "--force", "--force", str(wanted.path))
    if wanted.is_new_branch:
        with contextlib.suppress(ThrumError):
            branches.delete_branch(writer, wanted.branch, tip=wanted.base)


def _add(writer: Writer, wanted: Wanted) -> None:
    path = str(wanted.path)
    what = [path, wanted.branch] if wanted.branch else ["--detach", path, wanted.base]
    answer = writer.run("worktree", "add", "--quiet", *what)
    if not answer.ok:
        raise failed("worktree add", answer)


# --- going on --------------------------------------------------------------------------------------------------------


def _goes_on(writer: Writer, record: Record, wanted: Wanted) -> bool:
    """Finish what was begun; False when the worktree has to be added from the start."""
    if not record.is_being_made:
        answer = writer.run("worktree", "remove", "--force", str(record.path))  # its folder is gone
        if not answer.ok:
            raise failed("worktree remove", answer)
        return False
    if (
        not record.is_whole
        or not (record.path / ".git").is_file()
        or not head_of(writer.git, record.folder).commit
    ):
        _forget(record)
        return False
    (record.folder / "index.lock").unlink(missing_ok=True)
    if not (record.folder / "index").exists():
        _check_out(writer, record)
    (record.folder / "locked").unlink(missing_ok=True)
    return True


def _forget(record: Record) -> None:
    """Drop a record that nothing was checked out for yet."""
    dot_git = record.path / ".git"
    if dot_git.is_file():
        dot_git.unlink()
    with contextlib.suppress(OSError):
        record.path.rmdir()
    shutil.rmtree(record.folder)


def _check_out(writer: Writer, record: Record) -> None:
    """Bring the files there that are missing or were cut short; the others stay as they are."""
    folder, tree = record.folder, record.path
    answer = writer.run("read-tree", "HEAD", record=folder, tree=tree)
    if not answer.ok:
        raise failed("read-tree", answer)
    for path in writer.git.look("diff-files", "-z", "--name-only", record=folder, tree=tree).fields:
        if _is_cut_short(writer.git, record, path):
            (tree / path).unlink()
    # it ends badly when files are there already: those stay
    writer.run("checkout-index", "--all", "--quiet", record=folder, tree=tree)
    writer.run("update-index", "-q", "--refresh", record=folder, tree=tree)


def _is_cut_short(git: Git, record: Record, path: str) -> bool:
    file = record.path / path
    if file.is_symlink() or not file.is_file():
        return False
    wanted = git.look("cat-file", "--filters", f"HEAD:{path}", record=record.folder, tree=record.path)
    have = file.read_bytes()
    return wanted.ok and len(have) < len(wanted.out) and wanted.out.startswith(have)

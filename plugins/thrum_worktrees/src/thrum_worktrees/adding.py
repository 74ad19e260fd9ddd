"""Make a worktree, or go on with one that was left half made.

Everything is looked at before anything is changed. A ``git worktree add`` that a crash cut short leaves its record
locked as "initializing"; it is gone on with without overwriting a file that git did not write: what is missing is
checked out, a file that holds only the beginning of what it should is written anew, all else stays. One that a person
began is theirs. Source: spec/features.md §6.2; issue "half-done states are resumed".
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from thrum_kernel.errors import Refused, ThrumError, UsageError
from thrum_worktrees import branches
from thrum_worktrees.git import Git, Writer, failed
from thrum_worktrees.places import Ground, check_outside
from thrum_worktrees.records import Record, checked_out, head_of, record_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """A worktree that is to be there.

    Attributes:
        name: its name.
        path: where.
        branch: what is checked out; empty: no branch.
        base: the commit that a new branch begins at, or that is checked out without one.
        base_name: what *base* was called.
        is_new_branch: the branch is to be made.
        is_there: the worktree is there as it should be.
        is_half_made: an earlier try of ours began it.
        notes: what was decided that nobody asked for.
    """

    name: str
    path: Path
    branch: str
    base: str
    base_name: str
    is_new_branch: bool
    is_there: bool
    is_half_made: bool = False
    notes: tuple[str, ...] = field(default=())


def plan(ground: Ground, path: Path, *, name: str, branch: str, base: str, has_begun: bool) -> Wanted:
    """What is to be done for a worktree at *path*. Changes nothing.

    Args:
        branch: empty: without one.
        base: what a new branch begins at; empty: what is checked out in the main worktree.
        has_begun: we began to make this one before.

    Raises:
        Refused: something else is there, or the branch is in use elsewhere.
        NotFound: there is no such base.
        InvalidName, UsageError: a name cannot be used.
    """
    git = ground.git
    if branch:
        branches.check_branch(git, branch)
    record = record_of(git, path)
    is_there = record is not None and path.exists() and not record.is_being_made
    if record is not None:
        _check_record(git, record, path, branch=branch, is_there=is_there, has_begun=has_begun)
    else:
        _check_free(path, may_hold=has_begun)
        check_outside(ground, path)
    tip = branches.tip_of(git, branch) if branch else ""
    if branch and not is_there:
        place = checked_out(git).get(branch)
        if place is not None and place != path:
            raise Refused(
                f"branch {branch} is checked out at {place}",
                hint="name another one with --branch, or use --detach",
            )
    commit, base_name, notes = ("", "", ()) if is_there or tip else _base(ground, base)
    if base and (is_there or tip):
        notes = (*notes, f"--base {base} was not needed: the branch {branch} is there" if branch else "")
    return Wanted(
        name=name,
        path=path,
        branch=branch,
        base=commit,
        base_name=base_name,
        is_new_branch=bool(branch) and not tip,
        is_there=is_there,
        is_half_made=has_begun and record is not None and not is_there,
        notes=tuple(note for note in notes if note),
    )


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
    what = [wanted.branch] if wanted.branch else ["--detach"]
    words = ["worktree", "add", "--quiet"]
    if wanted.branch:
        words += [str(wanted.path), *what]
    else:
        words += ["--detach", str(wanted.path), wanted.base]
    answer = writer.run(*words)
    if not answer.ok:
        raise failed("worktree add", answer)


# --- looking ---------------------------------------------------------------------------------------------------------


def _check_record(
    git: Git, record: Record, path: Path, *, branch: str, is_there: bool, has_begun: bool
) -> None:
    if record.is_being_made:
        if has_begun:
            return
        raise Refused(
            f"git worktree add is making {path}, or was cut short",
            hint=f"wait for it; if nothing runs: git worktree unlock {path} && git worktree remove {path}",
        )
    if not is_there:
        if record.lock is not None:
            raise Refused(
                f"{path} is a locked worktree whose folder is not there"
                + (f" ({record.lock})" if record.lock else ""),
                hint=f"bring it back, or: git worktree unlock {path}",
            )
        if not path.parent.exists():
            raise Refused(
                f"{path} is a worktree whose folder is not there, nor is {path.parent}",
                hint="bring the disk back that it lies on, or: git worktree prune",
            )
        lost = branches.only_in(git, [head.commit] if (head := head_of(git, record.folder)).commit else [])
        if lost.count:
            raise Refused(
                f"the folder {path} is gone, but git's record of it leads to "
                f"{lost.count} commit{'' if lost.count == 1 else 's'} that nothing else does ({lost.newest})",
                hint=f"keep them: git branch NAME {lost.newest.partition(' ')[0]}; then: git worktree prune",
            )
        return
    if not (path / ".git").is_file():
        raise Refused(
            f"{path} is a worktree without its .git file", hint=f"mend it: git worktree repair {path}"
        )
    head = head_of(git, record.folder)
    if head.branch == branch:
        return
    has = f"branch {head.branch}" if head.branch else "no branch (detached)"
    wants = branch or "none (--detach)"
    raise Refused(
        f"{path} has an unexpected branch: it has {has}, wanted was {wants}",
        hint="choose another name, or pass --branch as it is" if head.branch else "choose another name",
    )


def _check_free(path: Path, *, may_hold: bool) -> None:
    try:
        is_empty = not any(path.iterdir())
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise Refused(f"{path} is a file", hint="choose another name") from error
    except OSError as error:
        raise Refused(
            f"{path} cannot be looked into: {error.strerror}", hint="choose another name"
        ) from error
    if not is_empty and not (may_hold and {each.name for each in path.iterdir()} <= {".git"}):
        raise Refused(
            f"{path} is there already and is no worktree of this repository", hint="choose another name"
        )


def _base(ground: Ground, base: str) -> tuple[str, str, tuple[str, ...]]:
    """The commit to begin at, what it is called, and what was decided."""
    if base:
        return branches.commit_of(ground.git, base), base, ()
    head = head_of(ground.git, None)
    if head.commit:
        return head.commit, head.branch or head.commit[:12], ()
    main = branches.tip_of(ground.git, "main")
    if main:
        return main, "main", ("nothing is checked out in the repository: main is taken as --base",)
    raise Refused(
        "the repository has no commit yet", hint="make the first one: git commit --allow-empty -m 'first'"
    )


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

"""What is to be done for a worktree, looked at before anything is changed. Source: spec/features.md §6.2."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from thrum_kernel.errors import Refused
from thrum_worktrees import branches, work
from thrum_worktrees.git import Git
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


@dataclass(frozen=True, slots=True)
class Wish:
    """A worktree that somebody asks for.

    Attributes:
        name: its name.
        path: where it is to be.
        branch: empty: without one.
        base: what a new branch begins at; empty: what is checked out in the main worktree.
    """

    name: str
    path: Path
    branch: str
    base: str = ""


def plan(ground: Ground, wish: Wish, *, has_begun: bool) -> Wanted:
    """What is to be done. Changes nothing.

    Args:
        has_begun: we began to make this one before.

    Raises:
        Refused: something else is there, or the branch is in use elsewhere.
        NotFound: there is no such base.
        InvalidName, UsageError: a name cannot be used.
    """
    git, path = ground.git, wish.path
    if wish.branch:
        branches.check_branch(git, wish.branch)
    record = record_of(git, path)
    is_there = record is not None and path.exists() and not record.is_being_made
    if record is None:
        _check_free(path, may_hold=has_begun)
        check_outside(ground, path)
    elif is_there:
        _check_there(git, record, wish.branch)
    elif record.is_being_made:
        _check_half(git, record, wish.branch, has_begun=has_begun)
    else:
        _check_gone(git, record)
    return _wanted(
        ground, wish, is_there=is_there, is_half_made=has_begun and record is not None and not is_there
    )


def _wanted(ground: Ground, wish: Wish, *, is_there: bool, is_half_made: bool) -> Wanted:
    tip = branches.tip_of(ground.git, wish.branch) if wish.branch else ""
    if wish.branch and not is_there:
        _check_unused(ground.git, wish)
    commit, base_name, notes = ("", "", ()) if is_there or tip else _base(ground, wish.base)
    if wish.base and (is_there or tip):
        what = "worktree" if is_there else "branch"
        notes = (f"--base {wish.base} was not needed: the {what} is there",)
    return Wanted(
        name=wish.name,
        path=wish.path,
        branch=wish.branch,
        base=commit,
        base_name=base_name,
        is_new_branch=bool(wish.branch) and not tip,
        is_there=is_there,
        is_half_made=is_half_made,
        notes=notes,
    )


# --- what may be in the way ------------------------------------------------------------------------------------------


def _check_there(git: Git, record: Record, branch: str) -> None:
    """A worktree that is there is the one that is asked for."""
    if not (record.path / ".git").is_file():
        raise Refused(
            f"{record.path} is a worktree without its .git file",
            hint=f"mend it: git worktree repair {record.path}",
        )
    _check_branch_of(git, record, branch)


def _check_branch_of(git: Git, record: Record, branch: str) -> None:
    head = head_of(git, record.folder)
    if head.branch == branch:
        return
    has = f"branch {head.branch}" if head.branch else "no branch (detached)"
    raise Refused(
        f"{record.path} has an unexpected branch: it has {has}, wanted was {branch or 'none (--detach)'}",
        hint="choose another name" + (", or pass --branch as it is" if head.branch else ""),
    )


def _check_half(git: Git, record: Record, branch: str, *, has_begun: bool) -> None:
    """A worktree that is half made is one that we began, with this branch."""
    path = record.path
    if not has_begun:
        raise Refused(
            f"git worktree add is making {path}, or was cut short",
            hint=f"wait for it; if nothing runs: git worktree unlock {path} && git worktree remove {path}",
        )
    if record.is_whole and head_of(git, record.folder).commit:
        _check_branch_of(git, record, branch)


def _check_gone(git: Git, record: Record) -> None:
    """What git still knows of a worktree whose folder is gone can be dropped."""
    path = record.path
    if record.lock is not None:
        because = f" ({record.lock})" if record.lock else ""
        raise Refused(
            f"{path} is a locked worktree whose folder is not there{because}",
            hint=f"bring it back, or: git worktree unlock {path}",
        )
    if not path.parent.exists():
        raise Refused(
            f"{path} is a worktree whose folder is not there, nor is {path.parent}",
            hint="bring the disk back that it lies on, or: git worktree prune",
        )
    head = head_of(git, record.folder)
    lost = branches.only_in(git, [head.commit] if head.commit else [])
    if lost.count:
        raise Refused(
            f"the folder {path} is gone, but git's record of it leads to "
            f"{lost.count} commit{'' if lost.count == 1 else 's'} that nothing else does ({lost.newest})",
            hint=f"keep them: git branch NAME {lost.newest.partition(' ')[0]}; then: git worktree prune",
        )
    staged = work.staged(git, record)
    if staged:
        raise Refused(
            f"the folder {path} is gone, but git's record of it has {work.told(staged)}",
            hint=f"bring the folder back, or throw it away: thrum worktree teardown {path.name} --force",
        )


def _check_unused(git: Git, wish: Wish) -> None:
    place = checked_out(git).get(wish.branch)
    if place is not None and place != wish.path:
        raise Refused(
            f"branch {wish.branch} is checked out at {place}",
            hint="name another one with --branch, or use --detach",
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

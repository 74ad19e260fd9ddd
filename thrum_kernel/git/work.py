"""What was changed in a worktree: commits not yet in the base branch, and files not yet committed.

Five git processes whatever there is to tell (the reference needed one more for each commit). A place outside git, a
repository without commits and a detached HEAD are states, not errors.

Source: spec/kernel.md §6.8, §10 item 64; spec/decisions.md "Worktrees".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from thrum_kernel.clock import format_us
from thrum_kernel.git.process import failed, run
from thrum_kernel.git.repository import discover
from thrum_kernel.gitdir import Place

MAX_COMMITS: Final = 200
MAX_FILES: Final = 2000
BASES: Final = (
    "refs/remotes/origin/main",
    "refs/remotes/origin/master",
    "refs/heads/main",
    "refs/heads/master",
)

_RECORD: Final = re.compile("\x1e[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that the base branch does not have.

    Attributes:
        sha: in full.
        message: its first line.
        files: what it touched; empty for a merge.
        authored_us: when it was written.
    """

    sha: str
    message: str
    files: tuple[str, ...] = ()
    authored_us: int = 0


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that differs from the base branch.

    Attributes:
        last_modified: timestamp of the newest of these commits that touched it; empty when none is known.
        additions, deletions: lines; both 0 for binary files and changes of mode.
        status: ``added`` when lines only came, ``deleted`` when they only went, else ``modified``.
    """

    path: str
    last_modified: str = ""
    additions: int = 0
    deletions: int = 0
    status: Literal["added", "deleted", "modified"] = "modified"


@dataclass(frozen=True, slots=True)
class WorkState:
    """What was changed in a worktree; everything empty outside git.

    Attributes:
        root: the worktree; None outside git.
        branch: empty when detached.
        head: the commit checked out; empty before the first.
        base: what it was compared with, e.g. ``origin/main`` or ``HEAD~10``; empty when there was nothing.
        unmerged_commits: newest first, at most 200.
        uncommitted_files: changed, staged or untracked, sorted, at most 2,000.
        changed_files, file_changes: what differs between the merge base and HEAD, sorted by path, at most 2,000.
        truncated: there was more.
    """

    root: Path | None = None
    branch: str = ""
    head: str = ""
    base: str = ""
    unmerged_commits: tuple[Commit, ...] = ()
    uncommitted_files: tuple[str, ...] = ()
    file_changes: tuple[FileChange, ...] = ()
    truncated: bool = False
    changed_files: tuple[str, ...] = field(default=())


def work_state(path: Path) -> WorkState:
    """What was changed in the worktree that *path* lies in.

    Raises:
        GitFailed: the status cannot be told (damaged repository, no answer in time).
        FileDamaged: a ``.git`` file on the way leads nowhere.
    """
    place = discover(path)
    if place is None or place.bare:
        return WorkState()
    branch, head, uncommitted = _status(place)
    base = _base(place, branch) if head else ""
    commits = _commits(place, base) if base else ()
    changes = _changes(place, base, commits) if base else ()
    return WorkState(
        root=place.root,
        branch=branch,
        head=head,
        base=base,
        unmerged_commits=commits[:MAX_COMMITS],
        uncommitted_files=tuple(sorted(uncommitted)[:MAX_FILES]),
        file_changes=changes[:MAX_FILES],
        changed_files=tuple(change.path for change in changes[:MAX_FILES]),
        truncated=len(commits) > MAX_COMMITS or len(uncommitted) > MAX_FILES or len(changes) > MAX_FILES,
    )


# --- asking git ------------------------------------------------------------------------------------------------------


def _status(place: Place) -> tuple[str, str, set[str]]:
    """Branch, commit, and the files that differ from it."""
    answer = run(
        place,
        "status",
        "--porcelain=v2",
        "--branch",
        "-z",
        "--untracked-files=all",
        "--ignore-submodules=dirty",
        "--no-renames",
        settings=_without_filters(place),
    )
    if not answer.ok:
        raise failed("status", answer)
    branch = head = ""
    files: set[str] = set()
    for line in answer.fields:
        if line.startswith("# branch.oid "):
            head = line.removeprefix("# branch.oid ").replace("(initial)", "")
        elif line.startswith("# branch.head "):
            branch = line.removeprefix("# branch.head ").replace("(detached)", "")
        elif line[:2] in _BEFORE_PATH:
            files.add(line.split(" ", _BEFORE_PATH[line[:2]])[-1])
    return branch, head, files


_BEFORE_PATH: Final = {"1 ": 8, "u ": 10, "? ": 1}
"""Kinds of entries of ``--porcelain=v2``, with how many fields come before the path."""


def _without_filters(place: Place) -> dict[str, str]:
    """Settings that stop status from running the repository's clean filters."""
    answer = run(
        place, "config", "-z", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process|required)$"
    )
    return {key: "false" if key.endswith(".required") else "" for key in answer.fields} if answer.ok else {}


def _base(place: Place, branch: str) -> str:
    answer = run(place, "for-each-ref", "--format=%(refname)", *BASES)
    known = set(answer.text.splitlines()) if answer.ok else set()
    for reference in BASES:
        if reference in known and reference != f"refs/heads/{branch}":
            return reference.removeprefix("refs/remotes/").removeprefix("refs/heads/")
    return "HEAD~10"


def _commits(place: Place, base: str) -> tuple[Commit, ...]:
    """Commits above *base*, newest first; none when there is no such base."""
    answer = run(
        place,
        "log",
        "-z",
        "--name-only",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--no-show-signature",
        "--encoding=UTF-8",
        f"--max-count={MAX_COMMITS + 1}",
        "--format=%x1e%H%x00%at%x00%s",
        f"{_full(base)}..HEAD",
        "--",
    )
    return tuple(_parsed(iter(answer.fields))) if answer.ok else ()


def _parsed(fields: Iterator[str]) -> Iterator[Commit]:
    """Each record is sha, time and first line; the files follow, the first after a newline."""
    current: Commit | None = None
    files: list[str] = []
    for text in fields:
        if _RECORD.fullmatch(text):
            if current is not None:
                yield _with_files(current, files)
            authored = next(fields, "0")
            current = Commit(text[1:], next(fields, ""), authored_us=int(authored) * 1_000_000)
            files = []
        elif text:
            files.append(text if files else text.removeprefix("\n"))
    if current is not None:
        yield _with_files(current, files)


def _with_files(commit: Commit, files: list[str]) -> Commit:
    return Commit(commit.sha, commit.message, tuple(files), commit.authored_us)


def _changes(place: Place, base: str, commits: tuple[Commit, ...]) -> tuple[FileChange, ...]:
    answer = run(
        place,
        "diff",
        "--numstat",
        "-z",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--ignore-submodules=dirty",
        f"{_full(base)}...HEAD",
        "--",
    )
    if not answer.ok:  # no such base, or no common ancestor
        return ()
    times: dict[str, int] = {}
    for commit in commits:
        for path in commit.files:
            times[path] = max(times.get(path, 0), commit.authored_us)
    return tuple(sorted((_change(line, times) for line in answer.fields), key=lambda change: change.path))


def _change(line: str, times: dict[str, int]) -> FileChange:
    added, deleted, path = line.split("\t", 2)
    additions = int(added) if added.isdigit() else 0
    deletions = int(deleted) if deleted.isdigit() else 0
    status: Literal["added", "deleted", "modified"] = "modified"
    if additions and not deletions:
        status = "added"
    elif deletions and not additions:
        status = "deleted"
    return FileChange(
        path=path,
        last_modified=format_us(times[path]) if path in times else "",
        additions=additions,
        deletions=deletions,
        status=status,
    )


def _full(base: str) -> str:
    """The reference in full, so that a tag or file of the same name cannot be meant."""
    if base == "HEAD~10":
        return base
    return f"refs/remotes/{base}" if base.startswith("origin/") else f"refs/heads/{base}"

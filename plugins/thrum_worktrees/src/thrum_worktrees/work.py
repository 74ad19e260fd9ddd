"""What would be lost with a worktree. Only looks.

Lost is what git has nowhere else: changes that are in no commit, files it does not know and was not told to ignore, an
operation in the middle, commits that only this worktree's HEAD (or its branch, when that goes too) leads to, and what
is only in a submodule's own repository here. Not lost: what thrum put there (`traces`), files that git ignores, and a
stash, which belongs to the repository. Source: spec/decisions.md "Worktrees"; git-worktree(1) "REFS".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from thrum_kernel.errors import Refused
from thrum_worktrees import branches
from thrum_worktrees.git import Git, failed, one_line, shown
from thrum_worktrees.records import Record, head_of, records

IsOurs = Callable[[str], bool]
"""Whether what git tells of a path (relative to the worktree) is only what thrum put there."""

_SHOWN: Final = 3
_OPERATIONS: Final = {
    "rebase-merge": "a rebase in the middle",
    "rebase-apply": "a rebase or git am in the middle",
    "MERGE_HEAD": "a merge in the middle",
    "CHERRY_PICK_HEAD": "a cherry-pick in the middle",
    "REVERT_HEAD": "a revert in the middle",
    "sequencer": "a row of cherry-picks or reverts in the middle",
    "BISECT_LOG": "a bisect in the middle",
}


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that would be gone.

    Attributes:
        kind: ``changed``, ``untracked``, ``hidden``, ``missing``, ``staged``, ``operation``, ``commits``, ``branch``
            or ``submodule``.
        what: in a few words, without the items.
        items: paths, or commits with their first lines.
    """

    kind: str
    what: str
    items: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.items:
            return self.what
        more = len(self.items) - _SHOWN
        shown = ", ".join(map(one_line, self.items[:_SHOWN])) + (f" and {more} more" if more > 0 else "")
        return f"{self.what} ({shown})"


def losses(git: Git, record: Record, tree: Path, *, is_ours: IsOurs, branch_goes: bool) -> list[Loss]:
    """Everything that would be lost.

    Args:
        tree: where the worktree's files are: its root, or where they were moved to.
        branch_goes: its branch is deleted, too.

    Raises:
        GitFailed: git cannot tell: then nothing may be removed.
    """
    found: list[Loss] = []
    if tree.exists():
        found += _of_files(git, record, tree, is_ours)
        found += _hidden(git, record, tree)
    else:
        if not tree.parent.exists():
            found.append(Loss("missing", f"nobody can look into it: {tree.parent} is not there (a disk?)"))
        found += staged(git, record)
    found += [
        Loss("operation", text) for name, text in _OPERATIONS.items() if (record.folder / name).exists()
    ]
    found += _of_commits(git, record, branch_goes=branch_goes)
    found += _of_submodules(git, record)
    return found


def staged(git: Git, record: Record) -> list[Loss]:
    """What was added to the index and never committed: of a worktree whose folder is gone, git still has it.

    Raises:
        GitFailed: git cannot tell.
    """
    has_commit = bool(head_of(git, record.folder).commit)
    if not has_commit or not (record.folder / "index").exists():
        return []
    answer = git.look("diff-index", "--cached", "-z", "--name-only", "HEAD", "--", record=record.folder)
    if not answer.ok:
        raise failed("diff-index", answer)
    paths = tuple(shown(path) for path in answer.fields)
    return [Loss("staged", _counted(len(paths), "file") + " added and not committed", paths)] if paths else []


def check_alone(git: Git, record: Record) -> None:
    """Whether no other worktree lies in this one.

    Raises:
        Refused: one does.
    """
    inner = [
        each.path
        for each in records(git)
        if each.folder != record.folder and each.path.is_relative_to(record.path)
    ]
    if inner:
        raise Refused(
            f"another worktree lies in {record.path}: {inner[0]}",
            hint=f"remove that one first: git worktree remove {inner[0]}",
        )


def _of_files(git: Git, record: Record, tree: Path, is_ours: IsOurs) -> Iterator[Loss]:
    answer = git.look(
        "status",
        "--porcelain=v2",
        "-z",
        "--untracked-files=all",
        "--ignored=no",
        "--ignore-submodules=none",
        "--no-renames",
        record=record.folder,
        tree=tree,
    )
    if not answer.ok:
        raise failed("status", answer)
    changed, untracked = [], []
    for entry in answer.fields:
        if entry.startswith("? "):
            untracked.append(entry[2:])
        elif entry[:2] in _BEFORE_PATH:
            changed.append(entry.split(" ", _BEFORE_PATH[entry[:2]])[-1])
    for kind, what, paths in (("changed", "changed file", changed), ("untracked", "new file", untracked)):
        lost = [shown(path) for path in paths if not is_ours(path)]
        if lost:
            yield Loss(kind, _counted(len(lost), what), tuple(lost))


_BEFORE_PATH: Final = {"1 ": 8, "u ": 10}
"""Kinds of entries of ``--porcelain=v2``, with how many fields come before the path."""


def _hidden(git: Git, record: Record, tree: Path) -> Iterator[Loss]:
    """Changes that git was told not to look for (``--skip-worktree``, ``--assume-unchanged``)."""
    flagged = git.look("ls-files", "-z", "-v", record=record.folder, tree=tree)
    paths = [entry[2:] for entry in flagged.fields if entry[0] in "Sabcdefghijklmnopqrstuvwxyz"]
    paths = [path for path in paths if os.path.lexists(tree / path)]
    if not paths:
        return
    listed = git.look("ls-files", "-z", "-s", record=record.folder, tree=tree)
    known = {
        path: facts.split(" ")[1] for facts, _, path in (entry.partition("\t") for entry in listed.fields)
    }
    lost = []
    for path in paths:
        has = git.look("hash-object", "--", path, record=record.folder, tree=tree)
        if (tree / path).is_symlink() or has.text != known.get(path):
            lost.append(shown(path))
    if lost:
        yield Loss("hidden", _counted(len(lost), "changed file") + " that git does not look at", tuple(lost))


def _of_commits(git: Git, record: Record, *, branch_goes: bool) -> Iterator[Loss]:
    head = head_of(git, record.folder)
    own = git.look(
        "for-each-ref", "--format=%(objectname)", "refs/worktree/", "refs/bisect/", record=record.folder
    )
    tips = [line for line in own.text.splitlines() if line] if own.ok else []
    if head.commit and not head.branch:
        tips.append(head.commit)
    detached = branches.only_in(git, tips)
    if detached.count:
        yield Loss("commits", f"{_counted(detached.count, 'commit')} on no branch", (detached.newest,))
    if branch_goes and head.branch:
        merged = branches.only_in(git, [branches.reference(head.branch)], without=head.branch)
        if merged.count:
            what = f"{_counted(merged.count, 'commit')} that only branch {head.branch} has"
            yield Loss("branch", what, (merged.newest,))


def _of_submodules(git: Git, record: Record) -> Iterator[Loss]:
    """A linked worktree has submodules' repositories of its own: they go with it."""
    modules = record.folder / "modules"
    if not modules.is_dir():
        return
    for head in sorted(modules.rglob("HEAD")):
        if not (head.parent / "objects").is_dir():
            continue
        name = str(head.parent.relative_to(modules))
        answer = git.look(
            "rev-list", "--count", "HEAD", "--branches", "--tags", "--not", "--remotes", record=head.parent
        )
        stash = git.look("rev-parse", "-q", "--verify", "refs/stash", record=head.parent)
        if not answer.ok or answer.text != "0":
            number = answer.text if answer.ok else "?"
            yield Loss("submodule", f"commits of submodule {name} that are pushed nowhere", (number,))
        if stash.ok:
            yield Loss("submodule", f"a stash in submodule {name}")


def told(losses_found: Sequence[Loss]) -> str:
    """All of them in one line."""
    return "; ".join(str(loss) for loss in losses_found)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

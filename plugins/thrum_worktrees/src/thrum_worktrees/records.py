"""Git's records of linked worktrees, read from the files that git keeps for each.

``git worktree list`` does not tell which folder of git's stands for which worktree, nor can it be asked about one whose
``.git`` file is gone. Source: gitrepository-layout(5) "worktrees"; git-worktree(1) "DETAILS".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from thrum_worktrees.git import Git, failed

INITIALIZING: Final = "initializing"
"""Why git itself locks a worktree that it is making."""


@dataclass(frozen=True, slots=True)
class Record:
    """One linked worktree.

    Attributes:
        folder: what git keeps about it.
        path: its root; it need not be there.
        lock: why it is locked; None when it is not.
    """

    folder: Path
    path: Path
    lock: str | None

    @property
    def is_being_made(self) -> bool:
        """Whether a ``git worktree add`` makes it now, or was cut short."""
        return self.lock == INITIALIZING

    @property
    def is_whole(self) -> bool:
        """Whether git got as far as to say where it belongs and what is checked out."""
        return (self.folder / "commondir").is_file() and (self.folder / "HEAD").is_file()


@dataclass(frozen=True, slots=True)
class Head:
    """What is checked out.

    Attributes:
        branch: empty when detached.
        commit: in full; empty before the first.
    """

    branch: str
    commit: str


def records(git: Git) -> list[Record]:
    """Every linked worktree, by name of its record."""
    return sorted(_read_all(git.records), key=lambda record: record.folder.name)


def record_of(git: Git, path: Path) -> Record | None:
    """The record of the worktree at *path*, whether or not it is there."""
    return next((record for record in records(git) if record.path == path), None)


def head_of(git: Git, record: Path | None) -> Head:
    """What is checked out in a worktree (None: the main one)."""
    branch = git.look("symbolic-ref", "-q", "HEAD", record=record)  # in full: a tag may be called the same
    commit = git.look("rev-parse", "-q", "--verify", "HEAD^{commit}", record=record)
    return Head(
        branch.text.removeprefix("refs/heads/") if branch.ok else "", commit.text if commit.ok else ""
    )


def checked_out(git: Git) -> dict[str, Path]:
    """Every branch that is checked out somewhere, with where.

    Raises:
        GitFailed: git does not tell.
    """
    found: dict[str, Path] = {}
    for entry in listed(git):
        if entry.branch:
            found[entry.branch] = entry.path
    return found


@dataclass(frozen=True, slots=True)
class Listed:
    """A worktree as git lists it, the main one included.

    Attributes:
        head: the commit; empty before the first, and of a bare repository.
        branch: empty when detached or bare.
        is_bare: there are no files.
        is_missing: its folder is gone.
    """

    path: Path
    head: str
    branch: str
    is_bare: bool
    is_missing: bool


def listed(git: Git) -> list[Listed]:
    """Every worktree, the main one first.

    Raises:
        GitFailed: git does not tell.
    """
    answer = git.look("worktree", "list", "--porcelain")
    if not answer.ok:
        raise failed("worktree list", answer)
    blocks = [block for block in answer.text.split("\n\n") if block.startswith("worktree ")]
    return [_listed(block) for block in blocks]


def _listed(block: str) -> Listed:
    facts: dict[str, str] = {}
    for line in block.splitlines():
        word, _, rest = line.partition(" ")
        facts.setdefault(word, rest)
    head = facts.get("HEAD", "")
    path = Path(facts["worktree"])
    return Listed(
        path=path,
        head="" if not head.strip("0") else head,
        branch=facts.get("branch", "").removeprefix("refs/heads/"),
        is_bare="bare" in facts,
        is_missing=not path.is_dir(),
    )


def _read_all(folder: Path) -> Iterator[Record]:
    try:
        entries = [entry for entry in folder.iterdir() if entry.is_dir()]
    except OSError:
        return
    for entry in entries:
        target = _read(entry / "gitdir")
        if target:
            yield Record(entry, resolved((entry / target).parent), _lock(entry))


def resolved(path: Path) -> Path:
    """*path* with links followed above its last part, so that a worktree that is gone keeps its name."""
    return Path(os.path.realpath(path.parent)) / path.name


def _lock(folder: Path) -> str | None:
    return _read(folder / "locked") if (folder / "locked").exists() else None


def _read(path: Path) -> str:
    try:
        return os.fsdecode(path.read_bytes()).strip()
    except OSError:
        return ""

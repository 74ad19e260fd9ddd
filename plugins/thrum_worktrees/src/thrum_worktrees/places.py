"""Where worktrees go, and where they must not. Looks at the disk, changes nothing.

Source: spec/features.md §6.1; spec/decisions.md "init"; seed 000, "repo-root guard".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from thrum_kernel.errors import NotARepository, UsageError
from thrum_worktrees.git import Git
from thrum_worktrees.records import records

MOST_BASE_BYTES: Final = 200
MOST_BYTES: Final = 255
_MEND: Final = "thrum config set worktrees.base_path PATH"


@dataclass(frozen=True, slots=True)
class Ground:
    """The repository that worktrees are made of.

    Attributes:
        repo: the folder that holds the shared ``.thrum``.
        thrum: that ``.thrum``.
        home: the person's home folder; None when unknown.
        git: git there.
    """

    repo: Path
    thrum: Path
    home: Path | None
    git: Git

    @classmethod
    def of(cls, repo: Path, thrum: Path, *, env: Mapping[str, str], lock: Path) -> Ground:
        """The ground of a project; asks git where the repository is.

        Raises:
            NotARepository: the project lies in none.
            GitFailed: git cannot be started.
        """
        asking = Git(repo / ".git", env, lock)
        answer = asking.run(["rev-parse", "--git-common-dir"], None, None, {}, limit_s=60.0, cwd=repo)
        if not answer.ok:
            raise NotARepository(repo)
        home = Path(env["HOME"]) if env.get("HOME") else None
        return cls(repo, thrum, home, Git((repo / answer.text).resolve(), env, lock))


def base_of(ground: Ground, configured: str) -> Path:
    """The folder that worktrees of the repository are made in, absolute and resolved; it need not be there.

    Args:
        configured: ``worktrees.base_path``. Unless it ends in the repository's name, that is added: one folder may be
            named for several repositories.

    Raises:
        UsageError: it cannot be used.
    """
    base = _expanded(configured, ground.home)
    if not base.is_absolute():
        raise UsageError(f'worktrees.base_path "{configured}" is not an absolute path', hint=_MEND)
    if base.name != ground.repo.name:
        if base.resolve() == ground.repo:
            raise UsageError(f"worktrees.base_path {base} is the repository itself", hint=_MEND)
        base = base / ground.repo.name
    base = base.resolve()
    if base == ground.repo:
        raise UsageError(f"worktrees.base_path {base} is the repository itself", hint=_MEND)
    if len(os.fsencode(base)) > MOST_BASE_BYTES:
        raise UsageError(f"worktrees.base_path is longer than {MOST_BASE_BYTES} bytes", hint=_MEND)
    check_outside(ground, base)
    _check_folders(base)
    return base


def _check_folders(base: Path) -> None:
    """Whether *base* is a folder, or can be made one.

    Raises:
        UsageError: it is, or lies below, something else.
    """
    there = next((each for each in (base, *base.parents) if each.exists()), base)
    if there.exists() and not there.is_dir():
        raise UsageError(f"worktrees.base_path {base}: {there} is no folder", hint=_MEND)


def path_for(ground: Ground, base: Path, name: str) -> Path:
    """Where the worktree *name* is, or would be.

    Raises:
        UsageError: it cannot be there.
    """
    path = base / name
    if path == ground.repo:
        raise UsageError(f"{path} is the repository itself", hint=_MEND)
    if len(os.fsencode(path)) > MOST_BYTES:
        raise UsageError(f"{path} is longer than {MOST_BYTES} bytes", hint="choose a shorter name")
    if path.is_symlink():
        raise UsageError(f"{path} is a symbolic link", hint="remove it, or choose another name")
    return path


def check_outside(ground: Ground, path: Path) -> None:
    """Whether *path* lies in no worktree of the repository, nor in git's own folder.

    Raises:
        UsageError: it lies in one.
    """
    roots = {ground.repo, ground.git.common, *(record.path for record in records(ground.git))}
    for root in sorted(roots):
        if path.is_relative_to(root):
            raise UsageError(
                f"{path} is inside {root}: worktrees must lie beside the repository and beside each other",
                hint=_MEND,
            )


def _expanded(configured: str, home: Path | None) -> Path:
    text = configured.strip()
    if not text:
        text = "~/.thrum/worktrees"
    for sign in ("~", "$HOME", "${HOME}"):
        if text == sign or text.startswith(f"{sign}/"):
            if home is None:
                raise UsageError("HOME is not set", hint=_MEND)
            return home / text[len(sign) :].lstrip("/")
    return Path(text)

"""Where a folder lies in git, read from the files git keeps, without starting git.

`locate` walks up from a folder to the working tree it belongs to and follows ``.git`` files (linked worktrees,
submodules, ``--separate-git-dir``; absolute or relative), ``commondir`` files and symbolic links. It costs a few
``stat`` calls, so a command may ask for it every time.

Source: gitrepository-layout(5), git-worktree(1) "DETAILS".
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from thrum_kernel.errors import FileDamaged

SYNC_FOLDER = "thrum-sync"
"""Name of the folder T below the common git folder."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a folder lies in git; all paths absolute and resolved.

    Attributes:
        root: root of the working tree; of a bare repository the folder that leads to it.
        git_dir: what git calls ``--git-dir``; a linked worktree has its own.
        common_dir: what all worktrees of the repository share (``--git-common-dir``).
        bare: there is no working tree here.
        main_worktree: the first worktree, `root` itself unless linked; None when the repository has none.
    """

    root: Path
    git_dir: Path
    common_dir: Path
    bare: bool
    main_worktree: Path | None

    @property
    def is_linked(self) -> bool:
        """Whether this is a linked worktree (``git worktree add``)."""
        return self.git_dir != self.common_dir


def locate(folder: Path) -> Place | None:
    """The git place that *folder* (which must exist) lies in; None outside git.

    Our own repository below ``thrum-sync/`` is passed over: inside it one stands in the user's repository.

    Raises:
        FileDamaged: a ``.git`` file on the way leads nowhere.
    """
    folder = folder.resolve()
    for candidate in (folder, *folder.parents):
        place = _place_at(candidate)
        if place is not None and not _is_ours(place):
            return place
    return None


def worktrees(common_dir: Path) -> list[Path]:
    """Roots of all worktrees that exist on disk: the main one first, then the linked ones by name of their record."""
    main = _main_worktree(common_dir)
    found = [] if main is None else [main]
    found += [root for root in _linked_worktrees(common_dir) if root not in found]
    return found


def _place_at(folder: Path) -> Place | None:
    dot_git = folder / ".git"
    if _exists(dot_git):
        git_dir = _follow(dot_git)
        if git_dir is not None:
            return _place(folder, git_dir)
        return None
    if _is_git_dir(folder):  # inside a bare repository, or inside a .git folder
        if folder.name == ".git" and not _is_bare(folder):
            return _place(folder.parent, folder)
        return Place(folder, folder, folder, bare=True, main_worktree=None)
    return None


def _place(root: Path, git_dir: Path) -> Place:
    common_dir = _common_dir(git_dir)
    if git_dir != common_dir:
        return Place(root, git_dir, common_dir, bare=False, main_worktree=_main_worktree(common_dir))
    if _is_bare(git_dir):
        return Place(root, git_dir, common_dir, bare=True, main_worktree=None)
    return Place(root, git_dir, common_dir, bare=False, main_worktree=root)


def _follow(dot_git: Path) -> Path | None:
    """The git folder that a ``.git`` entry stands for; None when it is a folder of something else."""
    try:
        if dot_git.is_dir():
            return dot_git.resolve() if _is_git_dir(dot_git) else None
        text = dot_git.read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise FileDamaged(dot_git, f"cannot be read: {error.strerror}") from error
    label, _, target = text.partition(":")
    if label != "gitdir" or not target.strip():
        raise FileDamaged(dot_git, "is not a git file (no `gitdir:` line)")
    git_dir = (dot_git.parent / target.strip()).resolve()
    if not _is_git_dir(git_dir):
        raise FileDamaged(
            dot_git,
            f"leads to {git_dir}, which is not a git folder",
            hint="run `git worktree repair` in the main worktree",
        )
    return git_dir


def _common_dir(git_dir: Path) -> Path:
    text = _read(git_dir / "commondir").strip()
    return (git_dir / text).resolve() if text else git_dir


def _main_worktree(common_dir: Path) -> Path | None:
    if _is_bare(common_dir):
        return None
    named = _core_settings(common_dir).get("worktree")
    if named:
        root = (common_dir / named).resolve()
        return root if root.is_dir() else None
    # a git folder of another name does not say where its worktree is (`git init --separate-git-dir`)
    return common_dir.parent if common_dir.name == ".git" else None


def _linked_worktrees(common_dir: Path) -> Iterator[Path]:
    records = common_dir / "worktrees"
    try:
        names = sorted(entry.name for entry in records.iterdir())
    except OSError:
        return
    for name in names:
        target = _read(records / name / "gitdir").strip()
        if not target:
            continue
        root = (records / name / target).resolve().parent
        if root.is_dir() and not _is_of_another(root, records / name):
            yield root


def _is_of_another(root: Path, record: Path) -> bool:
    """Whether *root* belongs to another repository than the one with *record*: to that which ours was copied from.

    One whose ``.git`` leads nowhere is ours: the repository was moved, and `git worktree repair` mends it.
    """
    try:
        git_dir = _follow(root / ".git")
    except FileDamaged:
        return False
    return git_dir is not None and git_dir != record.resolve()


def _is_bare(git_dir: Path) -> bool:
    return _core_settings(git_dir).get("bare", "").lower() in {"true", "yes", "on", "1"}


def _core_settings(git_dir: Path) -> Mapping[str, str]:
    """``core.*`` of the repository, as git itself reads it at set-up: own files only, no includes."""
    values: dict[str, str] = {}
    for name in ("config", "config.worktree"):
        section = ""
        for raw in _read(git_dir / name).splitlines():
            line = raw.strip()
            if line.startswith("["):
                section, _, line = line[1:].partition("]")
                line = line.strip()
            if section.strip().lower() != "core" or not line or line[0] in "#;":
                continue
            key, equals, value = line.partition("=")
            values[key.strip().lower()] = _unquoted(value) if equals else "true"
    return values


def _unquoted(value: str) -> str:
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    for mark in (" #", " ;", "\t#", "\t;"):
        value = value.partition(mark)[0]
    return value.strip()


def _is_git_dir(folder: Path) -> bool:
    if not _exists(folder / "HEAD"):
        return False
    if _exists(folder / "commondir"):
        return True
    return (folder / "objects").is_dir() and (folder / "refs").is_dir()


def _is_ours(place: Place) -> bool:
    return place.common_dir.parent.name == SYNC_FOLDER and place.common_dir.name == "repo.git"


def _exists(path: Path) -> bool:
    try:
        os.lstat(path)
    except OSError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""

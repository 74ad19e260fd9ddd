"""The worktrees of the project and the identity files in them, as they are now.

Nothing watches the disk. Whoever needs to know calls `refresh`, which compares times of folders and files and reads
again only what changed. What was read within a moment of its change is read once more, for a second change in the
same tick of the file system's clock would not show.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from thrum_kernel import gitdir, paths
from thrum_kernel.clock import Clock
from thrum_kernel.errors import FileDamaged, ThrumError
from thrum_kernel.identity import files
from thrum_kernel.identity.model import Identity
from thrum_kernel.paths import THRUM_FOLDER

SETTLED_AFTER_NS: Final = 100_000_000
LOOK_AROUND_EVERY_S: Final = 0.1
ROOTS_FOR_S: Final = 5.0
"""How long git's list is believed unless its records change: a folder may come back that was away."""

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Worktree:
    """One worktree.

    Attributes:
        path: its root, resolved.
        device, inode: what tells it apart whatever it is called.
        identities: those it has a usable file of, by name.
        problems: files that cannot be used.
        stamp: names, inodes, sizes and times of what was read.
        settled: whether the stamp tells every later change.
    """

    path: Path
    device: int
    inode: int
    identities: tuple[Identity, ...]
    problems: tuple[FileDamaged, ...]
    stamp: Stamp
    settled: bool

    def identity(self, name: str) -> Identity | None:
        return next((identity for identity in self.identities if identity.name == name), None)


class Worktrees:
    """All worktrees of one project. Blocking, but for a few `stat` calls only while nothing changes.

    Args:
        repo: the folder that holds the shared ``.thrum``.
        further: other folders that agents are registered in.
        on_read: told of every worktree whose identity files were read.

    Attributes:
        version: raised by every change.
    """

    def __init__(
        self,
        repo: Path,
        *,
        clock: Clock,
        further: Callable[[], Iterable[Path]],
        on_read: Callable[[Worktree], None],
    ) -> None:
        self.version = 0
        self._repo = repo
        self._clock = clock
        self._further = further
        self._on_read = on_read
        self._common_dir = _common_dir(repo)
        self._known: dict[Path, Worktree] = {}
        self._roots_of: tuple[object, list[Path]] | None = None
        self._roots_read = 0.0
        self._looked_around: float | None = None

    def all(self) -> list[Worktree]:
        """As of the last refresh; the project's own first."""
        return list(self._known.values())

    def at(self, path: Path) -> Worktree | None:
        return self._known.get(path)

    def with_identity(self, name: str) -> list[Path]:
        """The worktrees that have an identity file of a name."""
        return [worktree.path for worktree in self._known.values() if worktree.identity(name)]

    def refresh(self) -> None:
        """Notice every change up to now."""
        self._looked_around = self._clock.monotonic()
        before = list(self._known)
        found: dict[Path, Worktree] = {}
        for path in self._roots():
            worktree = self._look_at(path)
            if worktree is not None:
                found[path] = worktree
        self._known = found
        if list(found) != before:
            self.version += 1

    def refresh_for(self, cwd: Path | None) -> None:
        """Notice every change of the worktree that *cwd* lies in, and others' when last looked at a while ago."""
        overdue = (
            self._looked_around is None
            or self._clock.monotonic() - self._looked_around >= LOOK_AROUND_EVERY_S
        )
        own = self._containing(cwd) if cwd is not None else None
        if overdue or (cwd is not None and own is None):
            self.refresh()
        elif own is not None:
            worktree = self._look_at(own)
            if worktree is None:
                self.refresh()
            else:
                self._known[own] = worktree

    def _containing(self, cwd: Path) -> Path | None:
        return next((path for path in (cwd, *cwd.parents) if path in self._known), None)

    def is_redirected_here(self, path: Path) -> bool:
        """Whether *path* is the root of a worktree whose ``.thrum`` leads to ours, of whatever repository."""
        try:
            found = paths.find(path, env={})
        except (OSError, ThrumError):
            return False
        return found.worktree == path and found.repo == self._repo

    def _roots(self) -> list[Path]:
        return list(dict.fromkeys([self._repo, *self._git_roots(), *self._further()]))

    def _git_roots(self) -> list[Path]:
        """What git lists, read anew when a worktree was added, moved or removed."""
        if self._common_dir is None:
            return []
        stamp = _records_stamp(self._common_dir / "worktrees")
        now = self._clock.monotonic()
        if self._roots_of is None or self._roots_of[0] != stamp or now - self._roots_read > ROOTS_FOR_S:
            self._roots_of = stamp, gitdir.worktrees(self._common_dir)
            self._roots_read = now
        return self._roots_of[1]

    def _look_at(self, path: Path) -> Worktree | None:
        """A worktree as it is now; None when it is gone."""
        try:
            status = path.stat()
        except OSError:
            return None
        folder = path / THRUM_FOLDER / "identities"
        old = self._known.get(path)
        stamp = _stamp(folder)
        if old is not None and old.settled and old.stamp == stamp and old.inode == status.st_ino:
            return old
        found = files.read_all(folder)
        worktree = Worktree(
            path=path,
            device=status.st_dev,
            inode=status.st_ino,
            identities=found.identities,
            problems=found.problems,
            stamp=stamp,
            settled=_is_settled(stamp),
        )
        if old is None or _content(old) != _content(worktree):
            self.version += 1
            self._on_read(worktree)
        return worktree


def _common_dir(repo: Path) -> Path | None:
    try:
        place = gitdir.locate(repo)
    except (OSError, ThrumError):
        return None
    return place.common_dir if place else None


def _records_stamp(records: Path) -> Stamp:
    """Git's records of linked worktrees: which there are and where they lead."""
    found = []
    try:
        with os.scandir(records) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    status = os.stat(f"{entry.path}/gitdir")  # noqa: PTH116
                    found.append((entry.name, status.st_ino, status.st_size, status.st_mtime_ns))
    except OSError:
        return ()
    return tuple(sorted(found))


def _content(worktree: Worktree) -> object:
    problems = tuple(str(problem) for problem in worktree.problems)
    return worktree.device, worktree.inode, worktree.identities, problems


def _stamp(folder: Path) -> Stamp:
    """The folder and its identity files; empty when there is none."""
    try:
        status = folder.stat()
        with os.scandir(folder) as entries:
            found = [
                (entry.name, entry.stat(follow_symlinks=False))
                for entry in entries
                if entry.name.endswith(".json") and not entry.name.startswith(".")
            ]
    except OSError:
        return ()
    stamped = [(name, part.st_ino, part.st_size, part.st_mtime_ns) for name, part in found]
    return (("", status.st_ino, 0, status.st_mtime_ns), *sorted(stamped))


def _is_settled(stamp: Stamp) -> bool:
    newest = max((mtime_ns for _, _, _, mtime_ns in stamp), default=0)
    return time.time_ns() - newest > SETTLED_AFTER_NS

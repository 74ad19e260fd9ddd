"""Changes to files that are all made or all taken back, byte for byte.

What was there before is never removed: taking back restores the old bytes and mode of a changed file, removes a file
or folder only if it did not exist before, and leaves everything else alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

from thrum_kernel.cli.interrupts import deferred
from thrum_kernel.jsonio import write_atomic

T = TypeVar("T")

PRIVATE = 0o750
"""Permissions of our own folders; whatever belongs to the project is as open as the umask has it."""
_OURS = ".thrum"

Action = Literal["create", "overwrite", "append", "skip"]


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file as a set-up wants it.

    Attributes:
        path: the file.
        data: all of its new bytes.
        action: what that is for the file as it stands; ``skip`` when nothing changes.
        mode: permissions of a new file, less what the umask takes; one that exists keeps its own.
        note: why, for people; empty when the path says it.
    """

    path: Path
    data: bytes
    action: Action
    mode: int = 0o600
    note: str = ""


class Transaction:
    """Steps that are taken back in reverse order unless the ``with`` block ends well."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self.problems: list[str] = []
        """What could not be taken back, one sentence each; empty after a clean roll-back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.roll_back()
            for problem in self.problems:
                error.add_note(problem)

    def on_undo(self, action: Callable[[], None]) -> None:
        """Have *action* run when everything is taken back, before what was done earlier is."""
        self._undo.append(action)

    def claim(self, path: Path) -> None:
        """Remove whatever others make at *path* during this transaction; no effect if something is there already."""
        if not os.path.lexists(path):
            self._undo.append(lambda: _remove(path))

    def folder(self, path: Path, *, mode: int = 0o777) -> None:
        """Make *path* and the folders above it that are missing; the umask takes from *mode*, and a ``.thrum`` is
        `PRIVATE` at most."""
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            with deferred():
                self.claim(folder)
                folder.mkdir(mode=mode & PRIVATE if folder.name == _OURS else mode)

    def protect(self, path: Path) -> None:
        """Have *path* as it is now again after a roll-back, whoever changes, makes or removes it meanwhile."""
        before = _snapshot(path)
        if before is None:
            self.claim(path)
        else:
            self._undo.append(lambda: _restore(path, *before))

    def change(self, path: Path, change: Callable[[], T]) -> T:
        """The result of *change*, which writes *path* its own way; an interrupt waits until it is done."""
        with deferred():
            self.protect(path)
            return change()

    def apply(self, change: FileChange) -> None:
        """Write one file, or nothing when its action is ``skip``."""
        if change.action == "skip":
            return
        self.write(change.path, change.data, mode=change.mode)

    def write(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Replace *path*, or the file that a link there leads to, durably and in one step; *mode* is for a new one."""
        target = path.resolve() if path.is_symlink() else path
        self.folder(target.parent)
        before = _snapshot(target)
        with deferred():  # an interrupt in the middle would leave a temporary file behind
            self._undo.append(lambda: _remove(target) if before is None else _restore(target, *before))
            write_atomic(target, data, mode=mode if before is None else before[1])
            if before is not None:
                target.chmod(before[1])  # the umask may have taken from it

    def roll_back(self) -> None:
        """Take everything back, newest first; goes on when a step cannot be, and says so in ``problems``."""
        with deferred():
            while self._undo:
                step = self._undo.pop()
                try:
                    step()
                except OSError as error:
                    self.problems.append(f"could not be taken back: {error}")


def _snapshot(path: Path) -> tuple[bytes, int] | None:
    try:
        return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _restore(path: Path, data: bytes, mode: int) -> None:
    write_atomic(path, data, mode=mode)
    path.chmod(mode)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return
    with contextlib.suppress(FileNotFoundError):
        path.unlink()

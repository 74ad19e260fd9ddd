"""What the operating system says about a caller: plain data, so that who it is can be decided and tested purely."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thrum_kernel.api import Process

__all__ = ["Facts", "Folder", "Inode", "Process"]

Inode = tuple[int, int]
"""Device and inode of a folder: two paths are the same folder exactly when these are equal."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder by path and by what it really is."""

    path: Path
    inode: Inode


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the system tells about one caller, taken in one look.

    Attributes:
        pid: the calling process; 0 when unknown.
        uid: user id of that process; -1 when unknown.
        chain: the process and its ancestors, nearest first, as far as they could be read.
        folders: its working folder and the folders above it up to the root of its git worktree (outside git: up to
            ``/``), nearest first; empty when it could not be read or no longer exists.
        git_root: the last of `folders` when it is the root of a git worktree.
        foreign: which namespace is not ours; empty when it lives in ours.
        failed: the steps that gave nothing: ``pid``, ``cwd``; their logs read ``step=pid failed``.
        cwd_gone: the working folder was removed under it.
    """

    pid: int = 0
    uid: int = -1
    chain: tuple[Process, ...] = ()
    folders: tuple[Folder, ...] = ()
    git_root: Path | None = None
    foreign: Literal["", "mount", "pid"] = ""
    failed: frozenset[str] = frozenset()
    cwd_gone: bool = False

    @property
    def cwd(self) -> Path | None:
        return self.folders[0].path if self.folders else None

    @property
    def runtime(self) -> Process | None:
        """The nearest process of the chain that is a runtime."""
        return next((process for process in self.chain if process.runtime), None)

"""The disk of a log that is ours only while we hold its lock.

Whatever writes below T goes through here: journals, published files, roll-up and purge. When the lock file was taken
away another daemon may be writing already, so nothing is made, moved or removed any more.

Source: DESIGN.md D3, D11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from thrum_kernel.store.disk import Disk, Entry, File


class OwnedDisk:
    """A `Disk` that asks before every change of a name whether the log is still ours.

    Bytes that go into a file which is open already are the affair of whoever opened it: the committer asks before
    each batch.

    Args:
        disk: where the log lies.
        check: raises StoreError when the log is not ours any more; microseconds.
    """

    def __init__(self, disk: Disk, check: Callable[[], None]) -> None:
        self._disk = disk
        self._check = check

    def create(self, path: Path) -> File:
        self._check()
        return self._disk.create(path)

    def sync_files(self, files: Sequence[File]) -> None:
        self._disk.sync_files(files)

    def sync_folder(self, folder: Path) -> None:
        self._disk.sync_folder(folder)

    def make_folder(self, folder: Path) -> None:
        self._check()
        self._disk.make_folder(folder)

    def move(self, old: Path, new: Path) -> None:
        self._check()
        self._disk.move(old, new)

    def remove(self, path: Path) -> None:
        self._check()
        self._disk.remove(path)

    def cut_short(self, path: Path, size: int) -> None:
        self._check()
        self._disk.cut_short(path, size)

    def entries(self, folder: Path) -> list[Entry]:
        return self._disk.entries(folder)

    def read(self, path: Path, *, offset: int = 0, length: int = -1) -> bytes:
        return self._disk.read(path, offset=offset, length=length)

    def size(self, path: Path) -> int | None:
        return self._disk.size(path)

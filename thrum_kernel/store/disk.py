"""The one door through which every byte of the log goes to disk and back.

Nothing in the kernel touches a journal, a published file or the quarantine but through a `Disk`, so that a test disk
(`thrum_kernel.testing.disk`) can keep only what was synced, tear writes, drop directory entries and fill up at every
single call. What the operating system says is translated into the errors of the store once, here.

Source: DESIGN.md D1, D11.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from thrum_kernel.errors import FileMissing, StoreError, StoreFull

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o750
_AT_ONCE: Final = 8
"""Syncs that run beside each other: a file system settles them together."""


class Entry(NamedTuple):
    """One name in a folder."""

    name: str
    is_folder: bool


class File(Protocol):
    """A file open for appending."""

    def write(self, data: bytes) -> int:
        """Append *data*; the number of bytes that were taken, which may be fewer. Some may be taken when it raises."""
        ...

    def sync(self) -> None:
        """Return when everything written so far survives a power cut. Never to be retried when it failed."""
        ...

    def close(self) -> None:
        """Let go of the file; nothing is synced."""
        ...


class Disk(Protocol):
    """Where the log lies. All calls block.

    Raises:
        FileMissing: a file that is read, moved or removed is not there.
        StoreFull: no space left.
        StoreError: anything else the system refuses.
    """

    def create(self, path: Path) -> File:
        """A new file, open for appending; an existing one is refused. Its name is durable after `sync_folder`."""
        ...

    def sync_files(self, files: Sequence[File]) -> None:
        """Sync several files of this disk, in no particular order; when one fails, none of them counts as synced."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in *folder* survive a power cut."""
        ...

    def make_folder(self, folder: Path) -> None:
        """One new folder in an existing one; fine when it is there already."""
        ...

    def move(self, old: Path, new: Path) -> None:
        """Rename within one file system, replacing what is at *new*."""
        ...

    def remove(self, path: Path) -> None:
        """Unlink a file; fine when it is gone already."""
        ...

    def cut_short(self, path: Path, size: int) -> None:
        """Truncate to *size* bytes and sync the file."""
        ...

    def entries(self, folder: Path) -> list[Entry]:
        """The names in *folder*, sorted; empty when there is no such folder."""
        ...

    def read(self, path: Path, *, offset: int = 0, length: int = -1) -> bytes:
        """Bytes from *offset*, at most *length*; to the end when negative."""
        ...

    def size(self, path: Path) -> int | None:
        """Bytes in the file; None when there is none."""
        ...


@contextlib.contextmanager
def _translated(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FileMissing(path) from error
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(path) from error
        raise StoreError(f"cannot {verb} {path}: {error.strerror}") from error


def _sync_descriptor(descriptor: int) -> None:
    if sys.platform == "darwin":  # fsync there leaves the data in the drive's own cache
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


class _OsFile:
    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def write(self, data: bytes) -> int:
        with _translated(self._path, "write"):
            taken = os.write(self._descriptor, data)
            if taken < len(data):  # only the next call says why, e.g. that the disk is full
                taken += os.write(self._descriptor, memoryview(data)[taken:])
            return taken

    def sync(self) -> None:
        with _translated(self._path, "sync"):
            _sync_descriptor(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with _translated(self._path, "close"):
                os.close(descriptor)


class OsDisk:
    """The real disk."""

    def create(self, path: Path) -> File:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with _translated(path, "create"):
            return _OsFile(path, os.open(path, flags, _FILE_MODE))

    def sync_files(self, files: Sequence[File]) -> None:
        if len(files) < 2:
            for file in files:
                file.sync()
            return
        with ThreadPoolExecutor(min(_AT_ONCE, len(files)), thread_name_prefix="sync") as pool:
            for done in [pool.submit(file.sync) for file in files]:
                done.result()

    def sync_folder(self, folder: Path) -> None:
        with _translated(folder, "sync"):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def make_folder(self, folder: Path) -> None:
        with _translated(folder, "make"):
            folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)

    def move(self, old: Path, new: Path) -> None:
        with _translated(old, "move"):
            os.replace(old, new)  # noqa: PTH105 - the system's own word, no path objects made

    def remove(self, path: Path) -> None:
        with _translated(path, "remove"):
            path.unlink(missing_ok=True)

    def cut_short(self, path: Path, size: int) -> None:
        with _translated(path, "truncate"):
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.ftruncate(descriptor, size)
                _sync_descriptor(descriptor)
            finally:
                os.close(descriptor)

    def entries(self, folder: Path) -> list[Entry]:
        try:
            with _translated(folder, "list"), os.scandir(folder) as found:
                return sorted(Entry(item.name, item.is_dir(follow_symlinks=False)) for item in found)
        except FileMissing:
            return []

    def read(self, path: Path, *, offset: int = 0, length: int = -1) -> bytes:
        with _translated(path, "read"), path.open("rb", buffering=0) as file:
            if offset:
                file.seek(offset)
            return _read_fully(file.fileno(), length)

    def size(self, path: Path) -> int | None:
        try:
            with _translated(path, "look at"):
                return path.stat().st_size
        except FileMissing:
            return None


def _read_fully(descriptor: int, length: int) -> bytes:
    left = length if length >= 0 else 1 << 62
    parts = []
    while left:
        part = os.read(descriptor, min(left, 1 << 24))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


class Folders:
    """Makes the folders below *root*, each durable in the one above before it is used.

    A folder that is found is trusted only after this object has synced its name once: whoever made it may have died,
    or failed, before doing so.
    """

    def __init__(self, disk: Disk, root: Path) -> None:
        self._disk = disk
        self._durable = {root}

    def ensure(self, folder: Path) -> Path:
        """*folder*, existing and durable; it lies below the root, which exists."""
        if folder not in self._durable:
            parent = self.ensure(folder.parent)
            self._disk.make_folder(folder)
            self._disk.sync_folder(parent)
            self._durable.add(folder)
        return folder

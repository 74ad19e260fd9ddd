"""Whole files of the log: written once, under a name that appears only when every byte is durable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from thrum_kernel.errors import StoreError
from thrum_kernel.store.disk import Disk, File

DIGEST_SIZE: Final = 32
_TEMPORARY: Final = ".part"
_MOST_OPEN: Final = 64


def digest(data: bytes) -> str:
    """What names *data*: the first 128 bits of its SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_SIZE]


def write_new(disk: Disk, path: Path, data: bytes, *, temporary: Path) -> None:
    """Put *data* at *path*, whole or not at all; what is there already is kept, since names carry their digest.

    It is written and synced in the folder *temporary* of the same file system, then moved.

    Raises:
        StoreError: nothing is at *path* that was not there before, or it is whole but its name not durable yet.
    """
    write_all(disk, [(path, data)], temporary=temporary)


def write_all(disk: Disk, files: Iterable[tuple[Path, bytes]], *, temporary: Path) -> None:
    """Do with many files what `write_new` does with one: they are synced side by side, and each folder once.

    Raises:
        StoreError: each path holds what was there before, or all of what it should, its name maybe not durable yet.
    """
    folders: set[Path] = set()
    for some in _batches(files):
        _write(disk, [file for file in some if disk.size(file[0]) is None], temporary)
        folders.update(path.parent for path, _ in some)
    for folder in sorted(folders):
        disk.sync_folder(folder)


def replace(disk: Disk, path: Path, data: bytes, *, temporary: Path) -> None:
    """Put *data* at *path* instead of what is there, whole or not at all, durably."""
    _write(disk, [(path, data)], temporary)
    disk.sync_folder(path.parent)


def drop(disk: Disk, paths: Iterable[Path]) -> None:
    """Unlink *paths* durably; fine when some are gone."""
    folders = set()
    for path in paths:
        disk.remove(path)
        folders.add(path.parent)
    for folder in sorted(folders):
        disk.sync_folder(folder)


def remove_temporary(disk: Disk, temporary: Path) -> None:
    """Clear away what an earlier process left half written in *temporary*."""
    for entry in disk.entries(temporary):
        if entry.name.endswith(_TEMPORARY):
            disk.remove(temporary / entry.name)


def _batches(files: Iterable[tuple[Path, bytes]]) -> Iterator[list[tuple[Path, bytes]]]:
    """As many files at a time as are open at once."""
    left = iter(files)
    while some := list(islice(left, _MOST_OPEN)):
        yield some


def _write(disk: Disk, files: Sequence[tuple[Path, bytes]], temporary: Path) -> None:
    parts = [(temporary / f"{path.name}{_TEMPORARY}", path) for path, _ in files]
    opened: list[File] = []
    try:
        for (part, _), (_, data) in zip(parts, files, strict=True):
            disk.remove(part)
            opened.append(file := disk.create(part))
            if file.write(data) != len(data):
                raise StoreError(f"short write to {part}")
        disk.sync_files(opened)
    finally:
        for file in opened:
            file.close()
    for part, path in parts:
        disk.move(part, path)

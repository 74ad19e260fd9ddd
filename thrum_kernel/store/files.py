"""Whole files of the log: written once, under a name that appears only when every byte is durable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from thrum_kernel.errors import StoreError
from thrum_kernel.store.disk import Disk

DIGEST_SIZE: Final = 32
_TEMPORARY: Final = ".part"


def digest(data: bytes) -> str:
    """What names *data*: the first 128 bits of its SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_SIZE]


def write_new(disk: Disk, path: Path, data: bytes, *, temporary: Path, is_named: bool = True) -> None:
    """Put *data* at *path*, whole or not at all; what is there already is kept, since names carry their digest.

    It is written and synced in the folder *temporary* of the same file system, then moved. With *is_named* false the
    caller syncs the folder of *path* itself, once for many files.

    Raises:
        StoreError: nothing is at *path* that was not there before, or it is whole but its name not durable yet.
    """
    if disk.size(path) is None:
        _write(disk, path, data, temporary / f"{path.name}{_TEMPORARY}")
    if is_named:
        disk.sync_folder(path.parent)


def replace(disk: Disk, path: Path, data: bytes, *, temporary: Path) -> None:
    """Put *data* at *path* instead of what is there, whole or not at all, durably."""
    _write(disk, path, data, temporary / f"{path.name}{_TEMPORARY}")
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


def _write(disk: Disk, path: Path, data: bytes, part: Path) -> None:
    disk.remove(part)
    file = disk.create(part)
    try:
        if file.write(data) != len(data):
            raise StoreError(f"short write to {part}")
        file.sync()
    finally:
        file.close()
    disk.move(part, path)

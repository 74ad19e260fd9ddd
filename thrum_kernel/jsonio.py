"""Small JSON files of ours (configuration, identities, pid file): read with a clear error, written atomically.

A write goes to a temporary file in the same folder, is synced and renamed over the old one, so a reader sees the old
bytes or the new, never half. `locked` serialises read-modify-write between processes by a lock on the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thrum_kernel.errors import FileDamaged


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in *path*.

    Raises:
        FileNotFoundError: there is no such file.
        FileDamaged: it cannot be read, is not JSON, or is JSON but not an object; names line and column.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileDamaged(path, f"cannot be read: {error.strerror}") from error
    return parse_object(path, data)


def parse_object(path: Path, data: bytes) -> dict[str, Any]:
    """The JSON object in *data*, which was read from *path*.

    Raises:
        FileDamaged: it is not JSON, or is JSON but not an object; names line and column.
    """
    try:
        value = json.loads(data)
    except UnicodeDecodeError as error:
        raise FileDamaged(path, f"is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        what = "is empty" if not data.strip() else f"is not valid JSON: {error.msg}"
        raise FileDamaged(path, f"{what} (line {error.lineno}, column {error.colno})") from error
    except RecursionError:
        raise FileDamaged(path, "is nested too deeply") from None
    if not isinstance(value, dict):
        raise FileDamaged(path, f"holds a JSON {type(value).__name__}, not an object")
    return value


def dump(value: Any) -> bytes:
    """*value* as we write JSON files: two spaces, one trailing newline, keys in the order given."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace *path* by *data*, durably and in one step; its folder must exist."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def write_object(path: Path, value: dict[str, Any], *, mode: int = 0o600) -> None:
    """Replace *path* by the JSON of *value*, durably and in one step."""
    write_atomic(path, dump(value), mode=mode)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of *folder* (made when missing) against other processes and threads.

    The lock is on the folder itself: nothing is left behind, and no file of ours can be renamed away under it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

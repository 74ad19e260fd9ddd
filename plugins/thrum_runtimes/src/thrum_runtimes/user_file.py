"""A person's own runtimes and default: ``~/.thrum/runtimes.json``, for their eyes only.

``{"default_runtime": "…", "custom_runtimes": {name: {command, display_name, …}}}``. A custom runtime with the name of
another changes the fields it gives; one with a name of its own needs a command. Source: spec/features.md §11.1.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from thrum_kernel.errors import FileDamaged, UsageError

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Custom(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A runtime as a person describes it; what is left out is the known runtime's, or a plain default."""

    name: str | None = None
    display_name: str | None = None
    command: str | None = None
    mcp_supported: bool | None = None
    hooks_supported: bool | None = None
    has_session_start_hook: bool | None = None
    instructions_file: str | None = None
    mcp_config_path: str | None = None
    setup_notes: str | None = None
    processes: tuple[str, ...] | None = None
    markers: tuple[str, ...] | None = None
    environment: tuple[str, ...] | None = None
    skills_dir: str | None = None

    def given(self) -> dict[str, Any]:
        """The fields it gives, the name left out."""
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__ if name != "name")
        return {name: value for name, value in fields if value is not None}


class _File(msgspec.Struct, kw_only=True):
    default_runtime: str = ""
    custom_runtimes: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class UserRuntimes:
    """What the file at *path* says; empty when there is none."""

    path: Path
    default: str = ""
    custom: Mapping[str, Custom] = field(default_factory=dict)


def check_name(name: str) -> str:
    """A runtime's name as given.

    Raises:
        UsageError: it has signs that no such name has.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f'invalid runtime name "{name}"', hint="letters, digits, - and _; see: thrum runtime list"
        )
    return name


class UserFile:
    """The file of one person.

    Args:
        home: their home folder.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / ".thrum" / "runtimes.json"

    def read(self) -> UserRuntimes:
        """What it says.

        Raises:
            FileDamaged: it cannot be read or understood; names what and where.
        """
        return self._understood(self._object())

    def set_default(self, name: str) -> None:
        """Note *name* as the default; everything else in the file stays.

        Raises:
            FileDamaged: the file that is there cannot be understood; it is left as it is.
        """
        with _locked(self.path.parent):
            value = self._object()
            self._understood(value)
            _write(self.path, {**value, "default_runtime": name})

    def _object(self) -> dict[str, Any]:
        try:
            value = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise FileDamaged(self.path, f"cannot be read: {error.strerror}") from error
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise FileDamaged(self.path, f"is not valid JSON: {error.msg} ({where})") from error
        except UnicodeDecodeError as error:
            raise FileDamaged(self.path, f"is not UTF-8 (byte {error.start})") from error
        if not isinstance(value, dict):
            raise FileDamaged(self.path, "does not hold a JSON object")
        return value

    def _understood(self, value: dict[str, Any]) -> UserRuntimes:
        try:
            found = msgspec.convert(value, _File)
        except msgspec.ValidationError as error:
            raise FileDamaged(self.path, str(error)) from error
        custom = {name: self._custom(name, given) for name, given in found.custom_runtimes.items()}
        return UserRuntimes(self.path, found.default_runtime, custom)

    def _custom(self, name: str, given: Any) -> Custom:
        if not _NAME.fullmatch(name) or name == "all":
            raise FileDamaged(self.path, f'custom_runtimes: invalid runtime name "{name}"')
        try:
            custom = msgspec.convert(given, Custom)
        except msgspec.ValidationError as error:
            raise FileDamaged(self.path, f"custom_runtimes.{name}: {error}") from error
        if custom.name not in (None, name):
            raise FileDamaged(self.path, f'custom_runtimes.{name}: its name says "{custom.name}"')
        return custom


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of *folder*, made when missing, against other processes that change a file in it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, value: Mapping[str, Any]) -> None:
    """Replace *path* in one step, readable by its owner alone."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

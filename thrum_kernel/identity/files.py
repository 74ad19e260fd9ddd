"""Identity files of one worktree: ``.thrum/identities/<name>.json``.

Every change re-reads the file under the folder's lock and replaces it atomically, so two writers never lose each
other's fields and a reader never sees half a file. Nothing is read or written through a symbolic link, and no name
can lead out of the folder.

Source: spec/kernel.md §6.2, §10 item 40; DESIGN.md D4.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from thrum_kernel import jsonio
from thrum_kernel.clock import Clock, format_us
from thrum_kernel.errors import FileDamaged, InvalidName
from thrum_kernel.identity import model
from thrum_kernel.identity.model import Identity

QUARANTINE: Final = ".quarantine"
_STEM: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder of identities holds.

    Attributes:
        identities: those that can be read, by name.
        problems: one for each file that cannot, in order of file names.
    """

    identities: tuple[Identity, ...]
    problems: tuple[FileDamaged, ...]


def file_name(name: str) -> str:
    """The file of an agent: ``agent:`` of the old form is dropped, other colons become ``_``.

    Raises:
        InvalidName: it could not be a file of this folder.
    """
    stem = name.removeprefix("agent:").replace(":", "_")
    if not _STEM.fullmatch(stem):
        shown = name if len(name) <= 40 else f"{name[:40]}…"
        raise InvalidName(f"no identity file can be called {shown!r}")
    return f"{stem}.json"


def file_of(identity: Identity) -> str:
    """The file that an identity belongs into; ``<role>_<module>.json`` for one without a name.

    Raises:
        InvalidName: as `file_name`.
    """
    agent = identity.agent
    return file_name(agent.name or f"{agent.role}_{agent.module}".replace("/", "_"))


def read(folder: Path, name: str) -> Identity | None:
    """The identity of *name*; None when it has no file.

    Raises:
        InvalidName: as `file_name`.
        FileDamaged: the file cannot be read or is no identity of that name.
    """
    return _read(folder / file_name(name))


def read_all(folder: Path) -> Found:
    """Every identity in *folder* (which need not exist) and every file that cannot be used."""
    identities: list[Identity] = []
    problems: list[FileDamaged] = []
    for path in _files(folder, problems):
        try:
            identity = _read(path)
        except FileDamaged as problem:
            problems.append(problem)
            continue
        if identity is not None:
            identities.append(identity)
    return Found(tuple(sorted(identities, key=lambda identity: identity.name)), tuple(problems))


def check_writable(folder: Path) -> None:
    """Refuse a folder (made when missing) where no identity could be written; leaves nothing there.

    Raises:
        FileDamaged: the folder is a symbolic link.
        OSError: the disk refuses.
    """
    with jsonio.locked(_real(folder)), tempfile.TemporaryFile(dir=folder, prefix=".", suffix=".tmp"):
        pass


def write(folder: Path, identity: Identity, *, clock: Clock) -> Identity:
    """Write an identity as given but for version, runtime and time; gives what was written.

    Raises:
        InvalidName: as `file_name`.
        FileDamaged: the folder is a symbolic link.
        OSError: the disk refuses.
    """
    stamped = _stamped(identity, clock)
    target = _real(folder) / file_of(stamped)
    with jsonio.locked(folder):
        jsonio.write_object(target, model.encode(stamped))
    return stamped


def update(
    folder: Path, name: str, change: Callable[[Identity | None], Identity | None], *, clock: Clock
) -> Identity | None:
    """Change one identity under the folder's lock.

    Args:
        folder: the identities of a worktree; made when missing and something is to be written.
        name: whose.
        change: gets what is there now (None: no file) and gives what shall be there. None, or the same, writes
            nothing.
        clock: for the time of the change.

    Returns:
        What is there afterwards.

    Raises:
        InvalidName, FileDamaged, OSError: as `read` and `write`; nothing was changed then.
    """
    target = _real(folder) / file_name(name)
    if not folder.is_dir() and change(None) is None:
        return None
    with jsonio.locked(folder):
        before = _read(target)
        after = change(before)
        if after is None or after == before:
            return before
        stamped = _stamped(after, clock)
        jsonio.write_object(folder / file_of(stamped), model.encode(stamped))
    return stamped


def remove(folder: Path, name: str) -> bool:
    """Remove the file of *name*; False when there was none."""
    target = _real(folder) / file_name(name)
    if not folder.is_dir():
        return False
    with jsonio.locked(folder):
        try:
            target.unlink()
        except FileNotFoundError:
            return False
    return True


def quarantine(folder: Path, name: str) -> Path | None:
    """Move the file of *name* to ``.quarantine/``, beside any earlier ones; gives where, None when there was none."""
    source = _real(folder) / file_name(name)
    if not folder.is_dir():
        return None
    with jsonio.locked(folder):
        if not os.path.lexists(source):
            return None
        aside = folder / QUARANTINE
        aside.mkdir(exist_ok=True, mode=0o750)
        target = aside / source.name
        number = 0
        while target.exists():
            number += 1
            target = aside / f"{source.stem}.{number}.json"
        source.rename(target)
    return target


def retire(folder: Path, name: str) -> Path | None:
    """Rename the file of *name* to ``<name>.json.deleted``, beside any earlier ones; gives the new path.

    For an identity that another one takes the place of on purpose; None when it has no file.
    """
    source = _real(folder) / file_name(name)
    if not folder.is_dir():
        return None
    with jsonio.locked(folder):
        if not os.path.lexists(source):
            return None
        target = source.with_name(f"{source.name}.deleted")
        number = 0
        while os.path.lexists(target):
            number += 1
            target = source.with_name(f"{source.name}.deleted.{number}")
        source.rename(target)
    return target


def _stamped(identity: Identity, clock: Clock) -> Identity:
    return msgspec.structs.replace(
        identity,
        version=max(model.VERSION, identity.version),
        runtime=identity.runtime or identity.preferred_runtime,
        updated_at=format_us(clock.now_us()),
    )


def _read(path: Path) -> Identity | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        what = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
        raise FileDamaged(path, what) from error
    with os.fdopen(descriptor, "rb") as file:
        try:
            data = file.read()
        except OSError as error:
            raise FileDamaged(path, f"cannot be read: {error.strerror}") from error
    try:
        identity = model.decode(jsonio.parse_object(path, data))
    except ValueError as error:
        raise FileDamaged(path, str(error)) from error
    _check_name(path, identity)
    return identity


def _check_name(path: Path, identity: Identity) -> None:
    try:
        expected = file_of(identity)
    except InvalidName as error:
        raise FileDamaged(path, f"names an agent that cannot be: {error}") from error
    if expected != path.name and identity.agent.name:
        raise FileDamaged(
            path, f"is the identity of {identity.name}", hint=f"rename it to {expected}, or remove it"
        )


def _files(folder: Path, problems: list[FileDamaged]) -> list[Path]:
    if folder.is_symlink():
        problems.append(FileDamaged(folder, "is a symbolic link"))
        return []
    try:
        entries = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        problems.append(FileDamaged(folder, f"cannot be read: {error.strerror}"))
        return []
    return [path for path in entries if path.suffix == ".json" and not path.name.startswith(".")]


def _real(folder: Path) -> Path:
    if folder.is_symlink():
        raise FileDamaged(folder, "is a symbolic link")
    return folder

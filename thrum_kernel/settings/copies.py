"""What a lost ``.thrum`` is written back from: copies of config.json, redirects and identity files in ``local.db``.

The pure part: `present` reads what is on disk, `compare` says what to copy and what to write back, `restore` writes one
file back. Who keeps the table runs `compare` at start, and stores or drops a copy when a file is changed or removed
on purpose.

Source: DESIGN.md D3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from thrum_kernel import jsonio
from thrum_kernel.api import Migration
from thrum_kernel.errors import FileDamaged

LOCAL_MIGRATIONS: Final = (
    Migration(
        name="settings.0001_file_copies",
        statements=(
            "CREATE TABLE file_copies (path TEXT PRIMARY KEY, root TEXT NOT NULL, content BLOB NOT NULL,"
            " copied_at TEXT NOT NULL) STRICT, WITHOUT ROWID",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class FileCopy:
    """A file of ours.

    Attributes:
        path: where it lies, absolute.
        root: the worktree it lies in; while that is gone the file is not written back.
        content: its bytes.
    """

    path: str
    root: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Comparison:
    """What to do so that disk and copies agree.

    Attributes:
        store: new on disk or changed there: copy these.
        restore: gone from disk: write these back.
    """

    store: tuple[FileCopy, ...]
    restore: tuple[FileCopy, ...]


def present(worktrees: Iterable[Path]) -> tuple[FileCopy, ...]:
    """The files of ours in these worktrees, in order of path; those that are damaged are left out."""
    found: dict[str, FileCopy] = {}
    for root in worktrees:
        thrum = root / ".thrum"
        identities = sorted((thrum / "identities").glob("*.json"))
        for path in (thrum / "config.json", thrum / "redirect", *identities):
            content = _sound(path)
            if content is not None:
                found[str(path)] = FileCopy(str(path), str(root), content)
    return tuple(found[path] for path in sorted(found))


def compare(on_disk: Iterable[FileCopy], kept: Iterable[FileCopy]) -> Comparison:
    """Disk against copies: what is on disk always counts more. Pure; the order makes no difference."""
    disk = {copy.path: copy for copy in on_disk}
    copies = {copy.path: copy for copy in kept}
    return Comparison(
        store=tuple(disk[path] for path in sorted(disk) if copies.get(path) != disk[path]),
        restore=tuple(copies[path] for path in sorted(copies) if path not in disk),
    )


def restore(copy: FileCopy) -> bool:
    """Write a lost file back; False when its worktree is gone, or there is a file (damaged ones are the user's)."""
    path = Path(copy.path)
    if not Path(copy.root).is_dir() or path.exists() or path.is_symlink():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    with jsonio.locked(path.parent):
        if path.exists():
            return False
        jsonio.write_atomic(path, copy.content)
    return True


def _sound(path: Path) -> bytes | None:
    if path.is_symlink():
        return None
    try:
        content = path.read_bytes()
        if path.suffix == ".json":
            jsonio.parse_object(path, content)
    except (OSError, FileDamaged):
        return None
    return content

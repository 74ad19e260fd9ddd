"""Let a worktree share the repository's ``.thrum`` and ``.beads``.

Source: spec/features.md §6.3; seed 000, "Worktree Management"; kernel `paths` for what a redirect is.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from thrum_kernel.errors import Refused
from thrum_worktrees.git import Git

THRUM: Final = ".thrum"
BEADS: Final = ".beads"
REDIRECT: Final = "redirect"


@dataclass(frozen=True, slots=True)
class Wired:
    """What was done.

    Attributes:
        changed: whether anything was.
        notes: what whoever asked should know.
    """

    changed: bool
    notes: tuple[str, ...] = ()


def check(worktree: Path, thrum: Path) -> None:
    """Whether the worktree can share *thrum*. Changes nothing.

    Raises:
        Refused: its own ``.thrum`` is something else.
    """
    here = worktree / THRUM
    if worktree == thrum.parent:
        raise Refused(f"{worktree} holds the shared .thrum itself: there is nothing to wire")
    if here.is_symlink() or (here.exists() and not here.is_dir()):
        raise Refused(f"{here} is no folder of its own", hint=f"take it away: git rm --cached {THRUM}")
    if (here / "config.json").exists():
        raise Refused(
            f"{here} has a configuration of its own",
            hint=f"move {here / 'config.json'} away to share {thrum}; a branch must not hold {THRUM}",
        )


def wire_thrum(git: Git, worktree: Path, record: Path, thrum: Path) -> Wired:
    """Point the worktree's ``.thrum`` to *thrum*, with room for identities and context; git ignores all of it.

    Raises:
        Refused: see `check`.
        OSError: it cannot be written.
    """
    check(worktree, thrum)
    here = worktree / THRUM
    for folder in (here, here / "identities", here / "context"):
        folder.mkdir(mode=0o750, exist_ok=True)
    _ignore(git, worktree, record, f"{THRUM}/", f"{THRUM}/{REDIRECT}")
    before = redirected(here)
    changed = rewrite(here, thrum)
    notes = (f"{here / REDIRECT} led to {before} and leads to {thrum} now",) if changed and before else ()
    return Wired(changed, notes)


def wire_beads(git: Git, worktree: Path, record: Path, repo: Path) -> Wired:
    """Point the worktree's ``.beads`` to the repository's, where it has one.

    Raises:
        OSError: it cannot be written.
    """
    shared = repo / BEADS
    if not shared.is_dir() or worktree == repo:
        return Wired(False)
    target = Path(redirected(shared) or shared)
    target = (repo / target).resolve()
    here = worktree / BEADS
    if here.is_symlink() or (here.exists() and not here.is_dir()):
        return Wired(False, (f"{here} is no folder of its own: beads is not shared",))
    here.mkdir(exist_ok=True)
    path = f"{BEADS}/{REDIRECT}"
    if git.look("ls-files", "--error-unmatch", "--", path, record=record, tree=worktree).ok:
        return Wired(False, (f"{here / REDIRECT} belongs to the branch and stays as it is",))
    _ignore(git, worktree, record, path, path)
    return Wired(rewrite(here, target))


def redirected(folder: Path) -> str:
    """Where the redirect in *folder* leads, as it says; empty when there is none."""
    try:
        return os.fsdecode((folder / REDIRECT).read_bytes()).strip()
    except OSError:
        return ""


def rewrite(folder: Path, target: Path) -> bool:
    """Have the redirect in *folder* lead to *target*; False when it does.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    path = folder / REDIRECT
    text = os.fsencode(target) + b"\n"
    if path.is_file() and not path.is_symlink() and path.read_bytes() == text:
        return False
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)  # noqa: PTH105 - a name, no Path
    except BaseException:
        os.unlink(name)  # noqa: PTH108
        raise
    return True


def _ignore(git: Git, worktree: Path, record: Path, line: str, path: str) -> None:
    """Have git ignore what is ours, whatever the branch says: with a line that no branch holds."""
    if git.look("check-ignore", "-q", "--no-index", "--", path, record=record, tree=worktree).ok:
        return
    exclude = git.common / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    before = exclude.read_bytes() if exclude.exists() else b""
    if line.encode() in before.splitlines():
        return
    gap = b"" if not before or before.endswith(b"\n") else b"\n"
    with exclude.open("ab") as file:
        file.write(gap + line.encode() + b"\n")

"""Identity files of the project's worktrees, each with a copy in ``local.db``.

The copies let a start write back what a ``git clean -fdx`` took. A file that we remove or set aside takes its copy
with it. Source: DESIGN.md D3.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from thrum_kernel.agents.worktrees import Worktree, Worktrees
from thrum_kernel.clock import Clock
from thrum_kernel.errors import FileDamaged
from thrum_kernel.identity import files, model
from thrum_kernel.identity.model import Identity
from thrum_kernel.paths import THRUM_FOLDER
from thrum_kernel.projection.local import LocalDb


@dataclass(frozen=True, slots=True)
class Copy:
    """What was last read of an identity file."""

    worktree: Path
    identity: Identity


Judge = Callable[[Path, Identity], Awaitable[None]]
"""``(worktree, identity)``: may this be written? Raises `ThrumError` to refuse."""


class IdentityFiles:
    """Reads and writes identity files; the methods that touch the disk run in threads.

    Attributes:
        judge: asked before each change of a file, with what is to be written; None while nobody judges.
    """

    def __init__(self, *, worktrees: Worktrees, local: LocalDb, clock: Clock) -> None:
        self.judge: Judge | None = None
        self._worktrees = worktrees
        self._local = local
        self._clock = clock

    def is_worktree(self, path: Path) -> bool:
        """Whether *path* is the root of a worktree of the project, one made a moment ago included."""
        if self._worktrees.at(path) is None:
            self._worktrees.refresh()
        return self._worktrees.at(path) is not None or self._worktrees.is_redirected_here(path)

    def look(self) -> None:
        """Notice what changed in the files since the last look."""
        self._worktrees.refresh()

    def places(self, name: str) -> list[Path]:
        """The worktrees that have an identity file of *name* now."""
        self._worktrees.refresh()
        return self._worktrees.with_identity(name)

    def find(self, name: str, *, near: Path | None = None) -> tuple[Path, Identity] | None:
        """A worktree with an identity of *name*, as of the last look, and that identity; *near* if it is there."""
        places = self._worktrees.with_identity(name)
        for path in sorted(places, key=lambda path: path != near):
            worktree = self._worktrees.at(path)
            identity = worktree.identity(name) if worktree else None
            if identity is not None:
                return path, identity
        return None

    def identities_in(self, place: Path) -> tuple[Identity, ...]:
        """The usable identities of a worktree, by name, as they are now."""
        self._worktrees.refresh_for(place)
        worktree = self._worktrees.at(place)
        return worktree.identities if worktree is not None else ()

    def everything(self) -> list[tuple[Path, Identity]]:
        """Every usable identity with the worktree that holds it, as of the last look."""
        return [
            (worktree.path, identity)
            for worktree in self._worktrees.all()
            for identity in worktree.identities
        ]

    def damaged_at(self, place: Path) -> tuple[FileDamaged, ...]:
        """What is wrong with the files of a worktree, as of the last look; empty where one of them can be used."""
        worktree = self._worktrees.at(place)
        return worktree.problems if worktree is not None and not worktree.identities else ()

    def damaged(self) -> list[FileDamaged]:
        """Every file that cannot be used, as of the last look."""
        return [problem for worktree in self._worktrees.all() for problem in worktree.problems]

    async def check_writable(self, worktree: Path) -> None:
        """Refuse a worktree where no identity file could be written, as `files.check_writable`."""
        await asyncio.to_thread(files.check_writable, folder_of(worktree))

    async def read(self, worktree: Path, name: str) -> Identity | None:
        """An identity; None when it has no file. Raises FileDamaged."""
        return await asyncio.to_thread(files.read, folder_of(worktree), name)

    async def update(
        self, worktree: Path, name: str, change: Callable[[Identity | None], Identity | None]
    ) -> Identity | None:
        """Change an identity under its folder's lock; what is there afterwards.

        Raises:
            FileDamaged: the file there cannot be used; nothing was changed.
            GuardFired: `judge` refuses; nothing was changed.
            OSError: the disk refuses.
        """
        if self.judge is not None:
            before = await self.read(worktree, name)
            after = change(before)
            if after is not None and after != before:
                await self.judge(worktree, after)
        return await self._update(worktree, name, change)

    async def note_session(
        self, worktree: Path, name: str, session_id: str, *, instead_of: Collection[str] | None = None
    ) -> None:
        """Keep which session is open, for answers with no daemon; only in the place of *instead_of*, where given.

        What the log has already is not judged; where it cannot be written, doctor tells of the file.
        """

        def change(identity: Identity | None) -> Identity | None:
            if identity is None or (instead_of is not None and identity.session_id not in instead_of):
                return identity
            return msgspec.structs.replace(identity, session_id=session_id)

        with contextlib.suppress(FileDamaged, OSError):
            await self._update(worktree, name, change)

    async def _update(
        self, worktree: Path, name: str, change: Callable[[Identity | None], Identity | None]
    ) -> Identity | None:
        folder = folder_of(worktree)
        changed = await asyncio.to_thread(files.update, folder, name, change, clock=self._clock)
        if changed is not None:
            await self._local.write(lambda db: _store(db, worktree, [changed]))
        return changed

    async def remove(self, worktree: Path, name: str) -> bool:
        """Remove an identity file for good; False when there was none."""
        await self._forget(worktree, name)
        return await asyncio.to_thread(files.remove, folder_of(worktree), name)

    async def set_aside(self, worktree: Path, name: str) -> Path | None:
        """Move an identity file into quarantine; where it is now."""
        await self._forget(worktree, name)
        return await asyncio.to_thread(files.quarantine, folder_of(worktree), name)

    async def retire(self, worktree: Path, name: str) -> Path | None:
        """Rename an identity file whose agent gave its place up to ``<name>.json.deleted``; where it is now."""
        await self._forget(worktree, name)
        return await asyncio.to_thread(files.retire, folder_of(worktree), name)

    async def forget_copies(self, name: str) -> None:
        """Drop the copies of an agent that is gone."""
        await self._local.write(
            lambda db: db.execute("DELETE FROM agent_identity_files WHERE name = ?", (name,))
        )

    def keep_copies(self, worktree: Worktree) -> None:
        """Copy what was read of a worktree, where it says something new; called when it was read."""
        rows = self._local.read(
            "SELECT name, body FROM agent_identity_files WHERE worktree = ?", (str(worktree.path),)
        )
        known = dict(rows)
        news = [identity for identity in worktree.identities if known.get(identity.name) != _body(identity)]
        if news:
            self._local.write_later(lambda db: _store(db, worktree.path, news))

    def copies(self) -> list[Copy]:
        """All copies, by worktree and name."""
        rows = self._local.read("SELECT worktree, body FROM agent_identity_files ORDER BY worktree, name")
        return [Copy(Path(worktree), model.decode(msgspec.json.decode(body))) for worktree, body in rows]

    async def write_back(self, copy: Copy) -> bool:
        """Write a file back from its copy where it is missing; False when it is there, usable or not."""
        written = False

        def fill(there: Identity | None) -> Identity | None:
            nonlocal written
            written = there is None
            return copy.identity if there is None else there

        try:
            await self._update(copy.worktree, copy.identity.name, fill)  # it was there: nothing to judge
        except FileDamaged:
            return False
        return written

    async def _forget(self, worktree: Path, name: str) -> None:
        await self._local.write(
            lambda db: db.execute(
                "DELETE FROM agent_identity_files WHERE worktree = ? AND name = ?", (str(worktree), name)
            )
        )


def folder_of(worktree: Path) -> Path:
    """The identities of a worktree."""
    return worktree / THRUM_FOLDER / "identities"


def path_of(worktree: Path, name: str) -> Path:
    """The file of one identity."""
    return folder_of(worktree) / files.file_name(name)


def _body(identity: Identity) -> str:
    return msgspec.json.encode(model.encode(identity)).decode()


def _store(db: sqlite3.Connection, worktree: Path, identities: list[Identity]) -> None:
    db.executemany(
        "INSERT OR REPLACE INTO agent_identity_files VALUES (?, ?, ?)",
        [(str(worktree), identity.name, _body(identity)) for identity in identities],
    )

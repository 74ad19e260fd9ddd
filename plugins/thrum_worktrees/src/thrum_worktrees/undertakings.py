"""What was begun and is not done yet: a row each in ``local.db``, so that it is gone on with after a crash."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from thrum_kernel.api import Migration, PluginContext, Tables

Kind = Literal["create", "teardown"]


class Details(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What it takes to go on.

    Attributes:
        name: of the worktree.
        branch: of the worktree; empty when detached.
        agents: that live in it.
        keep_agents: they stay registered.
        delete_branch: the branch goes, too.
        tip: the commit that the branch may be deleted at.
        command: what to type to go on by hand.
    """

    name: str
    branch: str = ""
    agents: tuple[str, ...] = ()
    keep_agents: bool = False
    delete_branch: bool = False
    tip: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Undertaking:
    """One of them.

    Attributes:
        path: the worktree's root.
    """

    path: Path
    kind: Kind
    details: Details


TABLES: Final = Tables(
    local=(
        Migration(
            "worktrees.0001_undertakings",
            (
                "CREATE TABLE worktrees_undertakings"
                " (path TEXT PRIMARY KEY, kind TEXT NOT NULL, details TEXT NOT NULL)",
            ),
        ),
    )
)


class Undertakings:
    """All of this daemon."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx

    def all(self) -> list[Undertaking]:
        """By path."""
        rows = self._ctx.read(
            "SELECT path, kind, details FROM worktrees_undertakings ORDER BY path", local=True
        )
        return [Undertaking(Path(path), kind, _decode(details)) for path, kind, details in rows]

    def of(self, path: Path) -> Undertaking | None:
        """That of one worktree."""
        return next((each for each in self.all() if each.path == path), None)

    async def begin(self, undertaking: Undertaking) -> None:
        """Note one, durably, in the place of an earlier one for that worktree."""
        row = (str(undertaking.path), undertaking.kind, msgspec.json.encode(undertaking.details).decode())

        def store(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO worktrees_undertakings VALUES (?, ?, ?)", row)

        await self._ctx.write(store)

    async def end(self, path: Path) -> None:
        """It is done."""
        await self._ctx.write(
            lambda db: db.execute("DELETE FROM worktrees_undertakings WHERE path = ?", (str(path),))
        )


def _decode(text: str) -> Details:
    return msgspec.json.decode(text, type=Details)

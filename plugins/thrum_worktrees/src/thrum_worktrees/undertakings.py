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
        commit: that it begins at, or that the branch may be deleted at.
        agents: that live in it, or the one that is to.
        keep_agents: of a teardown: they stay registered.
        delete_branch: of a teardown: the branch goes, too.
        is_new_branch: of a creation: the branch was made for it.
        role, module, intent: of a creation: of the agent that is to live there.
        force: of a creation: take the agent's name over; of a teardown: also when something is lost.
        runtime: of a creation: that is to live there.
        tries: how often daemons went on with it.
        made_by: of a creation: the agent that makes it; empty: a person does.
    """

    name: str
    branch: str = ""
    commit: str = ""
    agents: tuple[str, ...] = ()
    keep_agents: bool = False
    delete_branch: bool = False
    is_new_branch: bool = False
    role: str = ""
    module: str = ""
    intent: str = ""
    force: bool = False
    runtime: str = ""
    tries: int = 0
    made_by: str = ""


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
        Migration(
            "worktrees.0002_makers",
            ("CREATE TABLE worktrees_makers (path TEXT PRIMARY KEY, made_by TEXT NOT NULL)",),
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

"""Whose a worktree is: who lives in it and which agent made it. Who may do what is the kernel's rule."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from thrum_kernel.api import Authority, Belonging, Caller, PluginContext
from thrum_kernel.errors import ThrumError

SENDER: Final = "worktrees:teardown"
"""Also of what is taken over."""


class Makers:
    """Which agents made worktrees; a row each in ``local.db``, as long as there is the worktree."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx

    def of(self, path: Path) -> str:
        """Who made the worktree at *path*; empty: a person did, or nobody knows."""
        rows = self._ctx.read("SELECT made_by FROM worktrees_makers WHERE path = ?", (str(path),), local=True)
        return str(rows[0][0]) if rows else ""

    async def note(self, path: Path, made_by: str) -> None:
        """A new worktree was made; whoever made one there before has no part in it."""
        if not made_by:
            return await self.forget(path)
        row = (str(path), made_by)
        await self._ctx.write(
            lambda db: db.execute("INSERT OR REPLACE INTO worktrees_makers VALUES (?, ?)", row)
        )
        return None

    async def forget(self, path: Path) -> None:
        """It is there no more."""
        if self.of(path):
            await self._ctx.write(
                lambda db: db.execute("DELETE FROM worktrees_makers WHERE path = ?", (str(path),))
            )


def maker(caller: Caller) -> str:
    """The agent that is remembered as the maker of what *caller* makes."""
    return caller.agent_id if caller.kind == "agent" and not caller.is_person else ""


async def tell(
    ctx: PluginContext,
    authority: Authority,
    caller: Caller,
    *,
    thing: Belonging,
    done: str = "away",
    gone: Collection[str] = (),
) -> list[str]:
    """Tell those who are left of whose it was, if it was not the caller's; what the caller should know of that.

    Args:
        done: what was done: it was taken ``away``, or ``over``.
        gone: agents that were deleted with it.
    """
    if authority.reason != "forced":
        return []
    whose = " and ".join(f"@{name}" for name in thing.owners) or "somebody else"
    said = f"{thing.what} was not yours but of {whose}: taken {done} all the same"
    left = [f"@{name}" for name in authority.tell if name not in gone]
    if not left:
        return [f"{said}; nobody is there to be told"]
    names = " and ".join(left)
    try:
        text = f"@{caller.agent_id} took {thing.what} of {whose} {done}, with --force"
        await ctx.send(text, to=left, sender=SENDER)
    except ThrumError as error:
        return [f"{said}; {names} could not be told: {error}"]
    return [f"{said}; {names} {'was' if len(left) == 1 else 'were'} told"]

"""Whose a session is, and telling them what was done to it all the same. Who may do what is the kernel's rule."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from thrum_kernel.api import Authority, Belonging, Caller, PluginContext
from thrum_kernel.errors import ThrumError, UsageError
from thrum_tmux.session.records import Record

SENDER: Final = "tmux:sessions"


def belonging(
    name: str, owners: Iterable[str], *, record: Record | None, worktree: Path | None = None
) -> Belonging:
    """A session, for the kernel to judge who may end it or begin it anew.

    Args:
        owners: who lives in it.
        record: how it was made, as far as this machine remembers.
        worktree: where it stands, when it was not made here.
    """
    return Belonging(
        what=f'session "{name}"',
        owners=tuple(sorted(set(owners))),
        made_by=record.made_by if record else "",
        worktree=record.cwd if record else worktree,
    )


def maker(caller: Caller, made_by: str) -> str:
    """The agent that is remembered as the one who made a session: the caller, or the one for whom a plugin makes it.

    Raises:
        UsageError: somebody who is no plugin names another.
    """
    if caller.kind == "kernel":
        return made_by
    if made_by:
        raise UsageError("made_by is for plugins: whoever makes a session is its maker")
    return caller.agent_id if caller.kind == "agent" and not caller.is_person else ""


async def tell(
    ctx: PluginContext, authority: Authority, caller: Caller, *, thing: Belonging, done: str
) -> list[str]:
    """Tell those whose session it was, if it was not the caller's; what the caller should know of that.

    Args:
        done: what was done, e.g. ``ended``.
    """
    if authority.reason != "forced":
        return []
    names = " and ".join(f"@{name}" for name in authority.tell)
    whose = " and ".join(f"@{name}" for name in thing.owners) or "somebody else"
    said = f"{thing.what} was not yours but of {whose}: {done} all the same"
    if not names:
        return [f"{said}; nobody is there to be told"]
    try:
        text = f"@{caller.agent_id} had {thing.what} {done}, with --force"
        await ctx.send(text, to=[f"@{name}" for name in authority.tell], sender=SENDER)
    except ThrumError as error:
        return [f"{said}; {names} could not be told: {error}"]
    return [f"{said}; {names} was told" if len(authority.tell) == 1 else f"{said}; {names} were told"]

"""Telling those whose something was what another agent did to it with force. Source: `authority`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeAlias

from thrum_kernel.api import Authority, Belonging, Caller
from thrum_kernel.errors import ThrumError

Send: TypeAlias = Callable[[str, Sequence[str]], Awaitable[object]]
"""Sends a text of the daemon's to agents of these names."""


async def nobody_hears(text: str, names: Sequence[str]) -> None:
    """Where there is nobody who could send."""


async def tell(
    send: Send,
    authority: Authority,
    caller: Caller,
    *,
    thing: Belonging,
    done: str,
    gone: Collection[str] = (),
) -> list[str]:
    """Tell them, if it was not the caller's; what the caller should know of that.

    Args:
        done: what was done, e.g. ``deleted``.
        gone: names of those who cannot read it any more.
    """
    if authority.reason != "forced":
        return []
    said = f"{thing.what} was not yours: {done} all the same"
    left = [name for name in authority.tell if name not in gone]
    if not left:
        return [f"{said}; nobody is there to be told"]
    names = " and ".join(f"@{name}" for name in left)
    try:
        await send(f"@{caller.agent_id} had {thing.what} {done}, with --force", left)
    except ThrumError as error:
        return [f"{said}; {names} could not be told: {error}"]
    return [f"{said}; {names} {'was' if len(left) == 1 else 'were'} told"]

"""Telling those whose something was what another agent did to it with force. Source: `authority`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import TypeAlias

from thrum_kernel.agents.authority import judge
from thrum_kernel.agents.supervision import Supervision
from thrum_kernel.api import Authority, Belonging, Caller
from thrum_kernel.errors import NotYours, ThrumError

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
        await send(f"{_called(caller)} had {thing.what} {done}, with --force", left)
    except ThrumError as error:
        return [f"{said}; {names} could not be told: {error}"]
    return [f"{said}; {names} {'was' if len(left) == 1 else 'were'} told"]


async def tell_of_taking(
    send: Send, supervision: Supervision, caller: Caller, name: str, place: Path
) -> list[str]:
    """Tell those who look after all agents that one was registered elsewhere than in *place*, where it lived.

    Whoever asks for that in a new worktree is nobody yet, so it is not refused as other things are, but told all the
    same. The agent's own name reads nothing of it: it is the newcomer's from now on.
    """
    thing = Belonging(what=f"agent {name}", owners=(name,), worktree=place)
    done = f"taken over from {place}"
    try:
        authority = _taking(supervision, caller, thing)
    except ThrumError as error:
        return [f"{thing.what} was {done}; who looks after it could not be told: {error}"]
    return await tell(send, authority, caller, thing=thing, done=done, gone=[name])


def _taking(supervision: Supervision, caller: Caller, thing: Belonging) -> Authority:
    try:
        return judge(caller, thing, supervisors=supervision.names, force=True)
    except NotYours:
        return Authority(reason="forced", tell=tuple(supervision.names()))


def _called(caller: Caller) -> str:
    return f"@{caller.agent_id}" if caller.agent_id else f"somebody in {caller.worktree}"

"""The agents that live in worktrees: who they are, and that only one lives in each that is made for one.

Source: spec/features.md §6.4, §6.7; spec/decisions.md "Identity".
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import Refused, ThrumError, UsageError
from thrum_worktrees.wiring import THRUM

QUARANTINE: Final = ".quarantine"
_RUNTIME: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Newcomer:
    """The agent that a worktree is made for.

    Attributes:
        name, role, module: who it is.
        intent: what it is about to do; may be empty.
        runtime: name of the runtime it prefers; may be empty.
        force: take the name over from elsewhere, or change role and module.
    """

    name: str
    role: str
    module: str
    intent: str = ""
    runtime: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True)
class Resident:
    """An agent of this daemon.

    Attributes:
        worktree: where it lives; None when nobody knows.
        status: what it says it is, else ``active`` or ``offline``.
        pid: the runtime that it runs in; 0 when it does not run.
        session: the tmux session that it was made in, ``session:window.pane``; empty when in none.
    """

    name: str
    worktree: Path | None
    status: str
    pid: int = 0
    session: str = ""


def check_runtime(name: str) -> str:
    """*name*, when a runtime may be called so, or when none is named.

    Raises:
        UsageError: it may not.
    """
    if name and not _RUNTIME.fullmatch(name):
        raise UsageError(f'invalid runtime name "{name}"')
    return name


def newcomer(name: str, role: str, module: str, *, intent: str, runtime: str, force: bool) -> Newcomer | None:
    """Who the worktree is for; None when for nobody yet.

    Raises:
        UsageError: only a part of an agent is named.
    """
    name = name.removeprefix("@")
    if not name and not role and not module:
        if intent:
            raise UsageError("--intent is an agent's", hint="name it with --name, --role and --module")
        return None
    missing = [
        flag for flag, value in (("--name", name), ("--role", role), ("--module", module)) if not value
    ]
    if missing:
        raise UsageError(
            f"an agent needs --name, --role and --module: {' and '.join(missing)} missing",
            hint="leave all three out for a worktree without an agent",
        )
    return Newcomer(name, role, module, intent, runtime, force)


async def residents(ctx: PluginContext) -> list[Resident]:
    """Every agent of this daemon, those that do not run included."""
    team = await ctx.call("team.list", include_offline=True, with_work=False)
    return [
        _resident(member)
        for member in team["members"]
        if member.get("is_local") and not member.get("reserved")
    ]


def at(everyone: Sequence[Resident], worktree: Path) -> list[Resident]:
    """Those that live in one worktree, who runs first."""
    return sorted(
        (each for each in everyone if each.worktree == worktree),
        key=lambda each: (each.status == "offline", each.name),
    )


async def check_room(ctx: PluginContext, worktree: Path, new: Newcomer) -> None:
    """Whether *new* can live in *worktree*. Changes nothing.

    Raises:
        InvalidName: it cannot be called so, or have such a role or module.
        Refused: somebody else lives there, or its name is taken elsewhere.
    """
    who = {"name": new.name, "role": new.role, "module": new.module, "force": new.force}
    await ctx.call("agent.checkRegistration", worktree=str(worktree), **who)
    for other in at(await residents(ctx), worktree):
        if other.name == new.name and other.pid and not worktree.exists():
            raise Refused(
                f"@{other.name} still runs (PID {other.pid}) where {worktree} was",
                hint="end its runtime first",
            )
        if other.name != new.name and (other.pid or not new.force):
            does = f"runs in it (PID {other.pid})" if other.pid else "lives in it"
            leave = "end its runtime first" if other.pid else "let it leave with --force"
            raise Refused(
                f"{worktree} is the worktree of @{other.name}, which {does}",
                hint=f"make another one for @{new.name}, or {leave}",
            )


def set_strangers_aside(worktree: Path, *, keep: Collection[str]) -> list[str]:
    """Move identity files of agents that were never registered there into quarantine; their names."""
    folder = worktree / THRUM / "identities"
    moved = []
    for file in sorted(folder.glob("*.json")):
        if file.name.startswith(".") or file.stem in keep:
            continue
        aside = folder / QUARANTINE
        aside.mkdir(mode=0o750, exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        file.rename(aside / f"{file.name}.{stamp}")
        moved.append(file.stem)
    return moved


async def move_out(ctx: PluginContext, names: Sequence[str], *, keep: bool) -> list[str]:
    """End the agents of a worktree that is gone, or with *keep* only let them leave it; what could not be done."""
    failed = []
    for name in names:
        try:
            if keep:
                await ctx.call("agent.leave", name=name)
            else:
                await ctx.call("agent.delete", name=name, force=True)
        except ThrumError as error:
            if await _is_known(ctx, name):
                failed.append(f"@{name}: {error}")
    return failed


async def _is_known(ctx: PluginContext, name: str) -> bool:
    return any(each.name == name for each in await residents(ctx))


def identity_names(worktree: Path) -> list[str]:
    """Names of the identity files in a worktree."""
    return sorted(
        file.stem for file in (worktree / THRUM / "identities").glob("*.json") if file.name[0] != "."
    )


def _resident(member: Mapping[str, Any]) -> Resident:
    place = member.get("worktree_path")
    is_active = member["status"] == "active"
    return Resident(
        name=member["agent_id"],
        worktree=Path(place) if place else None,
        status=str(member.get("agent_status") or "active") if is_active else "offline",
        pid=int(member.get("agent_pid") or 0),
        session=str(member.get("tmux_session") or ""),
    )

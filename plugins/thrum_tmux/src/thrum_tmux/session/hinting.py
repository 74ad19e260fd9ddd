"""Hints around ``tmux create``. The codes are the kernel's (`briefing.hints`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thrum_kernel.api import Hint, HintOption, Moment, PluginContext
from thrum_kernel.errors import UsageError
from thrum_tmux import names
from thrum_tmux.identities import Identity, identities
from thrum_tmux.session.checkouts import checkout
from thrum_tmux.session.sessions import Sessions

COMMANDS = ("tmux create", "tmux quickstart")


async def hints(ctx: PluginContext, moment: Moment) -> Sequence[Hint]:
    """What there is to say before or after a session is made."""
    if moment.command not in COMMANDS:
        return ()
    if moment.phase == "after":
        return _after(moment)
    return [*await _session(ctx, moment), *await _worktree(ctx, moment)]


async def _session(ctx: PluginContext, moment: Moment) -> list[Hint]:
    name = str(moment.params.get("name") or "")
    try:
        found = await ctx.shared(Sessions).find(names.session_name(name)) if name else None
    except UsageError:
        return []  # the command itself says what is wrong with the name
    if found is None:
        return []
    return [
        Hint(
            code="tmux.create.session-exists",
            severity="warn",
            message=f'session "{found.row.name}" already exists; use --force to kill and recreate',
            options=(
                HintOption(label="look at it", cmd=f"thrum tmux connect {found.row.name}"),
                HintOption(label="start its runtime", cmd=f"thrum tmux launch {found.row.name}"),
            ),
            allow_force=True,
        )
    ]


async def _worktree(ctx: PluginContext, moment: Moment) -> list[Hint]:
    params = moment.params
    if not all(params.get(key) for key in ("agent", "role", "module")):
        return []  # a bare session, or the command itself says what is missing
    cwd = _folder(moment)
    place = await ctx.in_thread(checkout, cwd)
    if place is None or place.root != cwd or not (place.is_linked or params.get("main")):
        return [
            Hint(
                code="tmux.create.not-a-worktree",
                severity="warn",
                message=f"path at {cwd} is not a git worktree",
                options=(
                    HintOption(label="make one", cmd="thrum worktree create NAME"),
                    HintOption(label="the main checkout", cmd="thrum tmux create … --main"),
                ),
            )
        ]
    agent = str(params.get("agent") or "").removeprefix("@")
    others = [each for each in await identities(ctx, worktree=cwd) if each.name != agent]
    return [_inhabited(each) for each in others]


def _inhabited(identity: Identity) -> Hint:
    if identity.is_running:
        return Hint(
            code="tmux.create.identity-exists-alive",
            severity="warn",
            message=f"{identity.name} is running in that worktree (PID {identity.agent_pid})",
            options=(HintOption(label="who is where", cmd="thrum team"),),
        )
    return Hint(
        code="tmux.create.identity-exists-stale",
        severity="warn",
        message=f"the identity of {identity.name} was left in that worktree",
        options=(HintOption(label="all the same", cmd="thrum tmux create … --force"),),
        allow_force=True,
    )


def _after(moment: Moment) -> list[Hint]:
    result: dict[str, Any] = moment.result if isinstance(moment.result, dict) else {}
    found = []
    session = result.get("session", "")
    if session and result.get("identity"):
        found.append(
            Hint(
                code="tmux.create.next-launch",
                severity="info",
                message="no runtime runs in it yet",
                options=(HintOption(label="start it", cmd=f"thrum tmux launch {session}"),),
            )
        )
    if result.get("replaced"):
        found.append(
            Hint(
                code="tmux.create.identity-replaced",
                severity="info",
                message=f"set aside: {', '.join(map(str, result['replaced']))}",
            )
        )
    return found


def _folder(moment: Moment) -> Path:
    base = moment.caller.cwd or Path("/")
    return (base / str(moment.params.get("cwd") or ".")).resolve()

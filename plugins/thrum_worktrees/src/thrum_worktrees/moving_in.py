"""Let an agent move into its worktree: in a tmux session where somebody looks after such, else by registering it.

Source: spec/features.md §6.4; seed 000, "Worktree Management".
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import MethodNotFound
from thrum_worktrees import residents
from thrum_worktrees.blocking import off_loop
from thrum_worktrees.residents import Newcomer

NO_TMUX: Final = "tmux is not installed: the agent has no session"


@dataclass(frozen=True, slots=True)
class Moved:
    """An agent that lives in its worktree.

    Attributes:
        session: the tmux session that it has; empty: none.
        is_running: its runtime runs there already.
        notes: what whoever asked should know.
    """

    session: str = ""
    is_running: bool = False
    notes: tuple[str, ...] = ()


async def move_in(
    ctx: PluginContext, worktree: Path, session: str, new: Newcomer, *, env: Mapping[str, str], made_by: str
) -> Moved:
    """Register *new* in *worktree*, from inside a tmux session of that name where there can be one; again, too.

    Args:
        made_by: the agent that has it made; empty: a person.

    Raises:
        ThrumError: it cannot be registered.
    """
    everyone = await residents.residents(ctx)
    living = residents.at(everyone, worktree)
    keep = {new.name, *(each.name for each in living)}
    is_running = any(each.pid for each in living if each.name == new.name)
    await off_loop(ctx, residents.set_strangers_aside, worktree, keep=keep)
    sessions = await _sessions(ctx)
    has_tmux = shutil.which("tmux", path=env.get("PATH")) is not None
    if sessions is None or not has_tmux:
        await ctx.call("agent.register", worktree=str(worktree), agent_pid=0, name=new.name, **_given(new))
        return Moved("", is_running, () if sessions is None else (NO_TMUX,))
    own = next((each for each in sessions if each.get("agent") == new.name), None)
    # Without its file the session is of a try that was cut short, or of a folder that went: its shell stands nowhere.
    has_file = new.name in await off_loop(ctx, residents.identity_names, worktree)
    if own is not None and has_file and any(each.name == new.name for each in living):
        return Moved(own["name"], is_running)
    given = _given(new) | {"force": new.force or own is not None}
    place = {"name": session, "cwd": str(worktree), "made_by": made_by}
    made = await ctx.call("tmux.create", agent_name=new.name, **place, **given)
    return Moved(str(made["session"]))


async def _sessions(ctx: PluginContext) -> list[dict[str, Any]] | None:
    """The tmux sessions of this project that are there; None where nobody looks after such."""
    try:
        status = await ctx.call("tmux.status")
    except MethodNotFound:
        return None
    return [each for each in status["sessions"] if each["state"] != "dead"]


def _given(new: Newcomer) -> dict[str, Any]:
    given = {"role": new.role, "module": new.module, "intent": new.intent, "runtime": new.runtime}
    return {key: value for key, value in given.items() if value} | {"force": new.force}

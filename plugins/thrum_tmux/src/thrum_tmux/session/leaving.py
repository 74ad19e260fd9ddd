"""The sessions of a worktree that is about to go."""

from __future__ import annotations

from pathlib import Path

from thrum_kernel.api import PluginContext
from thrum_tmux.session.sessions import Sessions


async def end_sessions(ctx: PluginContext, worktree: Path) -> list[str]:
    """End every session of this project that was made in *worktree*, an agent's or a bare one; their names.

    Raises:
        TmuxError, ServerSilent: tmux cannot.
    """
    sessions = ctx.shared(Sessions)
    await sessions.look()
    ended = []
    for found in sessions.panes.managed():
        record = sessions.record_of(found)
        if record is not None and record.cwd.is_relative_to(worktree):
            await ctx.call("tmux.kill", name=found.row.name)
            ended.append(found.row.name)
    return ended

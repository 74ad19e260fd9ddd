"""What runs as long as the daemon does: restarts that were left in the middle are gone through with, and agents whose
context is full are restarted."""

from __future__ import annotations

from collections.abc import Callable

from thrum_kernel.api import PluginContext
from thrum_tmux.restart.aftercare import Aftercare
from thrum_tmux.restart.context_watch import ContextWatch
from thrum_tmux.restart.restarting import Restarting
from thrum_tmux.restart.resuming import resume
from thrum_tmux.session.sessions import Sessions


async def keep(ctx: PluginContext, started: Callable[[], None]) -> None:
    """Until cancelled; a restart under way then is left to the next daemon."""
    try:
        await ctx.shared(Sessions).look()
        started()
        await resume(ctx)
        await ctx.shared(ContextWatch).run()
    finally:
        await ctx.shared(Restarting).close()
        await ctx.shared(Aftercare).close()

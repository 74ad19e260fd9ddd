"""What runs as long as the daemon does: every session of ours is heard, and what drifts is set right."""

from __future__ import annotations

from collections.abc import Callable

from thrum_kernel.api import PluginContext
from thrum_tmux.panes import Panes
from thrum_tmux.session.greeting import Greetings
from thrum_tmux.session.records import Records
from thrum_tmux.session.repairing import Repairing


async def hear(ctx: PluginContext, started: Callable[[], None]) -> None:
    """Find the sessions that are ours and hear them until cancelled; they stay as they are then."""
    panes = ctx.shared(Panes)
    try:
        started()
        await panes.look(record.socket for record in ctx.shared(Records).all())
        await panes.name_orphans()
        await ctx.shared(Greetings).resume()
        await ctx.shared(Repairing).run()
    finally:
        await ctx.shared(Greetings).close()
        await panes.close()

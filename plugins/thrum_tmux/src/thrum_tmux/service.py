"""What runs as long as the daemon does: every session of ours is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from thrum_kernel.api import PluginContext
from thrum_tmux.panes import Panes


async def hear(ctx: PluginContext, started: Callable[[], None]) -> None:
    """Find the sessions that are ours and hear them until cancelled; they stay as they are then."""
    panes = ctx.shared(Panes)
    try:
        started()
        await panes.refresh()
        await asyncio.Event().wait()
    finally:
        await panes.close()

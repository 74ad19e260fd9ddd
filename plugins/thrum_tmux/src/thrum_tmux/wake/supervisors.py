"""Who is told when something goes wrong that only a person or a coordinator can mend."""

from __future__ import annotations

from typing import Final

from thrum_kernel.api import PluginContext

SENDER: Final = "tmux:wake"


async def tell(ctx: PluginContext, text: str, *, about: str) -> bool:
    """Send *text* to the supervisors (``agent.supervisors``), except to whom it is *about*; whether there was one."""
    found = await ctx.call("agent.supervisors")
    names = [name for name in found["agents"] if name != about]
    if not names:
        ctx.log.warning("no supervisor here (%s) to tell: %s", ", ".join(found["wanted"]), text)
        return False
    await ctx.send(text, to=[f"@{name}" for name in names], sender=SENDER)
    return True

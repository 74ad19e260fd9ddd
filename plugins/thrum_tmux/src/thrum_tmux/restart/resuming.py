"""Restarts that a daemon left in the middle: the next one goes on, or tells that nothing was ended."""

from __future__ import annotations

import asyncio

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import ThrumError
from thrum_tmux import runtimes
from thrum_tmux.errors import ServerGone
from thrum_tmux.identities import identities
from thrum_tmux.panes import Found, Panes
from thrum_tmux.restart import marks
from thrum_tmux.restart.marks import Mark
from thrum_tmux.restart.renewing import Renewing
from thrum_tmux.restart.restarting import Restarting
from thrum_tmux.restart.saving import SENDER
from thrum_tmux.wake import program


async def resume(ctx: PluginContext) -> None:
    """Go through with every restart whose runtime was ended or about to be; of the others tell that it was given up.

    Sessions must have been looked at.
    """
    panes = ctx.shared(Panes)
    for server in panes.servers:
        try:
            (answer,) = await server.ask(marks.question())
        except ServerGone:
            continue
        found = {each.row.id: each for each in panes.managed() if each.server is server}
        left = {session: mark for session, mark in marks.marks(answer).items() if session in found}
        await asyncio.gather(*(_go_on(ctx, found[session], mark) for session, mark in left.items()))


async def _go_on(ctx: PluginContext, found: Found, mark: Mark) -> None:
    session = found.row.name
    if ctx.shared(Restarting).is_under_way(mark.agent):  # whoever waited for it has asked again
        return
    try:
        if mark.phase == marks.SAVING:
            await ctx.shared(Renewing).note(found, None)
            await _tell(
                ctx,
                mark,
                f"The restart of session {session} was given up: the daemon ended before anything was",
            )
        elif mark.phase == marks.LAUNCHING and await _runs(ctx, found):
            await ctx.shared(Renewing).note(found, None)
        else:
            identity = (await identities(ctx, name=mark.agent))[0]
            await asyncio.shield(ctx.shared(Restarting).resume(found, identity, mark))
            ctx.log.info("the restart of session %s was gone through with", session)
    except (ThrumError, IndexError) as problem:
        await ctx.shared(Renewing).note(found, None)
        await _tell(ctx, mark, f"The restart of session {session} failed: {problem or 'nobody lives there'}")


async def _runs(ctx: PluginContext, found: Found) -> bool:
    """Whether the new runtime was started before the daemon ended."""
    pane = await ctx.shared(Panes).of_session(found.row.name)
    if pane is None:
        return False
    look = await pane.look()
    running = await program.running(ctx, look)
    return bool(running.runtime) and running.runtime != runtimes.SHELL


async def _tell(ctx: PluginContext, mark: Mark, text: str) -> None:
    ctx.log.warning("%s", text)
    if mark.asked_by:
        try:
            await ctx.send(f"{text}. Ask again: thrum tmux restart", to=f"@{mark.asked_by}", sender=SENDER)
        except ThrumError as error:
            ctx.log.warning("@%s is not told: %s", mark.asked_by, error)

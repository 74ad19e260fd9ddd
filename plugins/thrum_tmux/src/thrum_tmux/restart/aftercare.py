"""Whether a restarted runtime stays: one that ends at once leaves its snapshot for the next, and is told of."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import ThrumError
from thrum_tmux import runtimes
from thrum_tmux.errors import PaneMissing
from thrum_tmux.identities import identities, set_terminal
from thrum_tmux.pane import Pane
from thrum_tmux.restart.marks import Mark
from thrum_tmux.restart.saving import SENDER, Saving
from thrum_tmux.restart.subject import Subject, subject
from thrum_tmux.wake import program

BEGINS_S: Final = 3.0
"""So long a shell may take to start the program that was typed."""
STAYS_S: Final = 20.0
"""A runtime that ended within this time has done nothing yet."""
STILL_S: Final = 1.0


class Aftercare:
    """Watches begun restarts; one for the plugin: ``ctx.shared(Aftercare)``."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self._watching: set[asyncio.Task[None]] = set()

    def watch(self, pane: Pane, session: str, mark: Mark, who: Subject) -> None:
        """See whether what was launched in *pane* stays."""
        if mark.runtime == runtimes.SHELL:
            return
        task = asyncio.create_task(self._watch(pane, session, mark, who))
        self._watching.add(task)
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """Leave everything as it is."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._watching.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._ctx.log.error("a restart is not watched any more: %s", error, exc_info=error)

    async def _watch(self, pane: Pane, session: str, mark: Mark, who: Subject) -> None:
        begun = time.monotonic()
        reason = ""
        try:
            while not reason and time.monotonic() - begun < STAYS_S:
                await pane.until_output(STILL_S)
                await pane.until_quiet(STILL_S, STAYS_S)
                is_late = time.monotonic() - begun > BEGINS_S
                if is_late and await self._is_back_at_the_shell(pane):
                    reason = f"{mark.runtime} is not running there"
        except PaneMissing:
            reason = "its pane was closed"
        except ThrumError as error:
            self._ctx.log.warning("session %s is not watched after its restart: %s", session, error)
        if reason:
            await self._failed(session, mark, who, reason)

    async def _is_back_at_the_shell(self, pane: Pane) -> bool:
        look = await pane.look()
        running = await program.running(self._ctx, look)
        return look.dead or running.runtime == runtimes.SHELL

    async def _failed(self, session: str, mark: Mark, who: Subject, reason: str) -> None:
        """Keep the snapshot for the next session, and tell whoever wanted the restart."""
        now = await self._ctx.in_thread(subject, who.agent, who.worktree)
        if now.session != who.session:
            await self._ctx.shared(Saving).forget_shown(who, now.session)
        await self._take_back(mark, who)
        text = f"The restart of session {session} failed: {reason}. The snapshot of @{mark.agent} is kept"
        self._ctx.log.warning("%s", text)
        if mark.asked_by:
            with contextlib.suppress(ThrumError):
                await self._ctx.send(
                    f"{text}; start it with: thrum tmux launch {session}",
                    to=f"@{mark.asked_by}",
                    sender=SENDER,
                )

    async def _take_back(self, mark: Mark, who: Subject) -> None:
        """One that did not stay is no reason to start it again the next time."""
        with contextlib.suppress(ThrumError):
            for noted in await identities(self._ctx, name=mark.agent, worktree=who.worktree):
                if noted.runtime == mark.runtime != mark.before:
                    await set_terminal(self._ctx, noted.name, worktree=noted.worktree, runtime=mark.before)

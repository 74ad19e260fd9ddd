"""The second half of a restart: the old runtime ends, the pane gets a fresh shell, the new runtime is launched.

It can be done again from its beginning as often as need be: only what is recorded as the old runtime is ended, and a
new one that runs already is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import replace
from typing import Final

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import Refused, ThrumError
from thrum_tmux import runtimes
from thrum_tmux.errors import PaneMissing
from thrum_tmux.identities import Identity, identities, set_terminal
from thrum_tmux.live_pane import LivePane
from thrum_tmux.panes import Found
from thrum_tmux.restart import marks
from thrum_tmux.restart.aftercare import Aftercare
from thrum_tmux.restart.marks import Mark
from thrum_tmux.restart.store import Snapshots
from thrum_tmux.restart.subject import Subject
from thrum_tmux.session.launching import Launching
from thrum_tmux.session.sessions import Sessions
from thrum_tmux.wake import program

ENDING: Final = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 3.0))
"""What a runtime gets that outlives its terminal, each after so many seconds."""
LOOK_S: Final = 0.05
SHELL_S: Final = 15.0
"""How long a fresh shell may take to be there."""
SETTLED_S: Final = 0.3
REMINDER: Final = (
    "You were restarted. Read the prime output to its end, above all the previous session context, and go on with the"
    " resume plan if you have not"
)


class Renewing:
    """One for the plugin: ``ctx.shared(Renewing)``."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self._sessions = ctx.shared(Sessions)

    async def renew(self, found: Found, identity: Identity, mark: Mark, who: Subject) -> None:
        """Go through with it.

        Raises:
            Refused: the runtime cannot be started; the snapshot is kept, and it says so.
            PaneMissing, TmuxError, ServerSilent: as `Refused`, for tmux's reasons.
        """
        try:
            # Nobody types into the pane meanwhile: a wake meant for the runtime would go to its shell.
            async with self._sessions.panes.typing(found.row.agent_pane):
                found, pane = await self._fresh(found, mark, identity)
                await self.note(found, replace(mark, phase=marks.LAUNCHING))
                current = (await identities(self._ctx, name=identity.name))[:1] or [identity]
                await self._ctx.shared(Launching).start(
                    found, pane, mark.runtime, identity=current[0], cwd=identity.home, reminder=REMINDER
                )
        except ThrumError as problem:
            await self.note(found, None)
            raise await self._told(found, who, problem) from problem
        await self.note(found, None)
        self._ctx.shared(Aftercare).watch(pane, found.row.name, mark, who)

    async def note(self, found: Found, mark: Mark | None) -> None:
        """Keep *mark* with the session; a session that is gone needs none."""
        with contextlib.suppress(ThrumError):
            await found.server.ask(marks.setting(found.row.id, mark), near=found.row.id)

    async def left(self, found: Found) -> Mark | None:
        """A restart that was left when its snapshot had been saved; None when there is none to go on with."""
        (answer,) = await found.server.ask(marks.question(), near=found.row.id)
        mark = marks.marks(answer).get(found.row.id)
        return mark if mark is not None and mark.phase != marks.SAVING else None

    # --- a fresh shell -----------------------------------------------------------------------------------------------

    async def _fresh(self, found: Found, mark: Mark, identity: Identity) -> tuple[Found, LivePane]:
        """The session with a fresh shell in its agent's pane, made anew when it went meanwhile."""
        await self.note(found, replace(mark, phase=marks.ENDING))
        pane = await self._respawned(found, identity)
        if pane is None:
            found = await self._remade(found)
            pane = await self._pane(found)
        await self._ended(mark)
        await set_terminal(
            self._ctx, identity.name, worktree=identity.worktree, tmux_session=pane.place, runtime=""
        )
        await self._at_its_prompt(pane)
        return found, pane

    async def _respawned(self, found: Found, identity: Identity) -> LivePane | None:
        """The pane, its program ended and a shell in its place; None when it is gone, or its session is."""
        pane = await self._sessions.panes.of_session(found.row.name)
        if pane is None:
            return None
        try:
            ((began_as, shell),) = [
                line.partition("\t")[::2]
                for (line,) in await found.server.ask(
                    ("display-message", "-p", "-t", pane.id, "#{pane_start_command}\t#{default-shell}"),
                    near=found.row.id,
                )
            ]
            # A pane that was made to run one program gets a shell now; others get what tmux gave them.
            command = (f"exec {shell or '/bin/sh'}",) if began_as else ()
            respawn = ("respawn-pane", "-k", "-t", pane.id, "-c", identity.worktree, *command)
            async with found.server.unheard(found.row.id):
                # By a process of its own: only then does tmux give the pane our PATH, as when it was made.
                await asyncio.to_thread(found.server.process.ask, respawn)
        except PaneMissing:
            return None
        await found.server.refresh()
        return await self._sessions.panes.of_session(found.row.name)

    async def _remade(self, found: Found) -> Found:
        """The session as it was made, for it is gone."""
        await self._sessions.look()
        there = self._sessions.panes.session(found.row.name)
        if there is not None:
            return there
        record = self._sessions.record_of(found)
        if record is None:
            raise Refused(
                f'session "{found.row.name}" ended meanwhile, and nothing tells how it was made',
                hint="thrum tmux create makes a new one",
            )
        return await self._sessions.make(record)

    async def _pane(self, found: Found) -> LivePane:
        pane = await self._sessions.panes.of_session(found.row.name)
        if pane is None:
            raise PaneMissing(found.row.agent_pane or found.row.name)
        return pane

    async def _ended(self, mark: Mark) -> None:
        """Wait until the old runtime is gone; one that outlives its terminal is ended, by its id and start."""
        if await self._is_gone(mark, ENDING[0][1]):
            return
        for number, limit_s in ENDING:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if self._is_there(mark):
                    os.kill(mark.pid, number)
            if await self._is_gone(mark, limit_s):
                return
        self._ctx.log.warning("the runtime of @%s (PID %d) does not end", mark.agent, mark.pid)

    async def _is_gone(self, mark: Mark, limit_s: float) -> bool:
        end = time.monotonic() + limit_s
        while self._is_there(mark):
            if time.monotonic() > end:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    def _is_there(self, mark: Mark) -> bool:
        found = self._ctx.process(mark.pid) if mark.pid else None
        return found is not None and mark.started in (0, found.start_time)

    async def _at_its_prompt(self, pane: LivePane) -> None:
        """Wait until the shell is there and has nothing more to say; it takes what is typed earlier, too."""
        end = time.monotonic() + SHELL_S
        while (left := end - time.monotonic()) > 0:
            await pane.until_quiet(SETTLED_S, left)
            look = await pane.look()
            running = await program.running(self._ctx, look)
            if running.runtime == runtimes.SHELL and any(line.strip() for line in look.lines):
                return
            await asyncio.sleep(LOOK_S)

    async def _told(self, found: Found, who: Subject, problem: ThrumError) -> Refused:
        """*problem* with what became of the snapshot."""
        kept = None
        with contextlib.suppress(ThrumError):
            kept = await self._ctx.in_thread(Snapshots(who.thrum).find, who.agent)
        where = f"; its snapshot is kept: {kept.path}" if kept else ""
        return Refused(
            f"the agent of session {found.row.name} was ended and could not be started again: {problem}{where}",
            hint=await self._way_back(found),
        )

    async def _way_back(self, found: Found) -> str:
        """What a person does next: a session that was ended meanwhile, as by ``tmux kill``, has to be made first."""
        name = found.row.name
        with contextlib.suppress(ThrumError):
            await self._sessions.look()
            if self._sessions.panes.session(name) is None and self._sessions.records.named(name) is None:
                return await self._ctx.shared(Launching).how_to_make(name)
        return f"thrum tmux launch {name} shows it the snapshot"

"""What drifted is set right: where an agent is shown, what its session is called, which process it is.

A person renames sessions, moves windows, breaks panes out, starts the runtime again by hand. Whenever tmux tells of a
change, identity files and our records are made to say what is so.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import psutil

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import ThrumError
from thrum_tmux import model, runtimes
from thrum_tmux.identities import Identity, identities, set_terminal
from thrum_tmux.model import PaneRow
from thrum_tmux.panes import Found, Panes
from thrum_tmux.session import creation
from thrum_tmux.session.records import Record, Records
from thrum_tmux.wake import program

LATER_S: Final = 3.0
SETTLE_S: Final = 0.2
"""Changes come in crowds: one look for all that come within so long."""


class Repairing:
    """One for the plugin: ``ctx.shared(Repairing)``."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self._panes = ctx.shared(Panes)
        self._records = ctx.shared(Records)
        self._changed = asyncio.Event()

    def noticed(self) -> None:
        """Something may be other than it was noted."""
        self._changed.set()

    async def run(self) -> None:
        """Repair whenever something changed, until cancelled."""
        self._panes.on_change.append(self.noticed)
        loop = asyncio.get_running_loop()

        def registered(_: object) -> None:
            self.noticed()
            # A briefing registers its agent first, and notes the pane a moment later.
            loop.call_later(LATER_S, self.noticed)

        end = self._ctx.subscribe("agent.register", registered)
        try:
            while True:
                with contextlib.suppress(ThrumError):
                    await self.repair()
                await self._changed.wait()
                await asyncio.sleep(SETTLE_S)
                self._changed.clear()
        finally:
            end()
            self._panes.on_change.remove(self.noticed)

    async def repair(self) -> None:
        """Set everything right now. Raises ThrumError where the identities cannot be read."""
        await self._renamed()
        everyone = await identities(self._ctx)
        by_name = {each.name: each for each in everyone}
        for found in self._panes.managed():
            identity = by_name.get(found.row.agent)
            if identity is not None:
                await self._repair(found, identity)
        kept = {found.row.agent for found in self._panes.managed()}
        strays = [each for each in everyone if each.name not in kept and each.session and each.is_running]
        if strays:
            await self._panes.look()
        for identity in strays:
            await self._adopt(identity)

    # --- a session of ours -------------------------------------------------------------------------------------------

    async def _renamed(self) -> None:
        """A session keeps its options when a person renames it, while we run or not."""
        for found in self._panes.managed():
            row = found.row
            if row.record in ("", row.name):
                continue
            self._ctx.log.info("session %s is called %s now", row.record, row.name)
            await self._records.rename(row.record, row.name, found.server.socket)
            with contextlib.suppress(ThrumError):
                await found.server.ask(("set-option", "-t", row.id, model.RECORD, row.name), near=row.id)
                await found.server.refresh()

    async def _repair(self, found: Found, identity: Identity) -> None:
        pane = found.server.known.panes.get(found.row.agent_pane)
        if pane is None or (identity.is_running and not await self._is_below(pane, identity.agent_pid)):
            pane = await self._pane_of(found, identity) or pane
        if pane is None:
            return
        if pane.id != found.row.agent_pane:
            await self._move(found, pane, identity)
        place = found.server.known.place_of(pane)
        is_shown = not place or place == identity.tmux_session
        if not is_shown:
            await self._note(identity, tmux_session=place)
        if not identity.is_running and identity.runtime not in ("", runtimes.SHELL):
            await self._find_process(pane, identity)

    async def _pane_of(self, found: Found, identity: Identity) -> PaneRow | None:
        """The pane of a session that an agent's process runs in; None when it runs in none."""
        if not identity.is_running:
            return None
        for pane in found.server.known.panes_of(found.row.id):
            if await self._is_below(pane, identity.agent_pid):
                return pane
        return None

    async def _move(self, found: Found, pane: PaneRow, identity: Identity) -> None:
        commands = creation.adoption(
            found.row.id,
            pane.id,
            agent=identity.name,
            record=found.row.name,
            thrum_dir=self._ctx.paths.thrum,
        )
        with contextlib.suppress(ThrumError):
            await found.server.ask(*commands, near=found.row.id)
            await found.server.refresh()

    async def _find_process(self, pane: PaneRow, identity: Identity) -> None:
        """The runtime that a person started again in the agent's pane is the agent."""
        running = await self._ctx.in_thread(program.foreground, pane.pid, pane.command, self._ctx.presets())
        if not running.runtime or running.pid == 0 or running.runtime != identity.runtime:
            return
        try:
            await self._ctx.call(
                "agent.register",
                name=identity.name,
                role=identity.role,
                module=identity.module,
                worktree=identity.worktree,
                agent_pid=running.pid,
            )
        except ThrumError as error:
            self._ctx.log.warning("process %d is not noted for %s: %s", running.pid, identity.name, error)

    # --- a session that thrum did not make ---------------------------------------------------------------------------

    async def _adopt(self, identity: Identity) -> None:
        """An agent that runs in a person's own session is heard there, and can be woken there."""
        for server in self._panes.servers:
            pane = server.known.at(identity.tmux_session)
            session = server.known.sessions.get(pane.session) if pane is not None else None
            if pane is None or session is None or session.agent or session.thrum_dir:
                continue
            if not await self._is_below(pane, identity.agent_pid):
                continue
            with contextlib.suppress(ThrumError):
                await server.ask(
                    *creation.adoption(
                        session.id,
                        pane.id,
                        agent=identity.name,
                        record=session.name,
                        thrum_dir=self._ctx.paths.thrum,
                    )
                )
                await self._records.keep(_record(session.name, server.socket, identity))
                await server.refresh()

    async def _note(self, identity: Identity, *, tmux_session: str) -> None:
        try:
            await set_terminal(
                self._ctx, identity.name, worktree=identity.worktree, tmux_session=tmux_session
            )
        except ThrumError as error:
            self._ctx.log.warning("the identity of %s is not brought up to date: %s", identity.name, error)

    async def _is_below(self, pane: PaneRow, pid: int) -> bool:
        found: bool = await self._ctx.in_thread(is_below, pane.pid, pid)
        return found


def is_below(root: int, pid: int) -> bool:
    """Whether the process *pid* is *root* or was started below it. Blocking."""
    try:
        process: psutil.Process | None = psutil.Process(pid)
        while process is not None:
            if process.pid == root:
                return True
            process = process.parent()
    except psutil.Error:
        return False
    return False


def _record(name: str, socket: str, identity: Identity) -> Record:
    return Record(
        name=name,
        socket=socket,
        cwd=identity.home,
        agent=identity.name,
        role=identity.role,
        module=identity.module,
        intent=identity.intent,
        runtime=identity.runtime or identity.preferred_runtime,
    )

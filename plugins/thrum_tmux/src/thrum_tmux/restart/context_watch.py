"""Agents whose context is nearly full are restarted, where their runtime's transcript tells how full it is.

Nothing is polled: a session is looked at when it has gone quiet after it wrote something, and then only its
transcript's size, and its end if that has changed.

Source: spec/features.md §17 (``restart.auto_threshold``); issue "Terminal".
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from thrum_kernel.api import ContextUse, PluginContext
from thrum_kernel.errors import ThrumError
from thrum_tmux import runtimes
from thrum_tmux.identities import Identity, identities
from thrum_tmux.live_pane import LivePane
from thrum_tmux.panes import Found, Panes
from thrum_tmux.restart import transcripts
from thrum_tmux.restart.restarting import Order, Restarting
from thrum_tmux.restart.snapshot import THRESHOLD
from thrum_tmux.restart.subject import Subject, subject
from thrum_tmux.screen import patterns
from thrum_tmux.screen.reading import read

QUIET_S: Final = 3.0
"""A runtime that wrote nothing for so long has ended its turn."""
LONGEST_S: Final = 3600.0
AGAIN_S: Final = 900.0
"""After a restart of ours an agent is left alone for so long, whatever its transcript says."""
PERSON_S: Final = 60.0
"""Somebody who did something in the terminal so lately is at work there."""


class ContextWatch:
    """One for the plugin: ``ctx.shared(ContextWatch)``."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self._panes = ctx.shared(Panes)
        self._watched: dict[str, asyncio.Task[None]] = {}
        self._sizes: dict[Path, int] = {}
        self._restarted: dict[str, float] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Watch every session that this daemon keeps, until cancelled."""
        self._panes.on_change.append(self._changed.set)
        try:
            while True:
                self._follow()
                await self._changed.wait()
                self._changed.clear()
        finally:
            self._panes.on_change.remove(self._changed.set)
            for task in self._watched.values():
                task.cancel()
            await asyncio.gather(*self._watched.values(), return_exceptions=True)

    def _follow(self) -> None:
        for found in self._panes.managed():
            key = f"{found.server.socket} {found.row.id}"
            if found.row.agent and key not in self._watched:
                task = asyncio.create_task(self._watch(found, key))
                self._watched[key] = task

    async def _watch(self, found: Found, key: str) -> None:
        """One session, for as long as it is there."""
        try:
            while (now := self._now(found)) is not None:
                pane = await self._panes.of_session(now.row.name)
                if pane is None:
                    return
                if await pane.until_output(LONGEST_S) and await pane.until_quiet(QUIET_S, LONGEST_S):
                    await self._look(self._now(found) or now, pane)
        except ThrumError as error:
            self._ctx.log.info("session %s is not watched any more: %s", found.row.name, error)
        finally:
            self._watched.pop(key, None)

    def _now(self, found: Found) -> Found | None:
        """This very session as it is called now; None when it is gone, though another may have its name."""
        same = (each for each in self._panes.managed() if each.server is found.server)
        return next((each for each in same if each.row.id == found.row.id), None)

    async def _look(self, found: Found, pane: LivePane) -> None:
        """Restart the agent if its context is full, and nobody would be disturbed."""
        threshold = self._ctx.settings.restart.auto_threshold
        agent = found.row.agent
        if not threshold or time.monotonic() - self._restarted.get(agent, -AGAIN_S) < AGAIN_S:
            return
        identity = next(iter(await identities(self._ctx, name=agent)), None)
        if identity is None or not identity.is_running:
            return
        use = await self._use(identity)
        if use is None or use.percent < threshold or not await self._is_free(pane, identity):
            return
        self._restarted[agent] = time.monotonic()
        self._ctx.log.info("@%s uses %.0f %% of its context: it is restarted", agent, use.percent)
        runtime = identity.runtime or identity.preferred_runtime
        self._ctx.shared(Restarting).begin(
            Order(found=found, identity=identity, runtime=runtime, reason=THRESHOLD)
        )

    async def _use(self, identity: Identity) -> ContextUse | None:
        """How full the context is; None where that is not told, or nothing was written since the last look."""
        who = await self._ctx.in_thread(subject, identity.name, identity.home)
        found: ContextUse | None = await self._ctx.in_thread(self._read, who)
        window = self._ctx.settings.restart.context_window
        return ContextUse(tokens=found.tokens, window=window) if found is not None and window else found

    def _read(self, who: Subject) -> ContextUse | None:
        try:
            transcript = transcripts.find(who, self._ctx.presets())
            size = transcript.path.stat().st_size
        except (transcripts.NoTranscript, OSError):
            return None
        read_context = transcript.preset.read_context
        if read_context is None or self._sizes.get(transcript.path) == size:
            return None
        self._sizes = {**self._sizes, transcript.path: size}
        try:
            return read_context(transcript.path)
        except OSError:
            return None

    async def _is_free(self, pane: LivePane, identity: Identity) -> bool:
        """Whether the agent waits at an empty prompt and nobody is at work in its terminal."""
        look = await pane.look()
        if look.last_key_s is not None and look.last_key_s < PERSON_S:
            return False
        known = patterns.of(runtimes.preset_of(identity.runtime, self._ctx.presets()))
        reading = read(look.lines, look.cursor, known, columns=look.size[0])
        return reading.is_empty_prompt and not reading.is_busy

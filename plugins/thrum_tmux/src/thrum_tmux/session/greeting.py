"""What a runtime is told once it has started: who it is, and to read its briefing.

How far that has come is kept with the session: the next daemon goes on where one ended.

Source: spec/features.md §1.4, §12.5; spec/decisions.md "Worktrees, tmux, queue, permissions, monitors".
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from thrum_kernel.api import PluginContext, RuntimePreset
from thrum_kernel.errors import ThrumError
from thrum_tmux import runtimes
from thrum_tmux.identities import Identity, identities
from thrum_tmux.live_pane import LivePane
from thrum_tmux.panes import Found, Panes
from thrum_tmux.screen.patterns import PatternBroken
from thrum_tmux.session import greeting_marks as marks
from thrum_tmux.session.greeting_marks import Greeting
from thrum_tmux.session.repairing import Repairing
from thrum_tmux.session.saying import Saying

DEFAULT_WATCHDOG_S: Final = 30
ECHO_S: Final = 1.5
"""So long after Enter a runtime may still draw what was typed; what comes later is its own doing."""
REMINDER: Final = "Finish reading the prime output and follow your instructions if you have not"
SENTINEL: Final = "If what you were shown was cut short, run: thrum prime"

PRIME_COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "claude": ("/thrum:prime", ".claude/commands/thrum/prime.md"),
    "opencode": ("/thrum-prime", ".opencode/command/thrum-prime.md"),
    "codex": ("$thrum-prime", ".codex/skills/thrum-prime/SKILL.md"),
}
"""What a runtime's kit calls the briefing, and the file by which one sees that the kit is there."""


class Greetings:
    """Those under way; one for the plugin: ``ctx.shared(Greetings)``."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self._panes = ctx.shared(Panes)
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def expect(self, found: Found, pane: str, greeting: Greeting | None) -> None:
        """Note what is to be told in a session before its runtime is started; None: nothing, it was not started."""
        self._stop(pane)
        await self._keep(found, greeting)

    def greet(
        self, found: Found, pane: LivePane, identity: Identity, greeting: Greeting
    ) -> asyncio.Task[None]:
        """Begin to greet the runtime in *pane*; one greeting a pane."""
        self._stop(pane.id)
        task = asyncio.create_task(self._greet(found, pane, identity, greeting))
        self._under_way[pane.id] = task
        task.add_done_callback(lambda done: self._done(pane.id, done))
        return task

    async def resume(self) -> None:
        """Go on with every greeting that a daemon left when it ended. Sessions must have been looked at."""
        for server in self._panes.servers:
            with contextlib.suppress(ThrumError):
                (answer,) = await server.ask(marks.question())
                left = marks.greetings(answer)
                for found in self._panes.managed():
                    if found.server is server and found.row.id in left:
                        await self._resume(found, left[found.row.id])

    async def close(self) -> None:
        """Leave everything as it is, to the next daemon."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stop(self, pane: str) -> None:
        before = self._under_way.pop(pane, None)
        if before is not None:
            before.cancel()

    def _done(self, pane: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(pane) is task:
            del self._under_way[pane]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._ctx.log.error("a greeting failed: %s", error, exc_info=error)

    async def _resume(self, found: Found, greeting: Greeting) -> None:
        pane = await self._panes.of_session(found.row.name)
        if pane is None or pane.id in self._under_way:
            return
        who = await identities(self._ctx, name=greeting.agent)
        if who:
            self.greet(found, pane, who[0], greeting)
        else:
            await self._keep(found, None)

    async def _keep(self, found: Found, greeting: Greeting | None) -> None:
        """Note how far it has come; a session that is gone needs no note."""
        with contextlib.suppress(ThrumError):
            await found.server.ask(marks.setting(found.row.id, greeting), near=found.row.id)

    async def _greet(self, found: Found, pane: LivePane, identity: Identity, greeting: Greeting) -> None:
        try:
            preset = runtimes.preset_of(greeting.runtime, self._ctx.presets())
            saying = Saying(self._ctx, pane, preset)
            if await self._tell(found, saying, preset, identity, greeting):
                self._ctx.shared(Repairing).noticed()  # it runs: which process it is can be seen now
                await self._remind(pane, saying, greeting.reminder)
            else:
                self._ctx.log.info(
                    "%s in %s was not told who it is: its prompt was not free in time",
                    preset.name,
                    pane.session,
                )
        except (ThrumError, PatternBroken) as error:
            self._ctx.log.warning(
                "%s in %s cannot be told who it is: %s", greeting.runtime, pane.session, error
            )
        await self._keep(found, None)

    async def _tell(
        self, found: Found, saying: Saying, preset: RuntimePreset, identity: Identity, greeting: Greeting
    ) -> bool:
        """Tell it what it was not told yet; whether it took that."""
        lines = [banner(identity)]
        if not preset.has_session_start_hook:
            lines.append(prime_command(preset, identity.home))
        for told, line in enumerate(lines[greeting.told :], start=greeting.told + 1):
            if not await saying.say(line):
                return False
            await self._keep(found, replace(greeting, told=told))
        return True

    async def _remind(self, pane: LivePane, saying: Saying, reminder: str) -> None:
        """Say it once more to a runtime that did nothing with what it was told."""
        wait_s = self._ctx.settings.restart.silence_watchdog_seconds or DEFAULT_WATCHDOG_S
        if wait_s < 0:
            return
        begun = time.monotonic()
        await asyncio.sleep(wait_s)
        since = time.monotonic() - begun
        if pane.quiet_s() >= since - ECHO_S:
            await saying.say(reminder)


def banner(identity: Identity) -> str:
    """The line that shows who lives in a pane; run by a shell it prints just that."""
    words = [
        f"Agent: @{identity.name}",
        f"Role:  {identity.role}",
        f"Worktree: {identity.worktree}",
        f"Branch: {identity.branch}",
        SENTINEL,
        "",
    ]
    return shlex.join(["printf", r"%s\n", *words])


def prime_command(preset: RuntimePreset, worktree: Path) -> str:
    """How the briefing is asked for there: by the kit's own command where the kit is, else by thrum's."""
    command, file = PRIME_COMMANDS.get(preset.name, ("", ""))
    return command if command and (worktree / file).exists() else "thrum prime"

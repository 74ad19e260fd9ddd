"""What a runtime is told once it has started: who it is, and to read its briefing.

It goes into an empty prompt only, looked at before the text and again before Enter. A runtime whose prompt is not known
is told when its screen has been still for a while.

Source: spec/features.md §1.4, §12.5; spec/decisions.md "Worktrees, tmux, queue, permissions, monitors".
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from thrum_kernel.api import PluginContext, RuntimePreset
from thrum_kernel.errors import ThrumError
from thrum_tmux import runtimes
from thrum_tmux.identities import Identity
from thrum_tmux.live_pane import LivePane
from thrum_tmux.panes import Panes
from thrum_tmux.screen import patterns
from thrum_tmux.screen.reading import read, squeezed
from thrum_tmux.session.repairing import Repairing
from thrum_tmux.wake import program

READY_S: Final = 60.0
SETTLED_S: Final = 0.5
STILL_S: Final = 7.0
"""For a runtime whose prompt is not known: nothing written for so long."""
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

    def greet(
        self, pane: LivePane, preset: RuntimePreset, identity: Identity, *, reminder: str = REMINDER
    ) -> asyncio.Task[None]:
        """Begin to greet the runtime in *pane*; one greeting a pane.

        Args:
            reminder: what it is told when it shows nothing for ``restart.silence_watchdog_seconds`` after that.
        """
        before = self._under_way.pop(pane.id, None)
        if before is not None:
            before.cancel()
        task = asyncio.create_task(self._greet(pane, preset, identity, reminder))
        self._under_way[pane.id] = task
        task.add_done_callback(lambda done: self._done(pane.id, done))
        return task

    async def close(self) -> None:
        """Leave everything as it is."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, pane: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(pane) is task:
            del self._under_way[pane]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._ctx.log.error("a greeting failed: %s", error, exc_info=error)

    async def _greet(self, pane: LivePane, preset: RuntimePreset, identity: Identity, reminder: str) -> None:
        lines = [banner(identity)]
        if not preset.has_session_start_hook:
            lines.append(prime_command(preset, identity.worktree))
        try:
            for line in lines:
                if not await self._say(pane, preset, line):
                    self._ctx.log.info(
                        "%s in %s was not told who it is: its prompt was not free in time",
                        preset.name,
                        pane.session,
                    )
                    return
            self._ctx.shared(Repairing).noticed()  # it runs: which process it is can be seen now
            await self._remind(pane, preset, reminder)
        except ThrumError as error:
            self._ctx.log.warning("%s in %s cannot be told who it is: %s", preset.name, pane.session, error)

    async def _remind(self, pane: LivePane, preset: RuntimePreset, reminder: str) -> None:
        """Say it once more to a runtime that did nothing with what it was told."""
        wait_s = self._ctx.settings.restart.silence_watchdog_seconds or DEFAULT_WATCHDOG_S
        if wait_s < 0:
            return
        begun = time.monotonic()
        await asyncio.sleep(wait_s)
        since = time.monotonic() - begun
        if pane.quiet_s() >= since - ECHO_S:
            await self._say(pane, preset, reminder)

    async def _say(self, pane: LivePane, preset: RuntimePreset, line: str) -> bool:
        """Type a line and Enter, each only where nothing else stands."""
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            async with self._panes.typing(pane.id):
                if await self._has(pane, preset, ""):
                    return await self._typed(pane, preset, line)
            await pane.until_output(1.0)
        return False

    async def _typed(self, pane: LivePane, preset: RuntimePreset, line: str) -> bool:
        await pane.type(line)
        await asyncio.sleep(preset.enter_delay_s)
        return await self._has(pane, preset, line) and await pane.key("Enter")

    async def _has(self, pane: LivePane, preset: RuntimePreset, text: str) -> bool:
        """Whether the runtime is there, and nothing but *text* stands in its prompt."""
        known = patterns.of(preset)
        if not await pane.until_quiet(SETTLED_S if known.knows_prompt else STILL_S, READY_S):
            return False
        look = await pane.look()
        running = await self._ctx.in_thread(program.foreground, look.pid, look.command, self._ctx.presets())
        if look.dead or look.in_mode or look.synchronized or running.runtime == runtimes.SHELL:
            return False
        if not known.knows_prompt:
            return True
        reading = read(look.lines, look.cursor, known, columns=look.size[0])
        return reading.owner == "prompt" and squeezed(reading.text) == squeezed(text)


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

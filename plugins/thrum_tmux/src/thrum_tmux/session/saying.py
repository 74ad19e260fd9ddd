"""One line of ours for a runtime that was just started, typed only where nothing else stands.

Like a wake it goes through the gate before the text and again before Enter, and each key only if tmux finds the pane as
it was looked at. A runtime whose prompt is not known is told when its screen was still for a while, nobody typed there
and no dialog shows; Enter only behind a line that shows.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from thrum_kernel.api import PluginContext, RuntimePreset
from thrum_tmux.live_pane import LivePane
from thrum_tmux.pane import Look
from thrum_tmux.panes import Panes
from thrum_tmux.screen import patterns
from thrum_tmux.settings import Nudge
from thrum_tmux.typist import UNSTEADY, Typist, Verdict, View
from thrum_tmux.wake import parts, program
from thrum_tmux.wake.gate import Place
from thrum_tmux.wake.injection import NOT_WHOLE, Injection, Timing

READY_S: Final = 60.0
SETTLED_S: Final = 0.5
STILL_S: Final = 7.0
"""For a runtime whose prompt is not known: nothing written for so long."""


class Saying:
    """What is said in one pane.

    Args:
        pane: where.
        preset: the runtime that has to be there.
    """

    def __init__(self, ctx: PluginContext, pane: LivePane, preset: RuntimePreset) -> None:
        self._ctx = ctx
        self._pane = pane
        self._preset = preset
        self._patterns = patterns.of(preset)
        self._began = time.monotonic()

    async def say(self, line: str) -> bool:
        """Type *line* and Enter within a minute; whether it was taken.

        Raises:
            PaneMissing: the pane is gone.
        """
        if not self._patterns.knows_prompt:
            return await self._said_blindly(line)
        nudge: Nudge = self._ctx.settings.nudge
        injection = Injection(
            self._pane,
            line,
            place=Place(self._preset.name, queues_input=False, quiet_s=max(0.0, nudge.chrome_quiet_seconds)),
            patterns=self._patterns,
            timing=Timing(quiet_s=SETTLED_S, enter_delay_s=self._preset.enter_delay_s),
            runtime_of=self._runtime_of,
            is_moot=_never,
            on_enter=_nothing,
            typing=lambda: self._ctx.shared(Panes).typing(self._pane.id),
        )
        return (await injection.run(READY_S)).state == "submitted"

    # --- a prompt that is not known ----------------------------------------------------------------------------------

    async def _said_blindly(self, line: str) -> bool:
        typist = Typist(self._pane, self._patterns)
        end = time.monotonic() + READY_S
        while (left := end - time.monotonic()) > 0:
            if await self._pane.until_quiet(STILL_S, left):
                async with self._ctx.shared(Panes).typing(self._pane.id):
                    _, verdict = await typist.once(
                        self._untouched, lambda view: typist.type(view, line), limit_s=0
                    )
                    if not verdict.reason:
                        return await self._entered(typist, line)
                    if verdict.reason == UNSTEADY:
                        return False  # somebody came before us; what they typed there nothing tells
            await self._pane.until_output(1.0)
        return False

    async def _entered(self, typist: Typist, line: str) -> bool:
        async def may_enter(view: View) -> Verdict:
            return await self._untouched(view) if parts.shows_end(view.look, line) else Verdict(NOT_WHOLE)

        await asyncio.sleep(max(SETTLED_S, self._preset.enter_delay_s))
        _, verdict = await typist.once(may_enter, lambda view: typist.press(view, "Enter"), limit_s=0)
        return not verdict.reason

    async def _untouched(self, view: View) -> Verdict:
        """Why a pane may not be typed into; nothing where it may."""
        look = view.look
        is_elsewhere = look.dead or look.in_mode or look.synchronized
        if is_elsewhere or self._is_somebodys(look) or view.reading.owner in ("dialog", "busy"):
            return Verdict("somebody or something else has its pane")
        if await self._runtime_of(look) != self._preset.name:
            return Verdict("another program has its terminal")
        return Verdict()

    def _is_somebodys(self, look: Look) -> bool:
        """Whether a person did something there since we began: what stands there may be a draft."""
        return look.last_key_s is not None and look.last_key_s < look.at - self._began + 1

    async def _runtime_of(self, look: Look) -> str:
        return (await program.running(self._ctx, look)).runtime


async def _never() -> bool:
    return False


async def _nothing() -> None:
    return None

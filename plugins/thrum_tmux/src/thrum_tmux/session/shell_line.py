"""A command for the shell of a pane: typed with its Enter in one moment, at an empty prompt and nowhere else.

A runtime may take an Enter that comes with a text for a part of it; a shell does not, so here nothing can come between the
two.
"""

from __future__ import annotations

from typing import Final

from thrum_kernel.api import PluginContext
from thrum_tmux import runtimes
from thrum_tmux.pane import Pane
from thrum_tmux.screen import patterns
from thrum_tmux.screen.reading import is_continued
from thrum_tmux.typist import Typist, Verdict, View
from thrum_tmux.wake import program
from thrum_tmux.wake.gate import AT_KEYBOARD, SYNCHRONIZED, is_at_keyboard

STEADY_S: Final = 0.1
"""A prompt must stay the same for so long to be believed."""


class ShellLine:
    """Gives commands to the shell of one pane. Whoever has it do so holds `Panes.typing` of the pane.

    Args:
        any_shell: also a program that is no shell we know, where tmux itself started it in the pane.
    """

    def __init__(self, ctx: PluginContext, pane: Pane, *, any_shell: bool = False) -> None:
        self._ctx = ctx
        self._pane = pane
        self._any_shell = any_shell
        self._patterns = patterns.of(runtimes.preset_of(runtimes.SHELL, ctx.presets()))
        self._typist = Typist(pane, self._patterns)

    async def taken(self, limit_s: float) -> str:
        """Why it cannot be given a command; empty when it can. One that still starts is waited for."""
        _, verdict = await self._typist.once(self._is_free, _nothing, limit_s=limit_s, steady_s=STEADY_S)
        return verdict.reason

    async def run(self, command: str, limit_s: float) -> str:
        """Type *command* and Enter as soon as the shell is at an empty prompt; why not, empty when it was typed.

        Raises:
            PaneMissing: the pane is gone; nothing was typed.
        """
        _, verdict = await self._typist.once(
            self._is_free,
            lambda view: self._typist.type(view, command, enter=True),
            limit_s=limit_s,
            steady_s=STEADY_S,
        )
        return verdict.reason

    async def _is_free(self, view: View) -> Verdict:
        look = view.look
        if look.dead:
            return Verdict("its program ended")
        running = await program.running(self._ctx, look)
        is_own = self._any_shell and not running.runtime and running.pid == look.pid
        if running.runtime != runtimes.SHELL and not is_own:
            return Verdict(f"{running.runtime or look.command} runs there")
        if look.in_mode:
            return Verdict("somebody scrolls there")
        if look.synchronized:
            return Verdict(SYNCHRONIZED)
        if view.text:
            return Verdict(f"somebody began to type: {view.text[:60]}")
        if is_at_keyboard(look):
            return Verdict(AT_KEYBOARD)
        if is_continued(look.lines, look.cursor, self._patterns):
            return Verdict("an unfinished command stands there")
        return Verdict()


async def _nothing(view: View) -> bool:
    return True

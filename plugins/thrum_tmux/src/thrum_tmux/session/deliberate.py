"""A text that somebody wants typed into a session, and the Enter behind it.

It goes the way of a wake, with two differences: a dialog may be what it answers, and it is typed once. Between text and
Enter the pane is looked at again; where it is not what the text was typed into, or holds more than the text, Enter is not
pressed. Nobody else's line is ever sent by it.
"""

from __future__ import annotations

import asyncio
import functools
import time
from dataclasses import dataclass
from typing import Final

from thrum_kernel.api import PluginContext, RuntimePreset
from thrum_tmux import runtimes
from thrum_tmux.errors import PaneMissing
from thrum_tmux.pane import Pane
from thrum_tmux.screen import patterns
from thrum_tmux.screen.pins import reachable
from thrum_tmux.session import echoes
from thrum_tmux.session.echoes import Prompt, Typed
from thrum_tmux.typist import Typist, Verdict, View
from thrum_tmux.wake import parts, program
from thrum_tmux.wake.injection import NOT_ENTERED
from thrum_tmux.wake.program import Program

ENDED: Final = "its runtime does not run there: a shell has its pane, which would run the text"


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds.

    Attributes:
        free_s: waited for what goes away by itself: a program that ends, a line that is just being entered.
        steady_s: that a prompt box must stay the same to be believed, before the text and before Enter.
        settled_s: that a dialog must stay the same once it was answered.
        echo_s: in which what was typed shows, and a dialog that it answers goes.
        entered_s: in which a prompt box that took Enter holds the text no more.
    """

    free_s: float = 2.0
    steady_s: float = 0.1
    settled_s: float = 0.3
    echo_s: float = 3.0
    entered_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a text.

    Attributes:
        is_typed: it was, whole.
        is_entered: Enter was pressed behind it, and taken.
        reason: why one of both is not so; empty where all that was wanted was done.
        left: what stands in the pane then, for a person.
        can_force: *force* would type it all the same.
    """

    is_typed: bool
    is_entered: bool = False
    reason: str = ""
    left: str = ""
    can_force: bool = False


class Deliberate:
    """A text on its way into a pane. Whoever runs it holds `Panes.typing` of the pane.

    Args:
        preset: of the runtime that is launched there.
        force: type also behind a draft, and into another program.
        has_ended: its runtime ran there and ended: a shell would run what is meant for it.
    """

    def __init__(
        self,
        ctx: PluginContext,
        pane: Pane,
        preset: RuntimePreset,
        *,
        force: bool = False,
        has_ended: bool = False,
        pace: Pace | None = None,
    ) -> None:
        self._ctx = ctx
        self._pane = pane
        self._preset = preset
        self._force = force
        self._pace = pace or Pace()
        self._has_ended = has_ended

    async def send(self, text: str, *, enter: bool = True) -> Sent:
        """Type *text*, and Enter if that is wanted too.

        Raises:
            PaneMissing: the pane is gone, or in another session; nothing was typed.
            UsageError: the text cannot be typed.
        """
        place, reason = await self._place()
        if place is None:
            return Sent(False, reason=reason.reason, can_force=not reason.is_final)
        preset = runtimes.preset_of(place.runtime, self._ctx.presets())
        known = patterns.of(preset)
        prompt = Prompt(known, is_shell=place.runtime == runtimes.SHELL)
        typist = Typist(self._pane, known)
        before, verdict = await typist.once(
            functools.partial(self._may_type, place=place, prompt=prompt),
            lambda view: self._pane.type(text, only_if=self._pins(view)),
            limit_s=self._pace.free_s,
            steady_s=0.0 if self._force else self._pace.steady_s,
        )
        if verdict.reason:
            return Sent(False, reason=verdict.reason, can_force=not echoes.unreachable(before.look))
        if not enter:
            return Sent(True)
        try:
            await asyncio.sleep(preset.enter_delay_s)
            return await self._enter(typist, Typed(text, before), place, prompt)
        except PaneMissing:
            return Sent(True, reason="its pane is gone, or in another session", left="the text went with it")

    # --- before the text ---------------------------------------------------------------------------------------------

    async def _place(self) -> tuple[Program | None, Verdict]:
        """The program that is to be typed into; None and why when there is none before long."""
        end = time.monotonic() + self._pace.free_s
        while True:
            look = await self._pane.look()
            verdict = Verdict(echoes.unreachable(look), is_final=True)
            if not verdict.reason:
                running = await program.running(self._ctx, look)
                is_shell = running.runtime == runtimes.SHELL and not self._has_ended
                if self._force or is_shell or running.runtime == self._preset.name:
                    return running, Verdict()
                verdict = Verdict(ENDED if running.runtime == runtimes.SHELL else _foreign(running))
            if time.monotonic() > end:
                return None, verdict
            await asyncio.sleep(self._pace.steady_s)

    async def _may_type(self, view: View, *, place: Program, prompt: Prompt) -> Verdict:
        verdict = await self._elsewhere(view, place)
        return verdict if verdict.reason or self._force else echoes.for_text(view, prompt)

    async def _elsewhere(self, view: View, place: Program) -> Verdict:
        """Why the keys would not come to the program that was found there."""
        reason = echoes.unreachable(view.look)
        if reason:
            return Verdict(reason)
        running = await program.running(self._ctx, view.look)
        is_same = (running.runtime, running.pid) == (place.runtime, place.pid)
        return Verdict(
            "" if is_same and (running.runtime or running.name == place.name) else _foreign(running)
        )

    def _pins(self, view: View) -> str:
        """What tmux is to find as it takes the text: all that was seen, or with force only that program."""
        return reachable(view.look) if self._force else view.pins

    # --- Enter -------------------------------------------------------------------------------------------------------

    async def _enter(self, typist: Typist, typed: Typed, place: Program, prompt: Prompt) -> Sent:
        in_dialog = typed.before.reading.owner == "dialog"
        view, verdict = await typist.once(
            functools.partial(self._may_enter, typed=typed, place=place, prompt=prompt),
            lambda view: self._pane.key("Enter", only_if=self._enter_pins(view)),
            limit_s=self._pace.echo_s,
            steady_s=self._pace.settled_s if in_dialog else self._pace.steady_s,
        )
        if verdict.reason == echoes.TAKEN:
            return Sent(True)
        if verdict.reason:
            return Sent(True, reason=verdict.reason, left=echoes.left(view, typed.text))
        if self._force or in_dialog or await self._is_taken(typist, typed):
            return Sent(True, is_entered=True)
        return Sent(True, reason=NOT_ENTERED, left=echoes.left(view, typed.text))

    async def _may_enter(self, view: View, *, typed: Typed, place: Program, prompt: Prompt) -> Verdict:
        if self._force:
            verdict = echoes.for_forced_enter(view, typed)
        else:
            verdict = echoes.for_enter(view, typed, prompt)
        elsewhere = await self._elsewhere(view, place)
        return elsewhere if elsewhere.reason else verdict

    def _enter_pins(self, view: View) -> str:
        """With force also into a program that writes without end; a prompt is held to what was seen even then."""
        is_loose = self._force and (view.reading.owner != "prompt" or view.look.synchronized)
        return reachable(view.look) if is_loose else view.pins

    async def _is_taken(self, typist: Typist, typed: Typed) -> bool:
        """Whether the text stands in the prompt box no more."""
        return await typist.until(
            lambda view: not (view.reading.owner == "prompt" and parts.is_whole(view.text, typed.text)),
            self._pace.entered_s,
            look_s=self._pace.steady_s,
        )


def _foreign(running: Program) -> str:
    return f"another program has its pane: {running.name}"

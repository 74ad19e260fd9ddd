"""Typing one line into a runtime and pressing Enter, and being sure of both.

The order: the gate; our line, typed only if the pane still is what the gate saw; a look whether it stands there alone and
whole; the runtime's delay; the gate again; Enter, a keystroke of its own, under the same condition. What came only in
part is erased and typed once more. What is not ours alone is a person's draft: nothing more is typed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Literal

from thrum_tmux.pane import Look, Pane
from thrum_tmux.screen.patterns import Patterns
from thrum_tmux.typist import UNSTEADY, Typist, View
from thrum_tmux.wake import line, parts
from thrum_tmux.wake.gate import DRAFT, Place, refusal

TYPED_TWICE: Final = 2
ENTERS: Final = 4
CLEARED: Final = 4
"""How often a line is typed, Enter pressed and a part erased, at most."""

NOT_WHOLE: Final = "what is typed does not arrive whole"
NOT_ENTERED: Final = "it does not take Enter"
MOOT: Final = "it was seen meanwhile"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds.

    Attributes:
        quiet_s: without output, before anything is typed into a runtime that does not take input while it works.
        steady_s: that a prompt box must stay the same to be believed.
        echo_s: in which what was typed shows, or was lost.
        enter_delay_s: between the line and Enter.
        entered_s: in which a prompt box that took Enter is empty.
        look_s: between two looks at a pane that shows nothing new.
    """

    quiet_s: float = 10.0
    steady_s: float = 0.2
    echo_s: float = 2.0
    enter_delay_s: float = 0.1
    entered_s: float = 1.0
    look_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Typed:
    """What became of a line.

    Attributes:
        state: ``submitted`` the prompt box took it; ``left`` it, or part of it, stands there; ``none`` nothing does.
        reason: why not; empty when it was submitted.
    """

    state: Literal["submitted", "left", "none"]
    reason: str = ""


class Injection:
    """One line on its way into one pane.

    Args:
        text: the line.
        runtime_of: the runtime in the foreground of a pane that was looked at; may block, so it is awaited.
        is_moot: whether nobody needs the line any more.
        on_enter: told when Enter was pressed for the first time.
        typing: entered for each step of typing, so that nobody else types meanwhile.
        busy_wait: asked while the runtime works and takes input: whether to wait for its hooks rather than to type.
    """

    def __init__(
        self,
        pane: Pane,
        text: str,
        *,
        place: Place,
        patterns: Patterns,
        timing: Timing,
        runtime_of: Callable[[Look], Awaitable[str]],
        is_moot: Callable[[], Awaitable[bool]],
        on_enter: Callable[[], Awaitable[None]],
        typing: Callable[[], AbstractAsyncContextManager[object]] = contextlib.nullcontext,
        busy_wait: Callable[[], bool] = lambda: False,
    ) -> None:
        self._pane = pane
        self._line = text
        self._place = place
        self._typist = Typist(pane, patterns)
        self._timing = timing
        self._runtime_of = runtime_of
        self._busy_wait = busy_wait
        self._is_moot = is_moot
        self._on_enter = on_enter
        self._typing = typing
        self._typed_at: float | None = None
        self._typed = 0
        self._entered = 0
        self._cleared = 0

    async def run(self, deadline_s: float) -> Typed:
        """Type it and press Enter, within *deadline_s*.

        Raises:
            PaneMissing: the pane is gone.
        """
        end = time.monotonic() + deadline_s
        while True:
            view, reason = await self._open(end)
            if not self._entered and await self._is_moot():
                await self._withdraw(view)
                return Typed("none", MOOT)
            if self._entered and not self._stands(view):
                return Typed("submitted")  # it was slow to take Enter; typed again, it would be shown twice
            if reason or time.monotonic() > end:
                return Typed("left" if self._stands(view) else "none", reason or UNSTEADY)
            if not view.text:
                if self._typed >= TYPED_TWICE:
                    return Typed("none", NOT_WHOLE)
                async with self._typing():
                    await self._type(view)
            elif self._stands(view):
                if self._entered >= ENTERS:
                    return Typed("left", NOT_ENTERED)
                async with self._typing():
                    is_taken = await self._enter()
                if is_taken:
                    return Typed("submitted")

    # --- the gate ----------------------------------------------------------------------------------------------------

    async def _open(self, end: float) -> tuple[View, str]:
        """Wait until the line, or Enter behind it, may be typed; what is seen then, and why not when it never may."""
        while True:
            view = await self._typist.view()
            reason = await self._why_not(view)
            if not reason or await self._is_moot():
                return view, reason
            if reason == DRAFT and (await self._erase(view) or await self._clear(view)):
                continue
            remaining = end - time.monotonic()
            if remaining <= 0:
                return view, await self._refusal(view) or reason
            await self._pane.until_output(min(remaining, self._wait_s(view)))

    async def _why_not(self, view: View) -> str:
        """Why nothing may be typed now; the costly question, which program this is, comes last."""
        reason = refusal(
            view.look, view.reading, self._place, runtime=self._place.runtime, expected=self._expected(view)
        )
        return reason or self._unquiet(view) or await self._refusal(view)

    async def _refusal(self, view: View) -> str:
        runtime = await self._runtime_of(view.look)
        return refusal(view.look, view.reading, self._place, runtime=runtime, expected=self._expected(view))

    def _expected(self, view: View) -> str:
        """What may stand in the prompt box: our line, or nothing."""
        return self._line if self._stands(view) else ""

    def _unquiet(self, view: View) -> str:
        if view.reading.is_busy and self._busy_wait():
            return "it works; its hooks tell it"
        if self._typist.steady_s(view) < self._timing.steady_s:
            return "its prompt changes"
        waits = not self._place.queues_input and self._typed_at is None
        return "it writes" if waits and self._pane.quiet_s() < self._timing.quiet_s else ""

    def _wait_s(self, view: View) -> float:
        """Until the next look, unless there is output before."""
        unsteady = self._timing.steady_s - self._typist.steady_s(view)
        quiet = self._timing.quiet_s - self._pane.quiet_s()
        waits = [each for each in (unsteady, quiet) if each > 0]
        return max(0.005, min([self._timing.look_s, *waits]))

    # --- what is typed -----------------------------------------------------------------------------------------------

    async def _type(self, view: View) -> None:
        if not await self._typist.type(view, self._line):
            return
        self._typed += 1
        self._typed_at = time.monotonic()
        await self._until(lambda seen: bool(seen.text), self._timing.echo_s)
        await self._until(lambda seen: parts.is_whole(seen.text, self._line), self._timing.steady_s)

    async def _enter(self) -> bool:
        """Press Enter once the runtime's delay has passed, if all still is as it should be; whether it was taken."""
        if self._typed_at is not None:
            await asyncio.sleep(self._typed_at + self._timing.enter_delay_s - time.monotonic())
        view = await self._typist.view()
        if await self._why_not(view) or not parts.is_whole(view.text, self._line):
            return False
        if not await self._typist.press(view, "Enter"):
            return False
        self._entered += 1
        if self._entered == 1:
            await self._on_enter()
        if not await self._until(lambda seen: not self._stands(seen), self._timing.entered_s):
            return False
        # A screen that is half drawn shows no line either.
        return not await self._until(self._stands, self._timing.steady_s)

    def _stands(self, view: View) -> bool:
        """Whether our line stands in the prompt box, whole and alone."""
        return parts.is_whole(view.text, self._line)

    async def _erase(self, view: View) -> bool:
        """Erase what stands in the prompt box if it is a part of what we typed just now, and nothing else."""
        return await self._erased(view, parts.surplus(view.text, self._line))

    async def _clear(self, view: View) -> bool:
        """Erase a line of ours, for another message, that an earlier wake had to leave."""
        old = line.known(view.text)
        return bool(old) and await self._erased(view, len(old), is_typed_now=False)

    async def _withdraw(self, view: View) -> None:
        """Take our line back that nobody needs any more."""
        if self._stands(view):
            await self._erased(view, len(self._line))

    async def _erased(self, view: View, count: int, *, is_typed_now: bool = True) -> bool:
        """Erase *count* characters that we typed, if nothing else happened in the prompt box; whether that was done."""
        if self._cleared >= CLEARED or (is_typed_now and self._is_somebodys(view.look)):
            return False
        if not count or self._typist.steady_s(view) < self._timing.steady_s:
            return False
        runtime = await self._runtime_of(view.look)
        if refusal(view.look, view.reading, self._place, runtime=runtime, expected=view.text):
            return False
        async with self._typing():
            if not await self._typist.press(view, "BSpace", times=count):
                return False
            self._cleared += 1
            await self._until(lambda seen: seen.text != view.text, self._timing.echo_s)
        return True

    def _is_somebodys(self, look: Look) -> bool:
        """Whether we did not type yet, or a person did something since."""
        if self._typed_at is None:
            return True
        return look.last_key_s is not None and look.last_key_s < look.at - self._typed_at + 1

    async def _until(self, holds: Callable[[View], bool], limit_s: float) -> bool:
        """Look until *holds* of what is seen; False when it does not within *limit_s*."""
        return await self._typist.until(holds, limit_s, look_s=self._timing.steady_s)

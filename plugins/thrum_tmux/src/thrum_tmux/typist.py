"""How anything is typed into a pane: look, judge what is seen, and let tmux take the key only if it still is so.

Whoever types here says what must hold (a `Judge`); that nothing changes between the look and the key is seen to here, for
wakes, greetings, launches and `tmux send` alike.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from thrum_tmux.pane import Look, Pane
from thrum_tmux.screen.patterns import Patterns
from thrum_tmux.screen.pins import pinned
from thrum_tmux.screen.reading import Reading, read

UNSTEADY: Final = "its screen changes whenever it is typed into"
_LEAST_S: Final = 0.01
"""Between two looks at a pane that writes without end."""


@dataclass(frozen=True, slots=True)
class View:
    """A look and what it says."""

    look: Look
    reading: Reading

    @property
    def text(self) -> str:
        """What stands in the prompt box."""
        return self.reading.text

    @property
    def pins(self) -> str:
        """What holds as long as the pane is as it was looked at."""
        return pinned(self.look, self.reading)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of the next key.

    Attributes:
        reason: why it is not to be typed; empty: it is.
        is_final: looking again changes nothing.
    """

    reason: str = ""
    is_final: bool = False


Judge = Callable[[View], Awaitable[Verdict]]


class Typist:
    """Types into one pane.

    Args:
        patterns: by which its screens are read.
    """

    def __init__(self, pane: Pane, patterns: Patterns) -> None:
        self._pane = pane
        self._patterns = patterns
        self._same: tuple[object, ...] | None = None
        self._same_since = 0.0

    async def view(self) -> View:
        """What the pane shows now. Raises as `Pane.look`."""
        look = await self._pane.look()
        reading = read(look.lines, look.cursor, self._patterns, columns=look.size[0])
        drawn = look.lines if reading.owner == "dialog" else ()
        same = (reading.owner, reading.text, reading.rows, drawn)
        if same != self._same:
            self._same, self._same_since = same, look.at
        return View(look, reading)

    def steady_s(self, view: View) -> float:
        """How long the prompt box has been seen as *view* has it."""
        return view.look.at - self._same_since

    async def type(self, view: View, text: str, *, enter: bool = False) -> bool:
        """Type *text* if the pane is as *view* has it; whether it was. See `Pane.type`."""
        return await self._pane.type(text, only_if=view.pins, enter=enter)

    async def press(self, view: View, key: str, *, times: int = 1) -> bool:
        """Press a key if the pane is as *view* has it; whether it was."""
        return await self._pane.key(key, times=times, only_if=view.pins)

    async def once(
        self,
        judge: Judge,
        act: Callable[[View], Awaitable[bool]],
        *,
        limit_s: float,
        steady_s: float = 0.0,
        look_s: float = 0.1,
    ) -> tuple[View, Verdict]:
        """Look until *judge* has nothing against it, and *act*, once.

        Args:
            act: types, if the pane is as it was looked at; whether it did.
            steady_s: that the prompt box must stay the same to be believed.
            look_s: until the next look, unless there is output before.

        Returns:
            The view that was acted on, or the last one; why not, where nothing was done.
        """
        end = time.monotonic() + limit_s
        while True:
            view = await self.view()
            verdict = await judge(view)
            is_steady = self.steady_s(view) >= steady_s
            if not verdict.reason and is_steady:
                if await act(view):
                    return view, verdict
                verdict = Verdict(UNSTEADY)
            remaining = end - time.monotonic()
            if remaining <= 0 and not verdict.reason:
                verdict = Verdict(UNSTEADY)
            if verdict.reason and (remaining <= 0 or (verdict.is_final and is_steady)):
                return view, verdict
            await asyncio.sleep(_LEAST_S)
            await self._pane.until_output(max(0.0, min(remaining, look_s)))

    async def until(self, holds: Callable[[View], bool], limit_s: float, *, look_s: float) -> bool:
        """Look until *holds* of what is seen; False when it does not within *limit_s*."""
        end = time.monotonic() + limit_s
        while not holds(await self.view()):
            remaining = end - time.monotonic()
            if remaining <= 0:
                return False
            await self._pane.until_output(min(remaining, look_s))
        return True

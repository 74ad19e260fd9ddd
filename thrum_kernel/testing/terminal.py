"""A terminal in memory: keeps what is typed, and lets a test answer as the program in a pane would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Answer = Callable[[str], str]
"""What the program in a pane prints when it is given a line; empty when it prints nothing."""

ENTER: Final = "Enter"


class PaneGone(OSError):
    """There is no such pane; it is closed, or never was open."""

    def __init__(self, pane: str) -> None:
        super().__init__(f"no pane {pane}")
        self.pane = pane


@dataclass(frozen=True, slots=True)
class Typed:
    """Something that was put into a pane: *text* as it is, or the name of a *key*."""

    pane: str
    kind: Literal["text", "key"]
    what: str


@dataclass(slots=True)
class _Pane:
    answer: Answer
    screen: list[str] = field(default_factory=list)
    line: str = ""


class FakeTerminal:
    """Panes by name, e.g. ``team:0.1``. What is typed stays on the line until ``Enter`` gives it to the program.

    ::

        terminal = FakeTerminal()
        terminal.open("team:0.0", answer=lambda line: f"you said {line}", screen="ready")
        await terminal.type("team:0.0", "hello")
        await terminal.press("team:0.0", "Enter")
        assert await terminal.capture("team:0.0") == "ready\\nhello\\nyou said hello"

    Attributes:
        typed: everything, in order, whatever became of the pane.
    """

    def __init__(self) -> None:
        self.typed: list[Typed] = []
        self._panes: dict[str, _Pane] = {}

    # what a program that drives a terminal does

    async def type(self, pane: str, text: str) -> None:
        """Type *text*, without ``Enter``. Raises PaneGone."""
        found = self._pane(pane)
        self.typed.append(Typed(pane, "text", text))
        found.line += text

    async def press(self, pane: str, *keys: str) -> None:
        """Press keys by name, one after the other. Raises PaneGone."""
        found = self._pane(pane)
        for key in keys:
            self.typed.append(Typed(pane, "key", key))
            if key == ENTER:
                self._enter(found)

    async def capture(self, pane: str, *, lines: int | None = None) -> str:
        """What the pane shows, or the last *lines* of it. Raises PaneGone."""
        found = self._pane(pane)
        shown = [*found.screen, *([found.line] if found.line else [])]
        return "\n".join(shown if lines is None else shown[max(0, len(shown) - lines) :])

    async def panes(self) -> Sequence[str]:
        """The panes that are open, in the order in which they were opened."""
        return tuple(self._panes)

    # what a test does

    def open(self, pane: str, *, answer: Answer = lambda line: "", screen: str = "") -> None:
        """Open a pane in which a program runs that answers so, and has printed *screen*."""
        self._panes[pane] = _Pane(answer, screen.splitlines())

    def close(self, pane: str) -> None:
        """The pane ends, and with it its program. Raises PaneGone."""
        self._pane(pane)
        del self._panes[pane]

    def show(self, pane: str, text: str) -> None:
        """The program in the pane prints something of its own accord. Raises PaneGone."""
        self._pane(pane).screen += text.splitlines()

    def lines(self, pane: str) -> list[str]:
        """What was typed into a pane, line by line, as ``Enter`` ended them; an open line comes last."""
        found = [""]
        for each in self.typed:
            if each.pane != pane:
                continue
            if each.kind == "text":
                found[-1] += each.what
            elif each.what == ENTER:
                found.append("")
        return found if found[-1] else found[:-1]

    def _enter(self, pane: _Pane) -> None:
        line, pane.line = pane.line, ""
        pane.screen.append(line)
        pane.screen += pane.answer(line).splitlines()

    def _pane(self, name: str) -> _Pane:
        if name not in self._panes:
            raise PaneGone(name)
        return self._panes[name]

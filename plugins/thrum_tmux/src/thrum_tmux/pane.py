"""A pane of a terminal, as everything that looks at it or types into it sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a pane shows and holds, taken by tmux at one moment.

    Attributes:
        lines: the visible screen, a string a row, not joined, without escapes; with *history* older rows come first.
        cursor: (column, row) of the visible screen, from 0.
        size: (columns, rows).
        in_mode: a person scrolls or selects in it (copy mode and the like): keys go there, not to the program.
        synchronized: what is typed into it is typed into other panes too.
        dead: its program ended and the pane stayed.
        command: name of the program in its foreground.
        pid: the process that tmux started in it.
        last_key_s: seconds since a person did something in a terminal attached to the session, at the least; None when
            nobody is attached. tmux counts in whole seconds, so it may be up to one second more.
        at: when it was taken, `time.monotonic`.
        alternate: the program draws on the alternate screen.
        activity: when a person did something in the session last, as tmux's own format ``session_activity`` tells it;
            empty when that is not asked.
    """

    lines: tuple[str, ...]
    cursor: tuple[int, int]
    size: tuple[int, int]
    in_mode: bool
    synchronized: bool
    dead: bool
    command: str
    pid: int
    last_key_s: float | None
    at: float
    alternate: bool = False
    activity: str = ""


class Pane(Protocol):
    """One pane, by the id that tmux gave it; it means that pane as long as its server lives and it stays in its session."""

    @property
    def id(self) -> str:
        """E.g. ``%3``."""
        ...

    @property
    def session(self) -> str:
        """Name of its session."""
        ...

    async def look(self, history: int = 0) -> Look:
        """What it shows now; *history* further rows that scrolled out, where there are so many.

        Raises:
            PaneMissing: it is gone.
            TmuxError, ServerSilent: tmux cannot tell.
        """
        ...

    def quiet_s(self) -> float:
        """Seconds since its program wrote something; 0 while that is not known, or there is more than can be taken."""
        ...

    async def until_quiet(self, seconds: float, deadline_s: float) -> bool:
        """Wait until it was quiet for *seconds*; False when that does not happen within *deadline_s*."""
        ...

    async def until_output(self, deadline_s: float) -> bool:
        """Wait until its program writes something; False when it does not within *deadline_s*."""
        ...

    async def type(self, text: str, *, only_if: str = "", paste: bool = False, enter: bool = False) -> bool:
        """Type *text* literally, at one moment for tmux.

        Args:
            text: several lines, or a very long one, are pasted, bracketed where the program asked for that.
            only_if: a format that tmux judges together with the keys; what it judges false is not typed.
            paste: paste also a single line.
            enter: Enter follows in the same moment. Only for a shell: a runtime may take it for a part of the text.

        Returns:
            Whether it was typed; nothing was, if not.

        Raises:
            PaneMissing: it is gone, or in another session; nothing was typed.
            UsageError: the text holds a control character.
        """
        ...

    async def key(self, name: str, *, times: int = 1, only_if: str = "") -> bool:
        """Press a key by tmux's name for it, e.g. ``Enter``, so many *times*; whether it was pressed. See `type`."""
        ...

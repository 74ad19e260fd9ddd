"""What tmux writes to a control-mode client, as events; no input or output of its own.

An answer is a block between ``%begin TIME NUMBER FLAGS`` and ``%end`` or ``%error`` with the very same three numbers,
so text of a pane that looks like an end does not end it. Everything else is one notification a line; none comes within
a block. The output of panes is the bulk, and only its being there is of interest: the text is dropped here.

Source: tmux(1), "CONTROL MODE".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_OUTPUT: Final = (b"%output ", b"%extended-output ")
_OURS: Final = b"1"


@dataclass(frozen=True, slots=True)
class Output:
    """A pane's program wrote something."""

    pane: str


@dataclass(frozen=True, slots=True)
class Paused:
    """There is more output than we took in time; tmux holds it back until told to go on."""

    pane: str


@dataclass(frozen=True, slots=True)
class Continued:
    """A pane that was paused goes on."""

    pane: str


@dataclass(frozen=True, slots=True)
class Block:
    """The answer to one command.

    Attributes:
        lines: what it printed.
        ok: it was carried out; otherwise the lines say why not.
        is_ours: this client asked for it.
    """

    lines: tuple[str, ...]
    ok: bool
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """Any other notification.

    Attributes:
        name: without ``%``, e.g. ``session-changed``; empty for a line that is no notification.
        text: what follows the name.
    """

    name: str
    text: str


Event = Output | Paused | Continued | Block | Notice


class Parser:
    """Bytes in, events out; a line may come in any number of pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._guard = b""
        self._block: list[bytes] | None = None

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes complete; of output that one pane wrote in a row, one event is enough."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        events: list[Event] = []
        for event in self._events(lines):
            if not (isinstance(event, Output) and events and events[-1] == event):
                events.append(event)
        return events

    def _events(self, lines: list[bytes]) -> Iterator[Event]:
        for line in lines:
            if self._block is not None:
                yield from self._within(line)
            elif line.startswith(_OUTPUT):
                yield Output(line.split(b" ", 2)[1].decode("ascii", "replace"))
            elif line.startswith(b"%begin "):
                self._guard, self._block = line[len(b"%begin ") :], []
            else:
                yield _notice(line)

    def _within(self, line: bytes) -> Iterator[Block]:
        word, _, guard = line.partition(b" ")
        assert self._block is not None
        if guard != self._guard or word not in (b"%end", b"%error"):
            self._block.append(line)
            return
        lines = tuple(each.decode("utf-8", "replace") for each in self._block)
        self._block = None
        yield Block(lines, word == b"%end", guard.rpartition(b" ")[2] == _OURS)


def _notice(line: bytes) -> Event:
    text = line.decode("utf-8", "replace")
    if not text.startswith("%"):
        return Notice("", text)
    name, _, rest = text[1:].partition(" ")
    if name == "pause":
        return Paused(rest)
    if name == "continue":
        return Continued(rest)
    return Notice(name, rest)

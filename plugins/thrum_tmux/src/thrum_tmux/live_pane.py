"""A pane of a real tmux server: looked at with one chained command, typed into with one that tmux judges."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator, Sequence
from typing import Final

from thrum_kernel.errors import UsageError
from thrum_tmux.control import words
from thrum_tmux.control.words import Words
from thrum_tmux.errors import ClientLost, PaneMissing, TmuxError
from thrum_tmux.model import PaneRow, ServerId
from thrum_tmux.pane import Look
from thrum_tmux.server import Server

CHUNK_BYTES: Final = 512
"""What one command of a row types: a program that reads slowly still gets it whole."""
TYPED_BYTES: Final = 4 * CHUNK_BYTES
"""What is longer is pasted: a row of commands that tmux judges with what pins the pane is at most 16 KiB."""
PIECE_BYTES: Final = 8192
"""What one command puts into a buffer: a command of tmux is at most 16 KiB."""
MOST_BYTES: Final = 1 << 20

_FACTS: Final = (
    "pid",
    "start_time",
    "cursor_x",
    "cursor_y",
    "pane_width",
    "pane_height",
    "pane_in_mode",
    "pane_synchronized",
    "pane_dead",
    "alternate_on",
    "pane_pid",
    "session_activity",
    "pane_current_command",
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINE_ENDS: Final = re.compile(r"\r\n?")
_buffers = itertools.count(1)


class LivePane:
    """`pane.Pane` over a `Server`.

    Args:
        row: where it was when it was found.
        server: its server, in the life that *identity* names.
    """

    def __init__(self, server: Server, identity: ServerId, row: PaneRow) -> None:
        self._server = server
        self._identity = identity
        self._row = row

    @property
    def id(self) -> str:
        return self._row.id

    @property
    def _aim(self) -> str:
        """The pane in its session: once it is in another one tmux finds none."""
        return f"{self._row.session}:.{self._row.id}"

    @property
    def session(self) -> str:
        row = self._server.known.sessions.get(self._row.session)
        return row.name if row is not None else ""

    @property
    def place(self) -> str:
        """``session:window.pane`` as it is now; empty when it is gone."""
        row = self._server.known.panes.get(self.id)
        return self._server.known.place_of(row) if row is not None else ""

    # --- looking -----------------------------------------------------------------------------------------------------

    async def look(self, history: int = 0) -> Look:
        aimed = ("-t", self._aim)
        above = ("-S", f"-{history}") if history > 0 else ()
        questions: tuple[Words, ...] = (
            ("display-message", "-p", *aimed, "\t".join(f"#{{{name}}}" for name in _FACTS)),
            ("list-clients", "-t", self._row.session, "-F", "#{client_control_mode} #{client_activity}"),
            ("capture-pane", "-p", *aimed, *above),
        )
        try:
            facts, clients, lines = await self._ask(*questions)
        except ClientLost:  # looking changes nothing, so it is done again
            facts, clients, lines = await self._ask(*questions)
        server, started, *values = facts[0].split("\t", len(_FACTS) - 1)
        if (_number(server), _number(started)) != (self._identity.pid, self._identity.started):
            raise PaneMissing(self.id)
        x, y, width, height, in_mode, synchronized, dead, alternate, pid = map(_number, values[:-2])
        return Look(
            lines=lines,
            cursor=(x, y),
            size=(width, height),
            in_mode=bool(in_mode),
            synchronized=bool(synchronized),
            dead=bool(dead),
            command=values[-1],
            pid=pid,
            last_key_s=_last_key_s(clients),
            at=time.monotonic(),
            alternate=bool(alternate),
            activity=values[-2],
        )

    def quiet_s(self) -> float:
        return self._server.activity.quiet_s(self.id)

    async def until_quiet(self, seconds: float, deadline_s: float) -> bool:
        return await self._server.activity.until_quiet(self.id, seconds, deadline_s=deadline_s)

    async def until_output(self, deadline_s: float) -> bool:
        return await self._server.activity.until_output(self.id, deadline_s=deadline_s)

    # --- typing ------------------------------------------------------------------------------------------------------

    async def type(self, text: str, *, only_if: str = "", paste: bool = False, enter: bool = False) -> bool:
        plain = checked(text)
        end = (self._pressing("Enter"),) if enter else ()
        if paste or "\n" in plain or len(plain.encode("utf-8", "surrogateescape")) > TYPED_BYTES:
            return await self._paste(plain, only_if, end)
        typing = [("send-keys", "-t", self._aim, "-l", "--", chunk) for chunk in chunks(plain, CHUNK_BYTES)]
        return await self._judged(only_if, *typing, *end)

    async def key(self, name: str, *, times: int = 1, only_if: str = "") -> bool:
        return await self._judged(only_if, self._pressing(name, times))

    def _pressing(self, name: str, times: int = 1) -> Words:
        return ("send-keys", "-N", str(times), "-t", self._aim, "--", name)

    async def _paste(self, text: str, only_if: str, end: Sequence[Words]) -> bool:
        """From a buffer of our own, as a terminal pastes: bracketed if the program asked for it."""
        buffer = f"thrum-{self._identity.pid}-{next(_buffers)}"
        for piece in chunks(text, PIECE_BYTES):
            await self._ask(("set-buffer", "-a", "-b", buffer, "--", piece))
        pasting = ("paste-buffer", "-p", "-d", "-b", buffer, "-t", self._aim)
        try:
            is_pasted = await self._judged(only_if, pasting, *end)
        except PaneMissing:
            await self._ask(("delete-buffer", "-b", buffer))
            raise
        if not is_pasted:
            await self._ask(("delete-buffer", "-b", buffer))
        return is_pasted

    async def _judged(self, only_if: str, *typing: Words) -> bool:
        """Type if this is still the server we mean and *only_if* holds, both judged by tmux as it types."""
        same = (
            f"#{{&&:#{{==:#{{pid}},{self._identity.pid}}},#{{==:#{{start_time}},{self._identity.started}}}}}"
        )
        condition = f"#{{&&:{same},{only_if}}}" if only_if else same
        done = words.line([*typing, ("display-message", "-p", "typed")])
        (lines,) = await self._ask(("if-shell", "-F", "-t", self._aim, condition, done))
        return lines == ("typed",)

    async def _ask(self, *commands: Words) -> list[tuple[str, ...]]:
        known = self._server.known.server
        if known is not None and known != self._identity:
            raise PaneMissing(self.id)  # another life of the server: the id means another pane
        try:
            return await self._server.ask(*commands, near=self._row.session)
        except TmuxError as error:
            if str(error).startswith(("can't find pane", "can't find session", "can't find window")):
                raise PaneMissing(self.id) from None
            raise


def checked(text: str) -> str:
    """*text* with line ends as ``\\n``.

    Raises:
        UsageError: it holds a character that is a key and no text, or is longer than a mebibyte.
    """
    plain = _LINE_ENDS.sub("\n", text)
    found = _CONTROL.search(plain)
    if found is not None:
        raise UsageError(
            f"the text holds the control character U+{ord(found[0]):04X}, which is a key and no text",
            hint="a key is sent by tmux itself: tmux send-keys -t SESSION C-c",
        )
    size = len(plain.encode("utf-8", "surrogateescape"))
    if size > MOST_BYTES:
        raise UsageError(f"{size} bytes are too many to type; at most {MOST_BYTES}")
    return plain


def chunks(text: str, most_bytes: int) -> Iterator[str]:
    """*text* in pieces of at most *most_bytes* of UTF-8, none of which ends within a character."""
    piece: list[str] = []
    size = 0
    for character in text:
        width = len(character.encode("utf-8", "surrogateescape"))
        if size + width > most_bytes:
            yield "".join(piece)
            piece, size = [], 0
        piece.append(character)
        size += width
    if piece:
        yield "".join(piece)


def _number(value: str) -> int:
    return int(value) if value else 0


def _last_key_s(clients: tuple[str, ...]) -> float | None:
    """Of the clients that are people's; a whole second may be left out."""
    people = [line.partition(" ")[2] for line in clients if line.startswith("0 ")]
    if not people:
        return None
    return max(0.0, time.time() - max(map(int, people)) - 1)

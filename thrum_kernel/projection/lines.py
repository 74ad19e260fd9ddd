"""Lines of the log on their way in, and what a rule can say of them."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from thrum_kernel.events import Event, UnknownEvent

HeldKind = Literal["agent", "message", "ahead", "type", "refused", "conflict"]


class Projected(NamedTuple):
    """One line of the log on its way into the projection.

    Attributes:
        writer: whose file it lies in.
        daemon: the daemon that the file belongs to.
        sequence: its number in that file; with *writer* its place.
        event: the line, decoded.
        line: its bytes without the newline.
    """

    writer: str
    daemon: str
    sequence: int
    event: Event | UnknownEvent
    line: bytes


LogLine: TypeAlias = tuple[str, str, int, bytes]
"""(writer, daemon, sequence, line), as the store reads lines."""


class Place(NamedTuple):
    """Where an event lies, by key of its writer, and the daemon that wrote it."""

    writer: int
    sequence: int
    daemon: str


class Held(NamedTuple):
    """Why an event does not count now; see `queries.HeldRow`."""

    kind: HeldKind
    subject: str
    note: str


class Gone(NamedTuple):
    """The event is about something that was purged."""


GONE = Gone()
Verdict = Held | Gone | None
"""What a rule answers: None when the event counts."""

"""Which of the records that are brought over must not travel: what looks like a secret and was never on the remote."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from thrum_kernel.events import Event, EventTypes, core
from thrum_kernel.migrate.chunks import Chunk, chunk_alone

Text: TypeAlias = tuple[str, str, str]
"""A message's id, what it says, and its structured body as JSON (empty for none)."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """An event in a chunk of its own, with the patterns for which it stays here."""

    name: str
    chunk: Chunk
    patterns: tuple[str, ...]


@dataclass(slots=True)
class Sifted:
    """Events, sorted by whether they may travel.

    Attributes:
        free: those that may.
        withheld: those that must not before somebody releases them, by event id.
        left_before: names of those among `free` that look like a secret and have been on the remote before.
    """

    free: list[Event] = field(default_factory=list)
    withheld: list[Withheld] = field(default_factory=list)
    left_before: list[str] = field(default_factory=list)


def sift(
    events: Iterable[Event],
    types: EventTypes,
    *,
    scan: Callable[[bytes], Sequence[str]],
    on_remote: Callable[[], Collection[Text]],
) -> Sifted:
    """Sort *events*.

    Args:
        scan: names of the patterns of secrets that a line matches.
        on_remote: the texts that the remote has of the earlier layouts; asked at most once, and only where needed.
    """
    sifted = Sifted()
    left: Collection[Text] | None = None
    for event in sorted(events, key=lambda event: event.event_id):
        patterns = tuple(scan(types.encode(event)))
        if patterns:
            left = on_remote() if left is None else left
            if _text(event) in left:
                sifted.left_before.append(_name(event))
            else:
                sifted.withheld.append(Withheld(_name(event), chunk_alone(event, types), patterns))
                continue
        sifted.free.append(event)
    return sifted


def _text(event: Event) -> Text | None:
    if isinstance(event, core.MessageCreate | core.MessageEdit):
        return _message(event), event.body.content, str(event.body.structured or "")
    return None


def _name(event: Event) -> str:
    """What people call it by: the message that it makes or changes, else the event."""
    return _message(event) if isinstance(event, core.MessageCreate | core.MessageEdit) else event.event_id


def _message(event: core.MessageCreate | core.MessageEdit) -> str:
    return event.message_id if isinstance(event, core.MessageEdit) else f"msg_{event.ulid}"

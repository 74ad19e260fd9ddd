"""What a held line is about, read from its bytes: for telling of it, and for finding it by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from thrum_kernel.jsonlines import decoder
from thrum_kernel.store.ranges import HeldLine


class About(msgspec.Struct):
    """What a line says of itself.

    Attributes:
        type, event_id, timestamp: of the event.
        agent_id: who wrote it; empty where the type has no author.
        message_id: the message that an edit is about; empty for others.
        body: of a message or an edit.
    """

    type: str = ""
    event_id: str = ""
    timestamp: str = ""
    agent_id: str = ""
    created_by: str = ""
    message_id: str = ""
    incarnation: str = ""
    body: Any = None

    @property
    def author(self) -> str:
        """Who wrote it; empty where the type has no author."""
        return self.agent_id or self.created_by

    @property
    def message(self) -> str:
        """The id of the message it makes or changes; empty for other events."""
        if self.type == "message.create":
            return f"msg_{self.event_id.removeprefix('evt_')}"
        return self.message_id

    @property
    def name(self) -> str:
        """What people call it by: the message where it makes one, else the event."""
        return self.message if self.type == "message.create" else self.event_id


_decode = decoder(About)


def about(line: bytes) -> About:
    """What *line* says of itself; of one that is no event nothing."""
    try:
        return _decode(line)
    except msgspec.MsgspecError:
        return About()


def event_id_of(line: bytes) -> str:
    """The id of a line's event; empty when it is none."""
    return about(line).event_id


def is_erased(held: HeldLine) -> bool:
    """Whether the text of a held line was deleted."""
    return bool(about(held.line).body == {"content": ""})


def named(lines: Iterable[HeldLine], name: str) -> list[HeldLine]:
    """The lines that a message id means (the message and its edits), or an event id (that one); each event once."""
    found: dict[str, HeldLine] = {}
    for line in lines:
        said = about(line.line)
        if name in (said.event_id, said.message):
            found.setdefault(said.event_id, line)
    return list(found.values())


def held_names(lines: Iterable[HeldLine]) -> list[str]:
    """What people call *lines* by, each once."""
    return list(dict.fromkeys(about(line.line).name for line in lines))

"""Events: lines of the log, and what a type of them is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec


class Event(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all typed events; a subclass adds its payload as flat fields and its ``tag``.

    The envelope's fields are explained in `thrum_kernel.events.envelope`; ``PluginContext.emit`` fills them in.
    """

    event_id: str
    timestamp: str
    origin_daemon: str
    sequence: int = 0
    v: int = 1
    request_id: str = ""
    asserted: bool = False

    @property
    def type(self) -> str:
        """The event's type, e.g. ``message.create``."""
        tag = self.__struct_config__.tag
        assert isinstance(tag, str)
        return tag

    @property
    def ulid(self) -> str:
        """The ULID in ``event_id``."""
        return self.event_id[4:]


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event.

    Attributes:
        name: e.g. ``message.create``.
        payload: a ``msgspec.Struct`` below `Event` whose tag is *name*.
        version: highest version of the payload that this code understands; a higher one is kept, not applied.
        scope: ``shared`` travels between clones; ``local`` never enters the journal.
        shard: ``messages`` when it belongs to the author's files, else ``events``.
    """

    name: str
    payload: type[Any]
    version: int = 1
    scope: Literal["shared", "local"] = "shared"
    shard: Literal["messages", "events"] = "events"

"""The event types that are known here: the kernel's and those of the plugins that are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from thrum_kernel.api import EventType
from thrum_kernel.events.envelope import Event, UnknownEvent, read_head
from thrum_kernel.jsonlines import decoder

_encoder = msgspec.json.Encoder()


class EventTypes:
    """Decodes and encodes events by type."""

    def __init__(self, types: Iterable[EventType] = ()) -> None:
        self._types: dict[str, EventType] = {}
        self._decoders: dict[str, Callable[[bytes], Event]] = {}
        for event_type in types:
            self.add(event_type)

    def __iter__(self) -> Iterator[EventType]:
        return iter(self._types.values())

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def __getitem__(self, name: str) -> EventType:
        return self._types[name]

    def add(self, event_type: EventType) -> None:
        """Make a type known.

        Raises:
            ValueError: the name is taken, or the payload's tag is another name.
        """
        if event_type.name in self._types:
            raise ValueError(f"event type {event_type.name} is already known")
        tag = event_type.payload.__struct_config__.tag
        if tag != event_type.name:
            raise ValueError(f"event type {event_type.name}: its payload is tagged {tag!r}")
        self._types[event_type.name] = event_type
        self._decoders[event_type.name] = decoder(event_type.payload)

    def remove(self, name: str) -> None:
        """Forget a type; events of it are unknown from now on."""
        del self._types[name]
        del self._decoders[name]

    def decode(self, line: bytes) -> Event | UnknownEvent:
        """The event of a line, typed when its type is known.

        Raises:
            msgspec.MsgspecError: the line is not an event, or not one of the shape its type asks for.
        """
        head = read_head(line)
        decode = self._decoders.get(head.type)
        if decode is None or head.v > self._types[head.type].version:
            return UnknownEvent(head=head, line=line)
        return decode(line)

    def encode(self, event: Event) -> bytes:
        """The line of an event, without its newline."""
        return _encoder.encode(event)

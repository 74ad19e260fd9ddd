"""Events survive the trip to a line and back; what nobody knows is kept byte for byte."""

from __future__ import annotations

import msgspec
import pytest

from thrum_kernel.api import EventType
from thrum_kernel.events import Event, EventTypes, UnknownEvent
from thrum_kernel.events.core import CORE_EVENT_TYPES, Body, MessageCreate, Recipient

ENVELOPE = {
    "event_id": "evt_01HZX3V9A0000000000000000A",
    "timestamp": "2026-06-23T07:21:58.000000Z",
    "origin_daemon": "d_1",
}


def test_a_message_round_trips() -> None:
    types = EventTypes(CORE_EVENT_TYPES)
    event = MessageCreate(
        **ENVELOPE,
        sequence=3,
        agent_id="alice",
        incarnation="01A",
        body=Body(content="hello\n\x00ü", structured={"pr": 42}),
        recipients=[Recipient("bob", "d_1", "01B")],
    )

    line = types.encode(event)

    assert types.decode(line) == event
    assert b"\n" not in line
    assert line.startswith(b'{"type":"message.create","event_id":"evt_')


def test_every_core_type_is_tagged_with_its_name() -> None:
    types = EventTypes(CORE_EVENT_TYPES)

    assert len(list(types)) == len(CORE_EVENT_TYPES)
    for event_type in types:
        assert event_type.payload.__struct_config__.tag == event_type.name
        assert event_type.payload.__doc__ or event_type.name.startswith(("agent.session", "group."))


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"acme.deploy", "event_id":"evt_1","timestamp":"t","origin_daemon":"d", "x" : [1, 2.50]}',
        b'{"type":"message.create","v":99,"event_id":"evt_1","timestamp":"t","origin_daemon":"d"}',
    ],
)
def test_unknown_types_and_later_versions_are_kept_byte_for_byte(line: bytes) -> None:
    decoded = EventTypes(CORE_EVENT_TYPES).decode(line)

    assert isinstance(decoded, UnknownEvent)
    assert decoded.line == line
    assert decoded.head.event_id == "evt_1"


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"type":"message.create"}', b'{"type":1}'])
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        EventTypes(CORE_EVENT_TYPES).decode(line)


class Deployed(Event, kw_only=True, tag="acme.deploy"):
    """A type of a plugin."""

    x: list[float]


def test_a_type_is_known_while_its_plugin_is_there() -> None:
    types = EventTypes(CORE_EVENT_TYPES)
    line = b'{"type":"acme.deploy","event_id":"evt_1","timestamp":"t","origin_daemon":"d","x":[1]}'

    types.add(EventType(name="acme.deploy", payload=Deployed))
    known = types.decode(line)
    types.remove("acme.deploy")

    assert isinstance(known, Deployed)
    assert isinstance(types.decode(line), UnknownEvent)


def test_a_type_cannot_be_taken_twice_or_under_another_name() -> None:
    types = EventTypes(CORE_EVENT_TYPES)

    with pytest.raises(ValueError, match="already known"):
        types.add(EventType(name="message.create", payload=MessageCreate))
    with pytest.raises(ValueError, match="tagged"):
        types.add(EventType(name="acme.other", payload=Deployed))

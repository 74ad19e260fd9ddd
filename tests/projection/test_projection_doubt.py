"""Doubled ids, clocks that are ahead, unknown types, and what was purged."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from projection_log import DAY_US, NOW_US, START_US, FixedClock, LogMaker, core_types, project
from projection_world import World

from thrum_kernel.api import EventType
from thrum_kernel.clock import format_us
from thrum_kernel.events import Event, EventTypes, core
from thrum_kernel.projection import queries, replay
from thrum_kernel.projection.apply import Applied, Projector
from thrum_kernel.projection.db import Cache

# --- doubled ids, time, types -----------------------------------------------------------------------------------------


def test_of_two_lines_with_one_id_the_smaller_hash_counts(tmp_path: Path) -> None:
    texts = []
    for order in (1, -1):
        world = World(tmp_path / f"{order}.db")
        ulid = "01KSR4921S000000000000000A"
        world.take()
        for text, writer in (("one", "WA"), ("two", "WA2")):
            world.log.message(world.alice, [world.bob], text, ulid=ulid, at_us=START_US, writer=writer)
        lines = world.log.lines[-2:][::order]
        for line in lines:
            world.projector.apply_lines([line])
        target = tmp_path / "new.db"
        replay.rebuild(lambda w=world: [w.log.lines], target, core_types(), clock=FixedClock())
        world.cache.swap(target)
        texts.append(world.bodies())
        assert [kind for kind, _ in world.notes()] == ["conflict"]
        world.cache.close()
    assert texts[0] == texts[1]


def test_event_far_ahead_is_kept_and_released_in_time(world: World) -> None:
    ms = (NOW_US + DAY_US) // 1000 + 5000
    world.log.message(world.alice, [world.bob], "tomorrow", ulid=world.log.ulid(ms=ms))
    world.take()
    assert world.bodies() == []
    assert world.notes() == [("ahead", "its clock is more than a day ahead")]
    assert world.projector.release() == Applied()
    world.clock.us += 6_000_000
    assert [event.type for event in world.projector.release().events] == ["message.create"]
    assert world.bodies() == ["tomorrow"]
    assert world.notes() == []


class Thing(Event, kw_only=True, omit_defaults=True, tag="plugin.thing"):
    x: int


def _note_thing(db: sqlite3.Connection, event: Any) -> None:
    db.execute("INSERT INTO meta VALUES (?, ?)", (f"thing {event.x}", event.event_id))


def test_events_of_a_plugin_that_comes_later_are_projected_then(world: World) -> None:
    types = EventTypes(core.CORE_EVENT_TYPES)
    types.add(EventType("plugin.thing", Thing))
    event = Thing(
        event_id=f"evt_{world.log.ulid()}",
        timestamp=format_us(START_US),
        origin_daemon="d_A",
        x=7,
        sequence=2,
    )
    world.log.put_raw(types.encode(event).replace(b'"sequence":2', b'"sequence":%d'), daemon="d_A")
    world.take()
    assert queries.unprojected_types(world.cache) == {"plugin.thing": 1}
    assert world.projector.take_up_types() == Applied()
    later = Projector(world.cache, types, {Thing: _note_thing}, clock=world.clock)
    assert [told.type for told in later.take_up_types().events] == ["plugin.thing"]
    assert world.cache.read("SELECT key FROM meta WHERE key LIKE 'thing%'") == [("thing 7",)]
    assert queries.unprojected_types(world.cache) == {}


def test_failing_projector_of_a_plugin_costs_only_its_own_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(db: sqlite3.Connection, event: Any) -> None:
        db.execute("INSERT INTO meta VALUES ('half', 'done')")
        raise RuntimeError("plugin")

    log = LogMaker()
    alice = log.agent("alice")
    log.message(alice, [alice], "stays")
    cache = project(tmp_path / "a.db", log.lines, projectors={core.MessageCreate: fails})
    replay.rebuild(
        log.batches,
        tmp_path / "b.db",
        core_types(),
        projectors={core.MessageCreate: fails},
        clock=FixedClock(),
    )
    again = Cache(tmp_path / "b.db")
    for one in (cache, again):
        assert one.read("SELECT body_content FROM messages") == [("stays",)]
        assert one.read("SELECT * FROM meta WHERE key = 'half'") == []
        one.close()
    assert caplog.text.count("projector of message.create failed") == 2


def test_lines_that_are_no_events_are_kept_and_shown(world: World) -> None:
    world.log.put_raw(b'{"type":"message.create","event_id":"evt_%%d"}', daemon="d_A")
    world.log.put_raw(b"not json", daemon="d_A")
    world.log.message(world.alice, [world.bob], "after")
    world.take()
    assert world.bodies() == ["after"]
    assert [row.line for row in queries.quarantined(world.cache)][1] == b"not json"
    assert queries.projected(world.cache)["WA"] == [(1, 4)]


@pytest.mark.parametrize("field, value", [("timestamp", "yesterday"), ("event_id", "evt_nothing")])
def test_event_with_a_broken_field_is_refused_alone(world: World, field: str, value: str) -> None:
    message = world.log.message(world.alice, [world.bob], "broken")
    writer, daemon, sequence, line = world.log.lines.pop()
    fields = msgspec.json.decode(line)
    fields[field] = value
    world.log.lines.append((writer, daemon, sequence, msgspec.json.encode(fields)))
    world.log.message(world.alice, [world.bob], "whole", reply_to=f"msg_{message.ulid}")
    world.take()
    assert world.bodies() == ["whole"]
    assert [kind for kind, _ in world.notes()] == ["refused"]


# --- purges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purge_first", [False, True])
def test_purged_messages_go_and_stay_out(world: World, purge_first: bool) -> None:
    old = world.log.message(world.alice, [world.bob], "sesame", refs=[core.Label("issue", "sesame-1")])
    world.log.edit(old, "sesame edited")
    world.log.delete(old)
    kept = world.log.message(world.alice, [world.bob], "kept")
    lines = world.log.lines[2:]
    world.projector.apply_lines(world.log.lines[:2])
    world.log.add(core.PurgeExecuted, cutoff=kept.timestamp, by="alice")
    lines = [world.log.lines[-1], *lines] if purge_first else [*lines, world.log.lines[-1]]
    world.projector.apply_lines([*lines, *lines])
    world.log.put(old, daemon="d_A", writer="W9")
    world.projector.apply_lines(world.log.lines[-1:])
    assert world.bodies() == ["kept"]
    assert world.unread(world.bob) == 1
    assert queries.inbox_count(world.cache, world.key(world.bob)) == 1
    assert world.notes() == []
    assert world.projector.cutoff_us == START_US + 6000
    assert "sesame" not in "\n".join(world.cache.connection.iterdump())


def test_purge_leaves_open_sessions_alone(world: World) -> None:
    for name in ("ses_1", "ses_2"):
        who = {"session_id": name, "agent_id": "alice", "incarnation": world.alice.incarnation}
        world.log.add(core.SessionStart, **who)
    world.log.add(core.SessionEnd, **(who | {"session_id": "ses_1"}))
    world.log.add(core.PurgeExecuted, cutoff=format_us(NOW_US), by="alice")
    world.log.add(core.SessionEnd, **who)
    world.take(reverse=True)
    assert [row.session_id for row in queries.sessions(world.cache)] == ["ses_2"]
    assert [row.name for row in queries.live_agents(world.cache)] == ["bob", "alice"]

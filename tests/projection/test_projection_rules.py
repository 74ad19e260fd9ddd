"""What single events do: who may say what, what waits for what, what goes and stays gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from projection_log import DAY_US, NOW_US, START_US, FixedClock, LogMaker, core_types, project

from thrum_kernel.api import EventType
from thrum_kernel.clock import format_us
from thrum_kernel.events import Event, EventTypes, core
from thrum_kernel.ids import ulid_key
from thrum_kernel.projection import queries, replay
from thrum_kernel.projection.apply import Applied, Projector
from thrum_kernel.projection.db import Cache


class World:
    """A log and a cache that takes its lines when told."""

    def __init__(self, path: Path) -> None:
        self.log = LogMaker()
        self.clock = FixedClock()
        self.cache = Cache(path)
        self.projector = Projector(self.cache, self.log.types, clock=self.clock)
        self._taken = 0
        self.alice = self.log.agent("alice")
        self.bob = self.log.agent("bob", daemon="d_B")

    def take(self, *, reverse: bool = False) -> Applied:
        """Project the lines that were made since the last time."""
        lines = self.log.lines[self._taken :]
        self._taken = len(self.log.lines)
        return self.projector.apply_lines(lines[::-1] if reverse else lines)

    def bodies(self) -> list[str]:
        return [row[0] for row in self.cache.read("SELECT body_content FROM messages ORDER BY message_id")]

    def key(self, ref: core.AgentRef) -> int:
        agent = queries.agent_by_incarnation(self.cache, ref.incarnation)
        assert agent is not None
        return agent.id

    def unread(self, ref: core.AgentRef) -> int:
        return queries.unread_count(self.cache, self.key(ref))

    def notes(self) -> list[tuple[str, str]]:
        return [(row.kind, row.note) for row in queries.held(self.cache)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "messages.db")
    yield made
    made.cache.close()


# --- provenance -------------------------------------------------------------------------------------------------------


def test_message_counts_only_from_the_daemon_its_author_lives_on(world: World) -> None:
    world.log.message(world.alice, [world.bob], "forged", daemon="d_B")
    assert world.take().events[-1].type == "agent.register"
    assert world.bodies() == []
    assert world.notes() == [("agent", "alice does not live on d_B")]
    assert [row.daemon for row in queries.quarantined(world.cache)] == ["d_B"]


def test_message_of_a_stranger_counts_once_it_is_registered(world: World) -> None:
    carol = core.AgentRef("carol", "d_A", world.log.ulid())
    world.log.message(carol, [world.bob], "early")
    world.take()
    assert world.bodies() == []
    assert world.notes() == [("agent", "its author carol is not registered")]
    world.log.add(core.AgentRegister, ulid=carol.incarnation, agent_id="carol", role="r", module="m")
    told = world.take()
    assert [event.type for event in told.events] == ["agent.register", "message.create"]
    assert world.bodies() == ["early"]
    assert world.notes() == []
    assert world.unread(world.bob) == 1


def test_name_of_another_agent_is_refused(world: World) -> None:
    world.log.message(core.AgentRef("bob", "d_A", world.alice.incarnation), [], "as bob")
    world.take()
    assert world.notes() == [("refused", "bob writes as an incarnation of alice")]


def test_line_that_names_another_origin_is_refused(world: World) -> None:
    line = world.log.lines[0][3]
    world.log.put_raw(line.replace(b'"sequence":1', b'"sequence":%d'), daemon="d_B")
    world.take()
    assert world.notes() == [("refused", "written by d_B as d_A")]


@pytest.mark.parametrize("name", ["system", "monitor:build", "supervisor_a", "daemon"])
def test_sender_names_write_unregistered_and_are_each_daemons_own(world: World, name: str) -> None:
    for daemon in ("d_A", "d_B"):
        world.log.message(core.AgentRef(name, daemon, ""), [world.bob], f"from {daemon}")
    world.take()
    found = [
        queries.message(world.cache, row.key) for row in queries.inbox_page(world.cache, world.key(world.bob))
    ]
    authors = [message.author for message in found if message is not None]
    assert [(row.name, row.kind, row.incarnation, row.home) for row in authors] == [
        (name, "sender", "", "d_B"),
        (name, "sender", "", "d_A"),
    ]
    assert [row.name for row in queries.live_agents(world.cache)] == ["bob", "alice"]


@pytest.mark.parametrize("name", ["mallory", "user:ann"])
def test_other_names_write_only_when_registered(world: World, name: str) -> None:
    world.log.message(core.AgentRef(name, "d_A", ""), [], "hm")
    world.take()
    assert world.notes() == [("refused", f"{name} is not registered and no sender name")]


def test_user_disclosed_as_acting_may_write_from_elsewhere(world: World) -> None:
    world.log.message(world.alice, [world.bob], "plain", daemon="d_B", authored_by="user:ann")
    world.log.message(world.alice, [world.bob], "open", daemon="d_B", authored_by="user:ann", disclosed=True)
    world.take()
    assert world.bodies() == ["open"]
    shown = queries.message(world.cache, queries.inbox_page(world.cache, world.key(world.bob))[0].key)
    assert shown is not None
    assert (shown.author.name, shown.authored_by, shown.disclosed) == ("alice", "user:ann", True)


def test_agent_moves_with_its_unread_mail(world: World) -> None:
    world.log.message(world.bob, [world.alice], "wait for me")
    world.log.message(world.alice, [], "too early", daemon="d_B")
    move = {
        "agent_id": "alice",
        "incarnation": world.alice.incarnation,
        "from_daemon": "d_A",
        "to_daemon": "d_B",
    }
    world.log.add(core.AgentMove, daemon="d_A", **move)
    world.take(reverse=True)
    found = queries.local_agent(world.cache, "alice", "d_B")
    assert found is not None and (found.daemon, found.home, found.adopted) == ("d_A", "d_B", False)
    assert queries.local_agent(world.cache, "alice", "d_A") is None
    assert queries.unread_count(world.cache, found.id) == 1
    assert world.bodies() == ["wait for me", "too early"]


def test_only_the_new_home_adopts_and_only_the_old_one_gives_away(world: World) -> None:
    fields = {"agent_id": "alice", "incarnation": world.alice.incarnation, "from_daemon": "d_A"}
    world.log.add(core.AgentMove, daemon="d_C", to_daemon="d_B", adopted=True, **fields)
    world.log.add(core.AgentMove, daemon="d_C", to_daemon="d_C", **fields)
    world.take()
    alice = queries.agents_named(world.cache, "alice")[0]
    assert alice.home == "d_A"
    assert [kind for kind, _ in world.notes()] == ["refused", "agent"]
    world.log.add(core.AgentMove, daemon="d_C", to_daemon="d_C", adopted=True, **fields)
    world.take()
    alice = queries.agents_named(world.cache, "alice")[0]
    assert (alice.home, alice.adopted) == ("d_C", True)


# --- messages ---------------------------------------------------------------------------------------------------------


def test_edit_and_receipt_that_come_first_apply_when_the_message_comes(world: World) -> None:
    world.take()
    message = world.log.message(world.alice, [world.bob], "old")
    world.log.edit(message, "new")
    world.log.receipt(world.bob, "WA", [(1, 5)])
    world.take(reverse=True)
    assert world.bodies() == ["new"]
    assert world.unread(world.bob) == 0
    assert world.notes() == []


def test_edit_with_the_highest_id_holds_and_all_texts_are_kept(world: World) -> None:
    message = world.log.message(world.alice, [world.bob], "one")
    world.log.edit(message, "two")
    world.log.edit(message, "three")
    world.take(reverse=True)
    row = queries.messages(world.cache, [ulid_key(message.ulid)])[0]
    assert (row.body, row.edits) == ("three", 2)
    assert [edit.body for edit in queries.edits(world.cache, row.key)] == ["one", "two", "three"]
    shown = world.cache.read("SELECT old_content, new_content FROM message_edits ORDER BY event_id")
    assert shown == [("one", "two"), ("two", "three")]


@pytest.mark.parametrize("late", [False, True])
def test_deleted_message_has_no_text_anywhere(world: World, late: bool) -> None:
    message = world.log.message(world.alice, [world.bob], "sesame one", scopes=[core.Label("module", "m")])
    world.log.edit(message, "sesame two")
    world.log.delete(message, reason="secret")
    world.log.edit(message, "sesame three")
    world.take(reverse=late)
    row = queries.messages(world.cache, [ulid_key(message.ulid)])[0]
    assert (row.body, row.structured, row.delete_reason) == ("", None, "secret")
    assert row.deleted_us is not None
    assert world.unread(world.bob) == 0
    assert queries.inbox_count(world.cache, world.key(world.bob)) == 1
    assert queries.inbox_page(world.cache, world.key(world.bob), unread=True) == []
    dump = "\n".join(world.cache.connection.iterdump())
    assert "sesame" not in dump
    world.cache._checkpointer.close()  # waits for its thread
    for file in world.cache.path.parent.iterdir():
        assert b"sesame" not in file.read_bytes(), file


def test_only_the_author_edits_and_deletes(world: World) -> None:
    message = world.log.message(world.alice, [world.bob], "mine")
    world.log.edit(message, "his", daemon="d_B", agent_id="bob", incarnation=world.bob.incarnation)
    world.log.delete(message, daemon="d_B", agent_id="bob", incarnation=world.bob.incarnation)
    world.take()
    assert world.bodies() == ["mine"]
    assert [note for _, note in world.notes()] == [f"bob is not the author of msg_{message.ulid}"] * 2


def test_recipient_named_twice_is_one_delivery(world: World) -> None:
    world.log.message(world.alice, [world.bob, world.bob, world.alice])
    world.take()
    keys = [row.key for row in queries.inbox_page(world.cache, world.key(world.bob))]
    found = queries.recipients(world.cache, keys)[keys[0]]
    assert [(row.agent.name, row.read_us is None) for row in found] == [("alice", False), ("bob", True)]


def test_ulids_that_share_a_key_keep_their_order(world: World) -> None:
    ms = START_US // 1000 + 50
    made = [
        world.log.message(world.alice, [world.bob], f"text {tail}", ulid=world.log.ulid(ms=ms, tail=tail))
        for tail in (30, 10, 20, 40)
    ]
    assert len({ulid_key(message.ulid) for message in made}) == 1
    world.log.edit(made[0], "text 30 edited")
    world.take()
    rows = queries.inbox_page(world.cache, world.key(world.bob), order="oldest")
    texts = [row.body for row in queries.messages(world.cache, [row.key for row in rows])]
    assert texts == ["text 10", "text 20", "text 30 edited", "text 40"]
    for message in made:
        key = queries.message_key(world.cache, f"msg_{message.ulid}")
        assert key is not None
        found = queries.messages(world.cache, [key])[0]
        assert found.ulid == message.ulid
        assert len(queries.recipients(world.cache, [key])[key]) == 1
        assert queries.labels(world.cache, [key])[key].audience[0].value == "bob"


@pytest.mark.parametrize(
    "bad", ["msg_X", "", "msg_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "msg_01jzzzzzzzzzzzzzzzzzzzzzzz"]
)
def test_ids_that_name_no_message_are_just_not_found(world: World, bad: str) -> None:
    world.take()
    assert queries.message_key(world.cache, bad) is None


def test_thread_made_for_a_message_takes_it_in(world: World) -> None:
    root = world.log.message(world.alice, [world.bob], "root")
    world.log.message(world.bob, [world.alice], "answer", thread_id="thr_1", reply_to=f"msg_{root.ulid}")
    thread = {"thread_id": "thr_1", "title": "t", "created_by": "bob", "root": f"msg_{root.ulid}"}
    world.log.add(core.ThreadCreate, daemon="d_B", **thread)
    world.take(reverse=True)
    found = queries.thread(world.cache, "thr_1", reader=world.key(world.alice))
    assert found is not None
    assert (found.message_count, found.unread_count, found.last_sender, found.last_body) == (
        2,
        1,
        "bob",
        "answer",
    )
    assert queries.thread_of_root(world.cache, f"msg_{root.ulid}") == "thr_1"


# --- receipts ---------------------------------------------------------------------------------------------------------


def test_receipt_marks_only_its_reader_and_only_what_it_covers(world: World) -> None:
    for number in range(4):
        world.log.message(world.alice, [world.bob, world.alice], f"m{number}")
    world.log.receipt(world.bob, "WA", [(2, 3), (5, 5)])
    world.take()
    rows = queries.inbox_page(world.cache, world.key(world.bob), order="oldest")
    assert [row.read_us is not None for row in rows] == [True, True, False, True]


def test_seen_is_not_read_and_the_earliest_time_holds(world: World) -> None:
    world.log.message(world.alice, [world.bob])
    world.log.receipt(world.bob, "WA", [(2, 2)], "seen", read_us=START_US + 9_000_000)
    world.take()
    row = queries.inbox_page(world.cache, world.key(world.bob), unread=True)[0]
    assert (row.read_us, row.seen_us) == (None, START_US + 9_000_000)
    world.log.receipt(world.bob, "WA", [(2, 2)], "read", read_us=START_US + 7_000_000)
    world.log.receipt(world.bob, "WA", [(2, 2)], "read", read_us=START_US + 8_000_000)
    world.take()
    row = queries.inbox_page(world.cache, world.key(world.bob))[0]
    assert (row.read_us, row.seen_us) == (START_US + 7_000_000, START_US + 7_000_000)


def test_receipt_past_what_is_there_waits_and_is_then_forgotten(world: World) -> None:
    world.log.receipt(world.bob, "WA", [(1, 4)])
    world.take()
    assert world.cache.read("SELECT first, last FROM receipt_range") == [(2, 4)]
    for number in range(4):
        world.log.message(world.alice, [world.bob], f"m{number}")
    world.take()
    assert world.unread(world.bob) == 1
    assert world.cache.read("SELECT * FROM receipt_range") == []


def test_receipt_covers_a_held_message_once_it_counts(world: World) -> None:
    carol = core.AgentRef("carol", "d_A", world.log.ulid())
    world.log.message(carol, [world.bob], "held")
    world.log.receipt(world.bob, "WA", [(1, 2)])
    world.take()
    world.log.add(core.AgentRegister, ulid=carol.incarnation, agent_id="carol", role="r", module="m")
    world.take()
    assert world.bodies() == ["held"]
    assert world.unread(world.bob) == 0


def test_receipt_for_another_daemons_agent_does_not_count(world: World) -> None:
    world.log.message(world.alice, [world.bob])
    world.log.receipt(world.bob, "WA", [(2, 2)], daemon="d_A")
    world.take()
    assert world.unread(world.bob) == 1


def test_late_copy_of_a_line_has_two_places(world: World) -> None:
    message = world.log.message(world.alice, [world.bob])
    world.log.put(message, daemon="d_A", writer="WA2")
    assert not world.take().in_doubt
    key = ulid_key(message.ulid)
    assert queries.places(world.cache, [key]) == {key: [("WA", 2), ("WA2", 1)]}
    world.log.receipt(world.bob, "WA2", [(1, 1)])
    world.take()
    assert world.unread(world.bob) == 0


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


# --- agents, sessions, groups -----------------------------------------------------------------------------------------


def test_registration_with_the_highest_id_holds_and_the_first_time_stays(world: World) -> None:
    world.take()
    first = queries.agents_named(world.cache, "alice")[0]
    fields = {"agent_id": "alice", "incarnation": world.alice.incarnation, "module": "m"}
    world.log.add(core.AgentRegister, role="lead", **fields)
    world.log.add(core.AgentRegister, role="chief", runtime="claude", agent_pid=7, **fields)
    world.take(reverse=True)
    found = queries.agents_named(world.cache, "alice")
    assert [(row.role, row.runtime, row.agent_pid, row.registered_us) for row in found] == [
        ("chief", "claude", 7, first.registered_us)
    ]


def test_cleaned_up_agent_is_gone_and_a_new_one_begins(world: World) -> None:
    world.log.message(world.bob, [world.alice], "for the first")
    world.log.add(core.AgentCleanup, agent_id="alice", incarnation=world.alice.incarnation, reason="done")
    second = world.log.agent("alice")
    world.take(reverse=True)
    assert [row.incarnation for row in queries.agents_named(world.cache, "alice")] == [second.incarnation]
    assert world.unread(second) == 0
    old = queries.agent_by_incarnation(world.cache, world.alice.incarnation)
    assert old is not None and old.deleted
    assert world.bodies() == ["for the first"]


def test_session_end_before_its_start_and_the_last_end_holds(world: World) -> None:
    who = {"session_id": "ses_1", "agent_id": "alice", "incarnation": world.alice.incarnation}
    world.log.add(core.SessionStart, **who)
    world.log.add(core.SessionEnd, reason="crash", **who)
    world.log.add(core.SessionEnd, reason="normal", **who)
    world.take(reverse=True)
    found = queries.session(world.cache, "ses_1")
    assert found is not None and (found.end_reason, found.agent) == ("normal", world.key(world.alice))
    assert queries.open_sessions(world.cache, world.key(world.alice)) == []


def test_session_of_another_agent_cannot_be_ended(world: World) -> None:
    world.log.add(
        core.SessionStart, session_id="ses_1", agent_id="alice", incarnation=world.alice.incarnation
    )
    world.log.add(
        core.SessionEnd, daemon="d_B", session_id="ses_1", agent_id="bob", incarnation=world.bob.incarnation
    )
    world.take()
    assert [row.session_id for row in queries.open_sessions(world.cache, world.key(world.alice))] == ["ses_1"]
    assert queries.all_open_sessions(world.cache) == queries.open_sessions(
        world.cache, world.key(world.alice)
    )


def test_work_context_with_the_highest_id_holds(world: World) -> None:
    for branch in ("old", "new"):
        context = core.WorkContext(session_id="ses_1", branch=branch, changed_files=["a.py"], intent="mend")
        world.log.add(
            core.AgentUpdate, agent_id="alice", incarnation=world.alice.incarnation, work_contexts=[context]
        )
    world.take(reverse=True)
    found = queries.work_contexts(world.cache)[world.key(world.alice)]
    assert [(context.branch, context.changed_files) for context in found] == [("new", ["a.py"])]
    shown = world.cache.read(
        "SELECT agent_id, branch, changed_files, file_changes, intent FROM agent_work_contexts"
    )
    assert shown == [("alice", "new", '["a.py"]', "[]", "mend")]


def test_groups_of_one_name_count_as_one(world: World) -> None:
    for daemon, group, member in (("d_A", "grp_1", "alice"), ("d_B", "grp_2", "bob")):
        world.log.add(core.GroupCreate, daemon=daemon, group_id=group, name="team", created_by=member)
        world.log.add(
            core.GroupMemberAdd,
            daemon=daemon,
            group_id=group,
            member_type="agent",
            member_value=member,
            added_by=member,
        )
    world.take(reverse=True)
    assert [(group.name, group.group_id) for group in queries.groups(world.cache)] == [("team", "grp_1")]
    assert [member.value for member in queries.group_members(world.cache, "team")] == ["alice", "bob"]
    assert queries.groups_of(world.cache, "bob", "tester") == ["team"]
    for group in queries.groups_named(world.cache, "team"):
        world.log.add(core.GroupDelete, group_id=group.group_id, deleted_by="alice")
    world.take()
    assert queries.groups(world.cache) == []
    assert queries.group_named(world.cache, "team") is None


def test_membership_is_what_was_said_last(world: World) -> None:
    fields = {"group_id": "grp_1", "member_type": "role", "member_value": "*"}
    world.log.add(core.GroupCreate, group_id="grp_1", name="team", created_by="alice")
    world.log.add(core.GroupMemberAdd, added_by="alice", **fields)
    world.log.add(core.GroupMemberRemove, removed_by="alice", **fields)
    world.log.add(core.GroupUpdate, group_id="grp_1", updated_by="alice", fields={"description": "all of us"})
    world.take(reverse=True)
    group = queries.group_named(world.cache, "team")
    assert group is not None and group.description == "all of us"
    assert queries.group_members(world.cache, "team") == []
    world.log.add(core.GroupMemberAdd, added_by="alice", **fields)
    world.take()
    assert queries.groups_of(world.cache, "anyone", "any") == ["team"]


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

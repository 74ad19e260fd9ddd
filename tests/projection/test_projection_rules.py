"""What single events do to messages: who may say what, what waits for what, what is read."""

from __future__ import annotations

import pytest
from projection_log import START_US
from projection_world import World

from thrum_kernel.events import core
from thrum_kernel.ids import ulid_key
from thrum_kernel.projection import queries

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

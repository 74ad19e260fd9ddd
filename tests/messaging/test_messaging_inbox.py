"""Looking: filters, counts, pages, what marks as read and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from messaging_world import FakeClock, World, stamp

from thrum_kernel.errors import NotFound, Refused, UsageError

pytestmark = pytest.mark.anyio


async def page(world: World, who: str, **params: Any) -> Any:
    return await world.call(who, "message.list", **({"for_agent": who} | params))


async def test_filters_are_anded(world: World) -> None:
    await world.send("alice", "1", to="@bob", scopes=[{"type": "module", "value": "auth"}])
    await world.send("carol", "2", to="@bob", scopes=[{"type": "module", "value": "auth"}])
    await world.send("alice", "3", to="@bob", refs=[{"type": "pr", "value": "4"}])
    await world.send("alice", "4", mentions=["@implementer"])
    await world.send("alice", "5", to="@carol")

    auth = {"type": "module", "value": "auth"}
    assert await world.texts("bob") == ["4", "3", "2", "1"]
    assert await world.texts("bob", scope=auth) == ["2", "1"]
    assert await world.texts("bob", scope=auth, author_id="@alice") == ["1"]
    assert await world.texts("bob", ref={"type": "pr", "value": "4"}) == ["3"]
    assert await world.texts("bob", mention_role="implementer") == ["4"]
    assert await world.texts("bob", mentions=True) == ["4", "3", "2", "1"]
    assert await world.texts("bob", sort_order="asc") == ["1", "2", "3", "4"]


async def test_created_after_compares_times(world: World) -> None:
    await world.send("alice", "old", to="@bob")
    between = stamp(world.clock)
    world.clock.pass_s(1)
    await world.send("alice", "new", to="@bob")

    assert await world.texts("bob", created_after=between) == ["new"]
    with pytest.raises(UsageError, match="created_after"):
        await world.texts("bob", created_after="yesterday")


async def test_chronological_puts_replies_behind_what_they_answer(world: World) -> None:
    first = await world.send("alice", "first", to="@bob")
    await world.send("alice", "second", to="@bob")
    await world.send("carol", "to first", reply_to=first, to="@bob")

    assert await world.texts("bob", chronological=True) == ["first", "to first", "second"]


async def test_pages_are_cut_and_counted(world: World) -> None:
    for number in range(5):
        await world.send("alice", str(number), to="@bob")

    second = await page(world, "bob", page_size=2, page=2)

    assert [m["body"]["content"] for m in second["messages"]] == ["2", "1"]
    assert (second["total"], second["page"], second["page_size"], second["total_pages"]) == (5, 2, 2, 3)
    assert second["unread"] == 5


@pytest.mark.parametrize(
    "params",
    [{"page": 0}, {"page": -1}, {"page_size": 0}, {"page_size": 101}, {"page": 10**30}, {"page_size": -5}],
)
async def test_page_out_of_range_is_refused(world: World, params: dict[str, int]) -> None:
    for method in ("message.list", "message.outbox", "thread.list"):
        with pytest.raises(UsageError):
            await world.call("bob", method, **params)


async def test_somebody_elses_inbox_is_refused_but_to_a_user(world: World) -> None:
    await world.register("user:leon", "user", kind="user")
    await world.send("alice", "secret", to="@bob")

    for params in ({"for_agent": "bob"}, {"unread_for_agent": "bob"}):
        with pytest.raises(Refused):
            await world.call("carol", "message.list", **params)
    with pytest.raises(Refused):
        await world.call("", "message.list", for_agent="bob")
    with pytest.raises(Refused):
        await world.call("bob", "message.list", for_agent="bob", for_agent_role="coordinator")
    assert (await world.call("user:leon", "message.list", for_agent="bob"))["total"] == 1
    with pytest.raises(NotFound, match="unknown agent: @nobody"):
        await world.call("bob", "message.list", for_agent="bob", author_id="nobody")


async def test_unread_without_a_caller_is_refused_not_ignored(world: World) -> None:
    with pytest.raises(Refused, match="unread"):
        await world.call("", "message.list", unread=True)


async def test_list_without_for_agent_shows_everything(world: World) -> None:
    await world.send("alice", "x", to="@bob")

    everything = await world.call("carol", "message.list")

    assert [m["body"]["content"] for m in everything["messages"]] == ["x"]
    assert everything["unread"] == 0


async def test_unread_hidden_by_a_filter_is_counted(world: World) -> None:
    await world.send("alice", "1", to="@bob")
    await world.send("carol", "2", to="@bob")

    found = await page(world, "bob", author_id="alice")

    assert (found["total"], found["unread"], found["hidden_by_filter"]) == (1, 1, 1)
    assert "hidden_by_filter" not in await page(world, "bob")


async def test_deleted_message_shows_no_content_and_is_not_unread(world: World) -> None:
    sent = await world.send("alice", "secret", to="@bob", structured={"key": "secret"})
    await world.call("alice", "message.delete", message_id=sent, reason="typo")

    found = await page(world, "bob")
    detail = (await world.call("bob", "message.get", message_id=sent))["message"]

    assert found["messages"][0]["deleted"] is True
    assert "secret" not in str(found) and "secret" not in str(detail)
    assert found["unread"] == 0
    assert detail["metadata"]["delete_reason"] == "typo"


async def test_mark_shown_marks_only_after_the_answer_was_taken(world: World) -> None:
    await world.send("alice", "x", to="@bob")
    effects: list[Callable[[], None]] = []

    await page(world, "bob", mark_shown=True, shown=effects.append)

    assert (await page(world, "bob"))["unread"] == 1, "the client has not taken the answer"
    for effect in effects:
        effect()
    assert (await page(world, "bob"))["unread"] == 0
    assert (await page(world, "bob"))["messages"][0]["is_read"] is True


async def test_mark_shown_marks_what_was_shown_and_nothing_else(world: World) -> None:
    for number in range(3):
        await world.send("alice", str(number), to="@bob")
    await world.send("alice", "carol's", to="@carol")

    await page(world, "bob", page_size=2, mark_shown=True)

    assert [m["body"]["content"] for m in (await page(world, "bob", unread=True))["messages"]] == ["0"]
    await world.call("bob", "message.list", mark_shown=True)
    assert (await page(world, "carol"))["unread"] == 1


async def test_looking_without_marking_leaves_it_unread(world: World) -> None:
    sent = await world.send("alice", to="@bob")

    await page(world, "bob", unread=True)
    await world.call("bob", "message.get", message_id=sent)
    await world.call("bob", "message.outbox")

    assert (await page(world, "bob"))["unread"] == 1


async def test_who_only_looks_over_the_shoulder_marks_nothing_unless_asked(world: World) -> None:
    sent = await world.send("alice", to="@bob")
    world.elsewhere.add("bob")

    await page(world, "bob", mark_shown=True)
    await world.call("bob", "message.get", message_id=sent, mark_shown=True)
    assert (await page(world, "bob"))["unread"] == 1

    await world.call("bob", "message.markRead", message_ids=[sent])
    assert (await page(world, "bob"))["unread"] == 0


async def test_get_with_mark_shown_marks_it(world: World) -> None:
    sent = await world.send("alice", to="@bob")

    await world.call("bob", "message.get", message_id=sent, mark_shown=True)

    assert (await page(world, "bob"))["unread"] == 0
    with pytest.raises(NotFound, match="message not found: msg_nope"):
        await world.call("bob", "message.get", message_id="msg_nope")


async def test_mark_read_counts_what_was_new_and_legitimate(world: World) -> None:
    first = await world.send("alice", "1", to=["@bob", "@carol"])
    second = await world.send("alice", "2", to="@carol")
    third = await world.send("alice", "3", to="@bob")
    await world.call("carol", "message.markRead", message_ids=[first])

    result = await world.call("bob", "message.markRead", message_ids=[first, first, second, "msg_nope"])

    assert result == {"marked_count": 1, "also_read_by": {first: ["carol"]}, "markable_remaining": 1}
    assert await world.call("bob", "message.markRead", all=True) == {"marked_count": 1}
    assert (await world.call("bob", "message.markRead", message_ids=[third]))["marked_count"] == 0
    with pytest.raises(UsageError, match="message_ids is required"):
        await world.call("bob", "message.markRead")


async def test_mark_read_leaves_what_is_newer_than_the_watermark(world: World) -> None:
    first = await world.send("alice", "1", to="@bob")
    mark = stamp(world.clock)
    world.clock.pass_s(1)
    second = await world.send("alice", "2", to="@bob")

    result = await world.call("bob", "message.markRead", message_ids=[first, second], marked_before=mark)

    assert (result["marked_count"], result["skipped_count"], result["markable_remaining"]) == (1, 1, 1)
    with pytest.raises(UsageError, match="marked_before"):
        await world.call("bob", "message.markRead", message_ids=[first], marked_before="soon")


async def test_read_marks_survive_a_restart_before_and_after_they_are_journalled(world: World) -> None:
    first = await world.send("alice", "1", to="@bob")
    await world.send("alice", "2", to="@bob")
    await world.call("bob", "message.markRead", message_ids=[first])

    await world.restart()
    assert await world.texts("bob", unread=True) == ["2"]

    await world.messaging.journal_receipts()
    assert world.local.read("SELECT count(*) FROM read_mark") == [(0,)]
    await world.restart()
    assert await world.texts("bob", unread=True) == ["2"]


async def test_receipts_travel_as_one_event_of_few_ranges(world: World, elsewhere: World) -> None:
    world.take_from(elsewhere)
    elsewhere.take_from(world)
    sent = [await elsewhere.send("dora", str(number), to="@bob@here") for number in range(6)]
    world.take_from(elsewhere)
    before = sum(map(len, world.log.values()))
    await world.call("bob", "message.markRead", message_ids=[sent[0], sent[1], sent[2], sent[4], sent[5]])

    await world.messaging.journal_receipts()
    await world.messaging.journal_receipts()

    assert sum(map(len, world.log.values())) == before + 1
    elsewhere.take_from(world)
    outbox = await elsewhere.call("dora", "message.outbox", page_size=100)
    read = {m["body"]["content"] for m in outbox["messages"] if m["recipients"][0].get("read_at")}
    assert read == {"0", "1", "2", "4", "5"}


async def test_every_clone_tells_the_time_at_which_each_message_was_read(
    world: World, elsewhere: World, clock: FakeClock
) -> None:
    world.take_from(elsewhere)
    elsewhere.take_from(world)
    sent = [await elsewhere.send("dora", str(number), to="@bob@here") for number in range(3)]
    world.take_from(elsewhere)
    for message_id in (sent[1], sent[0], sent[2]):
        await world.call("bob", "message.markRead", message_ids=[message_id])
        clock.pass_s(10)
    await world.messaging.journal_receipts()
    elsewhere.take_from(world)

    times = "SELECT m.ulid, d.read_us FROM delivery d JOIN message m ON m.id = d.message ORDER BY m.id"
    told = world.cache.read(times)
    assert told == elsewhere.cache.read(times)
    assert len({at_us for _, at_us in told}) == 3


async def test_receipt_does_not_cover_a_message_that_had_not_arrived(world: World, elsewhere: World) -> None:
    world.take_from(elsewhere)
    elsewhere.take_from(world)
    sent = [await elsewhere.send("dora", str(number), to="@bob@here") for number in range(3)]
    late = sent[1].removeprefix("msg_")
    world.take_from(elsewhere, only=lambda event: event.ulid != late)
    await world.call("bob", "message.markRead", all=True)
    await world.messaging.journal_receipts()

    elsewhere.take_from(world)
    world.take_from(elsewhere)

    assert await world.texts("bob", unread=True) == ["1"]
    outbox = await elsewhere.call("dora", "message.outbox")
    unread = [m["body"]["content"] for m in outbox["messages"] if not m["recipients"][0].get("read_at")]
    assert unread == ["1"]


async def test_outbox_shows_recipients_states_and_filters(world: World) -> None:
    first = await world.send("alice", "1", to=["@bob", "@carol"])
    await world.send("alice", "2")
    await world.send("bob", "not hers", to="@carol")
    await world.call("bob", "message.markRead", message_ids=[first])

    outbox = await world.call("alice", "message.outbox")

    assert [m["body"]["content"] for m in outbox["messages"]] == ["2", "1"]
    states = {r["agent_id"]: r["state"] for r in outbox["messages"][1]["recipients"]}
    assert states == {"bob": "read", "carol": "stored"}
    assert outbox["messages"][1]["read_count"] == 1
    assert (await world.call("alice", "message.outbox", to="@everyone"))["total"] == 1
    assert (await world.call("alice", "message.outbox", unread=True))["total"] == 2
    with pytest.raises(Refused):
        await world.call("", "message.outbox")


async def test_an_outbox_for_a_name_that_never_was_is_refused_and_history_is_found(
    world: World, elsewhere: World
) -> None:
    await world.send("alice", "1", to="@bob")
    for to in ("bob", "@bob", "@everyone"):
        assert "messages" in await world.call("alice", "message.outbox", to=to)
    with pytest.raises(NotFound, match="unknown recipient: @bbo") as refused:
        await world.call("alice", "message.outbox", to="@bbo")
    assert refused.value.hint == "did you mean @bob?"
    await world.delete_agent("bob")
    assert (await world.call("alice", "message.outbox", to="@bob"))["total"] == 1


async def test_a_note_to_oneself_is_in_the_inbox_that_people_see_and_never_unread(world: World) -> None:
    await world.send("alice", "note", to="@alice")
    await world.send("alice", "for all", to="@everyone")
    await world.send("alice", "for bob", to="@bob")
    for mine in (True, False):
        shown = await world.call("alice", "message.list", exclude_self=True, mine=mine)
        assert [m["body"]["content"] for m in shown["messages"]] == ["note"]
        assert (shown["messages"][0]["is_read"], shown["unread"], shown["total"]) == (True, 0, 1)
    unread = await world.call("alice", "message.list", exclude_self=True, mine=True, unread=True)
    assert unread["messages"] == []


async def test_long_names_are_shown_where_the_bare_one_means_another(world: World, elsewhere: World) -> None:
    world.take_from(elsewhere)
    elsewhere.take_from(world)
    await elsewhere.send("bob", "from away", to="@alice")
    world.take_from(elsewhere)

    found = (await page(world, "alice"))["messages"][0]

    assert found["agent_id"] == "bob@away"
    assert await world.texts("alice", author_id="@bob@away") == ["from away"]
    assert await world.texts("alice", author_id="@bob") == []


async def test_scope_of_a_group_or_everyone_finds_what_was_addressed_to_it(world: World) -> None:
    await world.call("alice", "group.create", name="ops")
    await world.call("alice", "group.member.add", group="ops", member_type="agent", member_value="bob")
    await world.send("alice", "to the group", mentions=["@ops"])
    await world.send("alice", "to all")
    await world.send("alice", "labelled", to="@bob", scopes=[{"type": "group", "value": "ops"}])
    group, everyone = {"type": "group", "value": "ops"}, {"type": "broadcast", "value": "everyone"}

    assert await world.texts("bob", scope=group) == ["labelled", "to the group"]
    assert await world.texts("bob", scope=everyone) == ["to all"]
    assert await world.texts("bob", scope={"type": "group", "value": "everyone"}) == []
    unaddressed = await world.call("carol", "message.list", scope=group)
    assert unaddressed["total"] == 2
    await world.search.settle()
    found = await world.call("bob", "message.search", query="to", scope=group)
    assert [hit["message"]["body"]["content"] for hit in found["hits"]] == ["to the group"]


async def test_sorted_by_update_an_edited_message_comes_first(world: World) -> None:
    first = await world.send("alice", "1", to="@bob")
    await world.send("alice", "2", to="@bob")
    await world.call("alice", "message.edit", message_id=first, content="1, edited")
    await world.send("alice", "3", to="@bob")

    assert await world.texts("bob", sort_by="updated_at") == ["3", "1, edited", "2"]
    assert await world.texts("bob", sort_by="updated_at", sort_order="asc") == ["2", "1, edited", "3"]
    assert await world.texts("bob") == ["3", "2", "1, edited"]
    listed = await world.call("bob", "message.list", sort_by="updated_at", page_size=2)
    assert [message["body"]["content"] for message in listed["messages"]] == ["3", "1, edited"]

"""Groups and threads."""

from __future__ import annotations

from typing import Any

import pytest
from messaging_world import World

from thrum_kernel.errors import InvalidName, NotFound, Refused, UnknownRecipient, UsageError

pytestmark = pytest.mark.anyio


async def add(world: World, member_type: str, value: str, group: str = "backend") -> Any:
    return await world.call(
        "alice", "group.member.add", group=group, member_type=member_type, member_value=value
    )


async def test_group_is_made_listed_shown_and_deleted(world: World) -> None:
    made = await world.call("alice", "group.create", name="backend", description="the back")
    await add(world, "agent", "@bob")
    await add(world, "agent", "bob")
    await add(world, "role", "coordinator")

    listed = (await world.call("bob", "group.list"))["groups"]
    info = await world.call("bob", "group.info", name="@backend")

    assert made["group_id"].startswith("grp_")
    assert [(g["name"], g["member_count"], g["description"]) for g in listed] == [("backend", 2, "the back")]
    assert info["created_by"] == "alice"
    assert [(m["member_type"], m["member_value"]) for m in info["members"]] == [
        ("agent", "bob"),
        ("role", "coordinator"),
    ]
    expanded = await world.call("bob", "group.members", name="backend", expand=True)
    assert expanded["expanded"] == ["alice", "bob"]

    await world.call("alice", "group.delete", name="backend")
    assert (await world.call("bob", "group.list"))["groups"] == []
    with pytest.raises(NotFound, match="group not found"):
        await world.call("bob", "group.info", name="backend")
    with pytest.raises(UnknownRecipient):
        await world.send("alice", mentions=["@backend"])


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("everyone", Refused),
        ("bob", Refused),
        ("implementer", Refused),
        ("Back End", InvalidName),
        ("a/b", InvalidName),
        ("", InvalidName),
        ("tg:team", InvalidName),
        ("x" * 300, InvalidName),
    ],
)
async def test_group_name_that_could_mean_another_is_refused(
    world: World, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await world.call("alice", "group.create", name=name)
    assert (await world.call("alice", "group.list"))["groups"] == []


async def test_group_of_a_plugin_may_have_a_prefix(world: World) -> None:
    assert (await world.call("kernel:system", "group.create", name="tg:team"))["name"] == "tg:team"


async def test_group_twice_is_refused_but_made_again_after_deletion(world: World) -> None:
    await world.call("alice", "group.create", name="backend")
    with pytest.raises(Refused, match='group "backend" already exists'):
        await world.call("bob", "group.create", name="backend")
    await world.call("alice", "group.delete", name="backend")

    await world.call("bob", "group.create", name="backend")

    assert (await world.call("alice", "group.info", name="backend"))["members"] == []


async def test_group_of_two_clones_counts_as_one(world: World, elsewhere: World) -> None:
    await world.call("alice", "group.create", name="shared")
    await elsewhere.call("dora", "group.create", name="shared")
    world.take_from(elsewhere)
    elsewhere.take_from(world)
    await add(world, "agent", "carol", group="shared")
    await elsewhere.call("dora", "group.member.add", group="shared", member_type="agent", member_value="dora")
    world.take_from(elsewhere)

    result = await world.call("alice", "message.send", content="x", mentions=["@shared"])
    assert [row["agent_id"] for row in result["recipients"]] == ["carol", "dora"]

    await world.call("alice", "group.delete", name="shared")
    assert (await world.call("alice", "group.list"))["groups"] == []


async def test_member_that_is_unknown_is_refused(world: World) -> None:
    await world.call("alice", "group.create", name="backend")

    for member_type, value in (("agent", "nobody"), ("role", "nothing"), ("agent", "b%b")):
        with pytest.raises(NotFound):
            await add(world, member_type, value)
    with pytest.raises(UsageError):
        await add(world, "role", "@")
    with pytest.raises(NotFound):
        await world.call(
            "alice", "group.member.remove", group="backend", member_type="agent", member_value="bob"
        )


async def test_everyone_cannot_be_changed_and_is_shown(world: World) -> None:
    with pytest.raises(Refused, match="cannot delete built-in @everyone group"):
        await world.call("alice", "group.delete", name="@everyone")
    with pytest.raises(Refused):
        await add(world, "agent", "bob", group="everyone")

    assert (await world.call("alice", "group.members", name="everyone", expand=True))["expanded"] == [
        "alice",
        "bob",
        "carol",
    ]


async def test_group_deleted_with_its_messages_leaves_tombstones(world: World) -> None:
    await world.call("alice", "group.create", name="backend")
    await add(world, "agent", "bob")
    await world.send("alice", "to the group", mentions=["@backend"])
    await world.send("alice", "plain", to="@bob")

    await world.call("alice", "group.delete", name="backend", delete_messages=True)

    assert await world.texts("bob") == ["plain", ""]


async def test_retried_group_calls_answer_the_same_after_a_restart(world: World) -> None:
    made = await world.call("alice", "group.create", name="backend", request_id="g.1")
    member = {"group": "backend", "member_type": "agent", "member_value": "bob"}
    added = await world.call("alice", "group.member.add", request_id="g.2", **member)
    removed = await world.call("alice", "group.member.remove", request_id="g.3", **member)
    gone = await world.call("alice", "group.delete", name="backend", request_id="g.4")

    await world.restart()

    assert await world.call("alice", "group.create", name="backend", request_id="g.1") == made
    assert await world.call("alice", "group.member.add", request_id="g.2", **member) == added
    assert await world.call("alice", "group.member.remove", request_id="g.3", **member) == removed
    assert await world.call("alice", "group.delete", name="backend", request_id="g.4") == gone


# --- threads ---------------------------------------------------------------------------------------------------------


async def test_thread_is_made_with_its_first_message_or_not_at_all(world: World) -> None:
    with pytest.raises(UnknownRecipient):
        await world.call("alice", "thread.create", title="plan", message="hi", to=["@nobody"])
    assert (await world.call("alice", "thread.list"))["total"] == 0

    made = await world.call(
        "alice", "thread.create", title="plan", message="hi", to=["@bob"], request_id="t.1"
    )

    assert made["thread_id"].startswith("thr_") and made["message_id"].startswith("msg_")
    assert await world.texts("bob", thread_id=made["thread_id"]) == ["hi"]
    await world.restart()
    again = await world.call(
        "alice", "thread.create", title="plan", message="hi", to=["@bob"], request_id="t.1"
    )
    assert again == made


@pytest.mark.parametrize("title", ["", "  ", "x" * 201, "a\0b"])
async def test_thread_with_a_bad_title_is_refused(world: World, title: str) -> None:
    with pytest.raises(UsageError):
        await world.call("alice", "thread.create", title=title)


async def test_threads_are_listed_with_what_happened_last(world: World) -> None:
    empty = (await world.call("alice", "thread.create", title="empty"))["thread_id"]
    plan = (await world.call("alice", "thread.create", title="plan", message="a" * 150, to=["@bob"]))[
        "thread_id"
    ]
    scope = {"type": "module", "value": "auth"}
    await world.send("bob", "é" * 150, thread_id=plan, scopes=[scope])

    found = await world.call("alice", "thread.list")
    scoped = await world.call("alice", "thread.list", scope=scope)

    assert [thread["thread_id"] for thread in found["threads"]] == [plan, empty]
    newest = found["threads"][0]
    assert (newest["title"], newest["message_count"], newest["unread_count"]) == ("plan", 2, 1)
    assert (newest["last_sender"], newest["preview"]) == ("bob", "é" * 100 + "...")
    assert [thread["thread_id"] for thread in scoped["threads"]] == [plan]


async def test_thread_is_shown_in_order_and_marks_nothing(world: World) -> None:
    plan = (await world.call("alice", "thread.create", title="plan", message="1", to=["@bob"]))["thread_id"]
    await world.send("alice", "2", thread_id=plan)

    shown = await world.call("bob", "thread.get", thread_id=plan, page_size=1, page=2)

    assert [m["body"]["content"] for m in shown["messages"]] == ["2"]
    assert (shown["total"], shown["total_pages"], shown["thread"]["unread_count"]) == (2, 2, 2)
    assert await world.texts("bob", unread=True) == ["2", "1"]
    with pytest.raises(NotFound, match="thread not found"):
        await world.call("bob", "thread.get", thread_id="thr_nope")

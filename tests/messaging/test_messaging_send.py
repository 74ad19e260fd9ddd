"""Sending: who, to whom, what; all or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from messaging_world import FakeClock, World, stamp

from thrum_kernel.errors import (
    AmbiguousName,
    AnonymousCaller,
    BodyInvalid,
    BodyTooLarge,
    NotFound,
    ParamsInvalid,
    QuotaExceeded,
    Refused,
    UnknownRecipient,
    UsageError,
)
from thrum_kernel.events.core import PurgeExecuted
from thrum_kernel.messaging.quota import Limits

pytestmark = pytest.mark.anyio


async def recipients(world: World, message_id: str) -> list[str]:
    found = await world.call("alice", "message.get", message_id=message_id)
    return [row["agent_id"] for row in found["message"].get("recipients", [])]


async def count(world: World) -> int:
    return int((await world.call("user:x", "message.list"))["total"])


async def test_send_to_an_agent_reaches_that_agent_alone(world: World) -> None:
    result = await world.call("alice", "message.send", content="hi", to="@bob")

    assert await world.texts("bob") == ["hi"]
    assert await world.texts("carol") == []
    assert result["resolved_to"] == 1
    assert result["audiences"] == [{"type": "agent", "value": "bob"}]
    assert [row["agent_id"] for row in result["recipients"]] == ["bob"]
    assert "thread_id" not in result and "warnings" not in result


async def test_send_to_the_same_agent_twice_is_one_delivery(world: World) -> None:
    sent = await world.send("alice", to=["@bob", "bob"], mentions=["@bob", "bob"])

    assert await recipients(world, sent) == ["bob"]
    assert (await world.call("bob", "message.list", for_agent="bob"))["total"] == 1


async def test_send_to_an_unknown_name_delivers_to_nobody_and_says_who_was_meant(world: World) -> None:
    with pytest.raises(UnknownRecipient, match="unknown recipient: @bbo, @zzz") as caught:
        await world.send("alice", to=["@bbo", "@carol", "zzz"])

    assert "did you mean @bob?" in caught.value.hint
    assert await count(world) == 0
    assert await world.texts("carol") == []


async def test_send_to_a_role_as_recipient_is_refused_naming_its_agents(world: World) -> None:
    with pytest.raises(UnknownRecipient) as caught:
        await world.send("alice", to="@implementer")

    assert set(caught.value.suggestions["implementer"]) == {"bob", "carol"}


async def test_send_to_a_deleted_agent_is_refused(world: World) -> None:
    await world.delete_agent("bob")

    with pytest.raises(UnknownRecipient):
        await world.send("alice", to="@bob")


async def test_send_to_a_name_like_another_is_compared_exactly(world: World) -> None:
    await world.register("a_b", "tester")
    await world.register("axb", "tester")

    sent = await world.send("alice", to="@a_b")

    assert await recipients(world, sent) == ["a_b"]
    with pytest.raises(UnknownRecipient):
        await world.send("alice", to="@a%b")


async def test_mention_of_a_role_fans_out(world: World) -> None:
    result = await world.call("alice", "message.send", content="x", mentions=["@implementer"])

    assert [row["agent_id"] for row in result["recipients"]] == ["bob", "carol"]
    assert result["audiences"] == [{"type": "role", "value": "implementer"}]
    page = await world.call("bob", "message.list", mine=True, mentions=True)
    assert page["total"] == 1


async def test_mention_of_a_group_fans_out_and_warns(world: World) -> None:
    await world.call("alice", "group.create", name="backend")
    await world.call("alice", "group.member.add", group="backend", member_type="agent", member_value="@carol")

    result = await world.call("alice", "message.send", content="x", mentions=["@backend"])

    assert [row["agent_id"] for row in result["recipients"]] == ["carol"]
    assert result["warnings"] == ["@backend resolved to a group, not an individual agent"]
    found = await world.call("carol", "message.get", message_id=result["message_id"])
    assert {"type": "group", "value": "backend"} in found["message"]["scopes"]
    assert {"type": "group", "value": "backend"} in found["message"]["refs"]


async def test_mention_that_fits_nobody_is_refused_whole(world: World) -> None:
    with pytest.raises(UnknownRecipient, match="@nobody"):
        await world.send("alice", mentions=["@bob", "@nobody"])

    assert await count(world) == 0


async def test_send_without_recipients_goes_to_everyone_else(world: World) -> None:
    for params in ({}, {"to": "@everyone"}, {"mentions": ["@everyone"]}):
        result = await world.call("alice", "message.send", content="all", **params)

        assert [row["agent_id"] for row in result["recipients"]] == ["bob", "carol"]
        assert result["audiences"] == [{"type": "broadcast", "value": "everyone"}]
        assert result["resolved_to"] == 1


async def test_send_to_oneself_is_there_and_already_read(world: World) -> None:
    await world.send("alice", "note", to="@alice")

    page = await world.call("alice", "message.list", for_agent="alice")
    assert [m["is_read"] for m in page["messages"]] == [True]
    assert page["unread"] == 0


@pytest.mark.parametrize(
    ("params", "error", "text"),
    [
        ({"content": ""}, BodyInvalid, "content is required"),
        ({"content": " \n"}, BodyInvalid, "content is required"),
        ({"content": "a\0b"}, BodyInvalid, "NUL"),
        ({"content": "a\udc80"}, BodyInvalid, "UTF-8"),
        ({"content": "x", "format": "html"}, BodyInvalid, r"invalid format: html \(must be"),
        ({"content": "x", "structured": [1]}, BodyInvalid, "JSON object"),
        ({"content": "x" * (1024 * 1024 + 1)}, BodyTooLarge, "1048577 bytes exceeds"),
        ({"content": "é" * (512 * 1024 + 1)}, BodyTooLarge, "1048578 bytes exceeds"),
        ({"content": "x", "structured": {"k": "x" * (1024 * 1024)}}, BodyTooLarge, "exceeds"),
        ({"content": "x", "priority": "urgent"}, ParamsInvalid, "priority"),
        ({"content": "x", "scopes": [{"type": "", "value": "y"}]}, UsageError, "invalid scope"),
        ({"content": "x", "reply_to": "msg_nope"}, NotFound, "reply_to message not found: msg_nope"),
        ({"content": "x", "thread_id": "thr_nope"}, NotFound, "thread not found"),
        ({"content": "x", "to": "@"}, UsageError, "recipient is empty"),
        ({"content": "x", "acting_as": "bob"}, Refused, "only a user"),
        ({"content": "x", "disclose": True}, UsageError, "acting_as"),
        ({}, ParamsInvalid, "content is required"),
    ],
)
async def test_send_of_what_cannot_be_stored_changes_nothing(
    world: World, params: dict[str, Any], error: type[Exception], text: str
) -> None:
    before = {writer: len(lines) for writer, lines in world.log.items()}

    with pytest.raises(error, match=text):
        await world.call("alice", "message.send", **params)

    assert {writer: len(lines) for writer, lines in world.log.items()} == before


async def test_body_at_the_limit_is_stored(world: World) -> None:
    await world.send("alice", "x" * (1024 * 1024), to="@bob")

    assert len((await world.texts("bob"))[0]) == 1024 * 1024


async def test_limit_of_the_body_can_be_switched_off(world: World) -> None:
    world.limits = Limits(max_body_bytes=-1)

    await world.send("alice", "x" * (1024 * 1024 + 1), to="@bob")


async def test_mistakes_in_the_body_are_told_before_questions_about_the_caller(world: World) -> None:
    with pytest.raises(BodyInvalid):
        await world.call("stranger", "message.send", content="")


async def test_send_without_a_session_is_refused(world: World) -> None:
    await world.end_session("alice")

    with pytest.raises(
        Refused, match=r"no active session found for agent alice \(you must start a session first\)"
    ):
        await world.send("alice", to="@bob")
    with pytest.raises(AnonymousCaller):
        await world.call("", "message.send", content="x")


async def test_structured_priority_scopes_and_refs_come_back_as_sent(world: World) -> None:
    sent = await world.send(
        "alice",
        to="@bob",
        priority="high",
        structured={"a": [1, {"b": None}]},
        scopes=[{"type": "module", "value": "auth"}, {"type": "module", "value": "auth"}],
        refs=[{"type": "pr", "value": "42"}],
        tags=["ignored"],
    )

    message = (await world.call("bob", "message.get", message_id=sent))["message"]
    assert message["body"]["structured"] == {"a": [1, {"b": None}]}
    assert message["priority"] == "high"
    assert message["scopes"] == [{"type": "module", "value": "auth"}]
    assert message["refs"] == [{"type": "pr", "value": "42"}, {"type": "mention", "value": "bob"}]


# --- replies and threads ---------------------------------------------------------------------------------------------


async def test_reply_to_a_broadcast_reaches_its_audience(world: World) -> None:
    sent = await world.send("alice", "all?")

    answer = await world.send("bob", "yes", reply_to=sent)

    assert await recipients(world, answer) == ["alice", "carol"]
    found = (await world.call("alice", "message.get", message_id=answer))["message"]
    assert found["audiences"] == [{"type": "broadcast", "value": "everyone"}]
    assert {"type": "reply_to", "value": sent} in found["refs"]


async def test_reply_to_a_group_message_reaches_the_group_and_the_author(world: World) -> None:
    await world.call("alice", "group.create", name="backend")
    for name in ("bob", "carol"):
        await world.call("alice", "group.member.add", group="backend", member_type="agent", member_value=name)
    sent = await world.send("alice", mentions=["@backend"])
    await world.call(
        "alice", "group.member.remove", group="backend", member_type="agent", member_value="carol"
    )

    answer = await world.send("bob", "done", reply_to=sent)

    assert await recipients(world, answer) == ["alice", "carol"], (
        "the audience is the message's, not today's group"
    )


async def test_reply_addresses_the_incarnation_never_the_name(world: World) -> None:
    sent = await world.send("bob", "hi", to="@alice")
    await world.delete_agent("bob")
    await world.register("bob", "tester")

    with pytest.raises(UnknownRecipient) as caught:
        await world.send("alice", "for the old bob", reply_to=sent)

    assert "@bob" in caught.value.hint
    assert await world.texts("bob") == []


async def test_reply_with_named_recipients_goes_to_those(world: World) -> None:
    sent = await world.send("alice", to="@bob")

    answer = await world.send("bob", reply_to=sent, to="@carol")

    assert await recipients(world, answer) == ["carol"]


async def test_reply_to_ones_own_message_reaches_its_recipients(world: World) -> None:
    sent = await world.send("alice", to="@bob")

    assert await recipients(world, await world.send("alice", reply_to=sent)) == ["bob"]


async def test_reply_to_a_system_message_is_refused(world: World) -> None:
    sent = await world.send("kernel:system", "notice", to="@bob")

    with pytest.raises(Refused, match=r"cannot reply to system messages \(no-reply\)"):
        await world.send("bob", reply_to=sent)


async def test_reply_to_a_claimed_sender_reaches_it(world: World) -> None:
    world.claims.add("monitor:ci")
    sent = await world.send("kernel:monitor:ci", "red", to="@bob")

    assert await recipients(world, await world.send("bob", reply_to=sent)) == ["monitor:ci"]
    assert await recipients(world, await world.send("bob", to="@monitor:ci")) == ["monitor:ci"]


async def test_reply_joins_its_parents_thread_making_one(world: World) -> None:
    sent = await world.send("alice", to="@bob")

    first = await world.call("bob", "message.send", content="1", reply_to=sent)
    second = await world.call("alice", "message.send", content="2", reply_to=sent)
    third = await world.call("bob", "message.send", content="3", reply_to=second["message_id"])

    assert first["thread_id"] == second["thread_id"] == third["thread_id"] != ""
    shown = await world.call("alice", "thread.get", thread_id=first["thread_id"])
    assert [m["body"]["content"] for m in shown["messages"]] == ["hello", "1", "2", "3"]
    assert (await world.call("alice", "thread.list"))["total"] == 1


async def test_message_into_a_thread_reaches_who_takes_part(world: World) -> None:
    thread = (await world.call("alice", "thread.create", title="plan", message="hi", to=["@bob"]))[
        "thread_id"
    ]

    assert await recipients(world, await world.send("bob", "ok", thread_id=thread)) == ["alice"]
    assert await recipients(world, await world.send("carol", "me too", thread_id=thread)) == ["alice", "bob"]


async def test_reply_into_another_thread_is_refused(world: World) -> None:
    sent = await world.send("alice", to="@bob")
    await world.send("bob", reply_to=sent)
    thread = (await world.call("alice", "thread.create", title="other"))["thread_id"]

    with pytest.raises(UsageError, match="is in thread"):
        await world.send("bob", reply_to=sent, thread_id=thread)


# --- users, daemons, retries, quota ----------------------------------------------------------------------------------


async def test_user_acting_as_an_agent_is_recorded(world: World) -> None:
    await world.register("user:leon", "user", kind="user")

    sent = await world.send("user:leon", "from bob", to="@alice", acting_as="bob", disclose=True)

    message = (await world.call("alice", "message.get", message_id=sent))["message"]
    assert message["author"]["agent_id"] == "bob"
    assert (message["author"]["authored_by"], message["author"]["disclosed"]) == ("user:leon", True)
    assert (await world.call("user:leon", "message.edit", message_id=sent, content="changed"))["version"] == 1


async def test_bare_name_of_two_daemons_means_the_local_one(world: World, elsewhere: World) -> None:
    world.take_from(elsewhere)

    local = await world.send("alice", "here", to="@bob")
    remote = await world.send("alice", "there", to="@bob@away")

    assert await recipients(world, local) == ["bob"]
    assert await recipients(world, remote) == ["bob@away"]
    assert await world.texts("bob") == ["here"]


async def test_bare_name_of_two_other_daemons_is_ambiguous(world: World, elsewhere: World) -> None:
    await elsewhere.register("eve", "tester")
    world.take_from(elsewhere)
    folder = world.folder / "third"
    folder.mkdir()
    third = World(folder, "d_THIRD", world.clock)
    await third.register("eve", "tester")
    world.take_from(third)
    await third.close()

    with pytest.raises(AmbiguousName) as caught:
        await world.send("alice", to="@eve")

    assert caught.value.candidates == ("eve@away", "eve@third")
    assert await recipients(world, await world.send("alice", mentions=["@eve"])) == ["eve@away", "eve@third"]


async def test_same_request_again_is_one_message_also_after_a_restart(world: World) -> None:
    first = await world.call(
        "alice", "message.send", content="x", mentions=["@implementer"], request_id="r.1"
    )
    again = await world.call(
        "alice", "message.send", content="x", mentions=["@implementer"], request_id="r.1"
    )
    await world.restart()
    late = await world.call("alice", "message.send", content="x", mentions=["@implementer"], request_id="r.1")

    assert first == again == late
    assert await count(world) == 1


async def test_sender_that_is_too_fast_is_told_when_to_retry(world: World) -> None:
    world.limits = Limits(send_per_minute=60, send_burst=2)
    await world.send("alice", to="@bob")
    await world.send("alice", to="@bob")

    with pytest.raises(QuotaExceeded) as caught:
        await world.send("alice", to="@bob")

    assert 0 < caught.value.retry_after_s <= 1
    await world.send("carol", to="@bob")
    world.clock.pass_s(1)
    await world.send("alice", to="@bob")
    assert await count(world) == 4


async def test_large_message_costs_more(world: World) -> None:
    world.limits = Limits(send_per_minute=60, send_burst=10)
    await world.send("alice", "x" * (16 * 1024 * 9), to="@bob")

    with pytest.raises(QuotaExceeded):
        await world.send("alice", "x", to="@bob")


async def test_asserted_caller_is_shown(world: World) -> None:
    from thrum_kernel.api import Caller

    asserted = Caller(kind="agent", agent_id="alice", source="claim", asserted=True)
    await world.bus.call("message.send", {"content": "x", "to": "bob"}, caller=asserted)

    assert (await world.call("bob", "message.list", for_agent="bob"))["messages"][0]["asserted"] is True


@pytest.mark.parametrize("to", [[""], ["@"], ["@bob", ""], "@"])
async def test_an_empty_recipient_is_not_everybody(world: World, to: Any) -> None:
    with pytest.raises(UsageError, match="a recipient is empty"):
        await world.send("alice", to=to)


async def test_send_to_a_name_in_another_case_says_who_was_meant(world: World) -> None:
    with pytest.raises(UnknownRecipient, match="@BOB") as caught:
        await world.send("alice", to="@BOB")

    assert caught.value.hint == "did you mean @bob? nothing was sent"


async def test_send_to_a_role_or_group_says_how_to_reach_it(world: World) -> None:
    await world.call("alice", "group.create", name="ops")
    with pytest.raises(UnknownRecipient) as role:
        await world.send("alice", to="@coordinator")
    with pytest.raises(UnknownRecipient) as group:
        await world.send("bob", to="@ops")

    assert role.value.hint.startswith("@coordinator is a role: use --mention @coordinator;")
    assert group.value.hint == "@ops is a group: use --mention @ops; nothing was sent"


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"scopes": [{"type": "t" * 65, "value": "v"}]}, "the type of a scope is too long: 65 characters"),
        ({"refs": [{"type": "t", "value": "v" * 1025}]}, "the value of a ref is too long: 1025 characters"),
        ({"refs": [{"type": "t", "value": "a\0b"}]}, "NUL"),
        ({"scopes": [{"type": "t", "value": str(n)} for n in range(101)]}, "too many scopes: 101"),
        ({"to": ["@" + "x" * 401]}, "a recipient is too long: 401 characters"),
        ({"mentions": ["x" * 70_000]}, "a recipient is too long: 70000 characters"),
        ({"mentions": ["@bob"] * 1001}, "too many recipients"),
    ],
)
async def test_send_with_labels_or_names_too_long_or_too_many_is_refused(
    world: World, params: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        await world.send("alice", **params)

    assert len(str(caught.value)) < 100
    assert await count(world) == 0


async def test_a_priority_that_there_is_not_is_refused_in_one_line(world: World) -> None:
    with pytest.raises(ParamsInvalid, match="priority: invalid enum value 'ppp") as caught:
        await world.send("alice", priority="p" * 9000)

    assert len(str(caught.value)) < 300


async def test_labels_of_a_subscription_are_limited_alike(world: World) -> None:
    with pytest.raises(UsageError, match="too long"):
        await world.call("bob", "subscribe", scope={"type": "module", "value": "x" * 5000})
    with pytest.raises(UsageError, match="too long"):
        await world.call("bob", "subscribe", mention="x" * 5000)


async def test_an_error_repeats_only_the_beginning_of_what_is_unknown(world: World) -> None:
    for params in ({"reply_to": "msg_" + "X" * 9000}, {"thread_id": "thr_" + "X" * 9000}):
        with pytest.raises(NotFound, match=r"X… \(9004 characters\)") as caught:
            await world.send("alice", **params)
        assert len(str(caught.value)) < 200


async def test_send_from_a_clock_behind_a_purge_does_not_fall_under_it(
    world: World, clock: FakeClock
) -> None:
    clock.pass_s(3600)
    await world.committer.commit(world.committer.draft(PurgeExecuted, cutoff=stamp(clock), by="alice"))
    clock.pass_s(-1800)  # the one who purged was half an hour ahead
    await world.send("alice", "after the purge", to="bob")
    assert await world.texts("bob") == ["after the purge"]
    await world.restart()
    assert await world.texts("bob") == ["after the purge"]

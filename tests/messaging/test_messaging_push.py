"""Push: what subscribers hear, and when."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from messaging_world import World

from thrum_kernel.errors import NotFound, Refused, UsageError

pytestmark = pytest.mark.anyio


class Ear:
    """A connection that listens."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.frames: list[Any] = []

    def push(self, frame: bytes) -> None:
        self.frames.append(msgspec.json.decode(frame))

    async def subscribe(self, who: str, **params: Any) -> Any:
        def attach(topic: str, as_method: str) -> None:
            self._world.topics.attach(topic, self, as_method=as_method)

        return await self._world.call(who, "subscribe", subscribe=attach, **params)

    @property
    def previews(self) -> list[str]:
        return [frame["params"]["preview"] for frame in self.frames]


async def test_push_without_subscriptions_is_what_is_addressed(world: World) -> None:
    ear = Ear(world)
    await ear.subscribe("bob")

    await world.send("alice", "mine", to="@bob", scopes=[{"type": "module", "value": "auth"}])
    await world.send("alice", "not mine", to="@carol")
    await world.send("alice", "all")

    assert ear.previews == ["mine", "all"]
    frame = ear.frames[0]
    assert frame["method"] == "notification.message"
    params = frame["params"]
    assert params["author"] == {"agent_id": "alice", "name": "alice"}
    assert params["scopes"] == [{"type": "module", "value": "auth"}]
    assert params["message"]["body"] == {"content": "mine"}
    assert params["message"]["id"] == params["message_id"]
    assert "matched_subscription" not in params


async def test_push_preview_is_cut_between_characters(world: World) -> None:
    ear = Ear(world)
    await ear.subscribe("bob")

    await world.send("alice", "é" * 101, to="@bob")

    assert ear.previews == ["é" * 100 + "..."]


async def test_subscription_narrows_and_widens_what_is_pushed(world: World) -> None:
    ear = Ear(world)
    made = await ear.subscribe("bob", scope={"type": "module", "value": "auth"})

    await world.send("alice", "mine", to="@bob")
    await world.send("alice", "auth", to="@carol", scopes=[{"type": "module", "value": "auth"}])
    assert ear.previews == ["auth"]
    match = ear.frames[0]["params"]["matched_subscription"]
    assert match == {"subscription_id": made["subscription_id"], "match_type": "scope"}

    await ear.subscribe("bob", mention="@coordinator")
    await world.send("carol", "lead", mentions=["@coordinator"])
    assert ear.previews == ["auth", "lead"]

    await ear.subscribe("bob", all=True)
    await world.send("alice", "anything", to="@carol")
    assert ear.previews == ["auth", "lead", "anything"]


async def test_message_that_matches_twice_is_pushed_once(world: World) -> None:
    ear = Ear(world)
    await ear.subscribe("bob", all=True)
    await ear.subscribe("bob", mention="implementer")

    await world.send("alice", "x", mentions=["@implementer"])

    assert len(ear.frames) == 1


async def test_edit_is_pushed(world: World) -> None:
    ear = Ear(world)
    await ear.subscribe("bob")
    sent = await world.send("alice", "one", to="@bob")

    await world.call("alice", "message.edit", message_id=sent, content="two")

    assert ear.previews == ["one", "two"]


async def test_subscriptions_are_listed_ended_and_gone_with_their_session(world: World) -> None:
    ear = Ear(world)
    first = await ear.subscribe("bob", mention="@implementer")
    again = await ear.subscribe("bob", mention="implementer")
    second = await ear.subscribe("bob", all=True)
    assert first["subscription_id"] == again["subscription_id"] != second["subscription_id"]

    await world.restart()
    listed = (await world.call("bob", "subscriptions.list"))["subscriptions"]
    assert [(s["subscription_id"], s.get("mention", ""), s.get("all", False)) for s in listed] == [
        (first["subscription_id"], "implementer", False),
        (second["subscription_id"], "", True),
    ]

    with pytest.raises(NotFound):
        await world.call("carol", "unsubscribe", subscription_id=first["subscription_id"])
    await world.call("bob", "unsubscribe", subscription_id=str(first["subscription_id"]))
    await world.end_session("bob")
    await world.start_session("bob")
    assert (await world.call("bob", "subscriptions.list"))["subscriptions"] == []


async def test_subscribe_to_more_than_one_thing_or_as_nobody_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="mutually exclusive"):
        await world.call("bob", "subscribe", mention="x", all=True)
    with pytest.raises(Refused):
        await world.call("", "subscribe", all=True)


def threads_told(ear: Ear) -> list[dict[str, Any]]:
    return [f["params"] for f in ear.frames if f["method"] == "notification.thread.updated"]


async def test_message_in_a_thread_tells_everyone_in_it_how_the_thread_stands(world: World) -> None:
    alice, bob, carol = Ear(world), Ear(world), Ear(world)
    for ear, name in ((alice, "alice"), (bob, "bob"), (carol, "carol")):
        await ear.subscribe(name)
    root = await world.send("alice", "question", to="@bob")
    assert threads_told(bob) == []  # no thread yet

    await world.call("bob", "message.markRead", message_ids=[root])
    sent = await world.call("bob", "message.send", content="answer", reply_to=root)

    (told,) = threads_told(alice)
    assert told == {
        "thread_id": sent["thread_id"],
        "message_count": 2,
        "unread_count": 1,
        "last_activity": sent["created_at"],
        "last_sender": "bob",
        "preview": "answer",
        "timestamp": sent["created_at"],
    }
    assert [news["unread_count"] for news in threads_told(bob)] == [0]  # the author's other connections, too
    assert threads_told(carol) == []


async def test_thread_news_keep_to_what_a_session_subscribed_to(world: World) -> None:
    bob, carol = Ear(world), Ear(world)
    await bob.subscribe("bob", mention="@coordinator")
    await carol.subscribe("carol", all=True)
    root = await world.send("alice", "question", to="@bob")

    await world.send("alice", "more", reply_to=root)

    assert threads_told(bob) == []
    assert [news["preview"] for news in threads_told(carol)] == ["more"]

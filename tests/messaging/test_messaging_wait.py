"""Waiting: every message, none twice, told at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from messaging_world import World

from thrum_kernel.errors import Refused, UsageError

pytestmark = pytest.mark.anyio


async def wait(world: World, who: str = "bob", *, timeout_ms: int = 0, **params: Any) -> list[str]:
    result = await world.call(who, "message.wait", timeout_ms=timeout_ms, **params)
    assert result["status"] == ("received" if result.get("messages") else "timeout")
    return [message["body"]["content"] for message in result.get("messages", [])]


async def begin(world: World, **params: Any) -> asyncio.Task[list[str]]:
    """A wait that is pending."""
    task = asyncio.create_task(wait(world, timeout_ms=20_000, **params))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_wait_returns_when_a_message_comes(world: World) -> None:
    pending = await begin(world)

    await world.send("alice", "other", to="@carol")
    assert not pending.done()
    await world.send("alice", "hi", to="@bob")

    assert await pending == ["hi"]


async def test_wait_reports_every_message_oldest_first(world: World) -> None:
    assert await wait(world) == []
    for number in range(3):
        await world.send("alice", str(number), to="@bob")

    assert await wait(world) == ["0", "1", "2"]
    assert await wait(world) == []


async def test_wait_reports_all_of_one_batch(world: World) -> None:
    pending = await begin(world)

    await asyncio.gather(*(world.send("alice", str(number), to="@bob") for number in range(5)))

    told = await pending
    rest = await wait(world)
    assert sorted(told + rest) == ["0", "1", "2", "3", "4"]


async def test_first_wait_begins_a_second_ago(world: World) -> None:
    await world.send("alice", "long ago", to="@bob")
    world.clock.pass_s(5)
    await world.send("alice", "just now", to="@bob")

    assert await wait(world) == ["just now"]


async def test_messages_between_two_waits_are_reported(world: World) -> None:
    assert await wait(world) == []
    await world.send("alice", "between", to="@bob")
    world.clock.pass_s(3600)

    assert await wait(world) == ["between"]


async def test_answer_that_was_not_taken_is_given_again(world: World) -> None:
    assert await wait(world) == []
    await world.send("alice", "hi", to="@bob")
    effects: list[Callable[[], None]] = []

    assert await wait(world, shown=effects.append) == ["hi"]
    assert await wait(world, shown=effects.append) == ["hi"], (
        "the client went away before it had taken the answer"
    )
    effects[-1]()
    assert await wait(world) == []


async def test_position_survives_a_restart(world: World) -> None:
    assert await wait(world) == []
    await world.send("alice", "1", to="@bob")
    assert await wait(world) == ["1"]
    await world.send("alice", "2", to="@bob")
    world.clock.pass_s(10)

    await world.restart()

    assert await wait(world) == ["2"]
    assert await wait(world) == []


async def test_position_belongs_to_a_session(world: World) -> None:
    assert await wait(world) == []
    await world.send("alice", "to the old session", to="@bob")
    await world.end_session("bob")
    await world.start_session("bob")
    world.clock.pass_s(10)

    assert await wait(world) == []
    await world.end_session("bob")
    await world.local.write(lambda db: None)
    assert world.local.read("SELECT count(*) FROM wait_position") == [(0,)]
    with pytest.raises(Refused, match="no active session"):
        await wait(world)


async def test_filtered_wait_loses_nothing_for_the_next_one(world: World) -> None:
    assert await wait(world) == []
    await world.send("alice", "plain", to="@bob")
    await world.send("alice", "auth", to="@bob", scopes=[{"type": "module", "value": "auth"}])

    assert await wait(world, scope={"type": "module", "value": "auth"}) == ["auth"]
    assert await wait(world) == ["plain"]


async def test_scope_takes_messages_to_anyone_and_mention_those_that_name(world: World) -> None:
    scoped = await begin(world, scope={"type": "module", "value": "auth"})
    await world.send("alice", "no", to="@bob")
    await world.send("alice", "auth", to="@carol", scopes=[{"type": "module", "value": "auth"}])
    assert await scoped == ["auth"]

    mentioned = await begin(world, mention="@coordinator")
    await world.send("carol", "lead", mentions=["@coordinator"])
    assert await mentioned == ["lead"]


async def test_own_messages_are_not_waited_for(world: World) -> None:
    pending = await begin(world)

    await world.send("bob", "note", to="@bob")
    assert not pending.done()
    await world.send("alice", "hi", to="@bob")

    assert await pending == ["hi"]


async def test_after_in_the_past_includes_what_came_since(world: World) -> None:
    await world.send("alice", "old", to="@bob")
    world.clock.pass_s(60)
    await world.send("alice", "new", to="@bob")
    assert await wait(world) == ["new"]

    assert await wait(world, after="-30s") == ["new"]
    assert await wait(world, after="-2m") == ["old", "new"]
    assert await wait(world) == []


async def test_after_in_the_future_passes_over_what_comes_before(world: World) -> None:
    assert await wait(world) == []
    pending = await begin(world, after="+60s")

    await world.send("alice", "too early", to="@bob")
    assert not pending.done()
    world.clock.pass_s(61)
    await world.send("alice", "late", to="@bob")

    assert await pending == ["late"]
    assert await wait(world) == ["too early"], "it was never shown"


async def test_limit_leaves_the_rest_for_the_next_wait(world: World) -> None:
    assert await wait(world) == []
    for number in range(5):
        await world.send("alice", str(number), to="@bob")

    assert await wait(world, limit=2) == ["0", "1"]
    assert await wait(world, limit=2) == ["2", "3"]
    assert await wait(world) == ["4"]


async def test_message_that_was_written_long_ago_and_comes_late_is_news(
    world: World, elsewhere: World
) -> None:
    world.take_from(elsewhere)
    elsewhere.take_from(world)
    await elsewhere.send("dora", "late", to="@bob@here")
    world.clock.pass_s(3600)
    assert await wait(world) == []
    await world.send("alice", "local", to="@bob")
    assert await wait(world) == ["local"]

    pending = await begin(world)
    world.take_from(elsewhere)

    assert await pending == ["late"]


async def test_deleted_message_is_not_reported(world: World) -> None:
    assert await wait(world) == []
    sent = await world.send("alice", "oops", to="@bob")
    await world.call("alice", "message.delete", message_id=sent)

    assert await wait(world) == []


async def test_pending_wait_looks_again_after_the_cache_was_rebuilt(world: World) -> None:
    pending = await begin(world)
    await world.committer.settle()
    listeners, world.committer.listeners[:] = list(world.committer.listeners), []
    await world.send("alice", "unheard", to="@bob")
    world.committer.listeners[:] = listeners

    world.messaging.rebuilt()

    assert await pending == ["unheard"]


async def test_wait_marks_nothing_as_read_and_says_how_to_read_more(world: World) -> None:
    await world.send("alice", "hi", to="@bob")

    result = await world.call("bob", "message.wait", timeout_ms=0)

    assert result["action"] == "thrum inbox --unread"
    assert await world.texts("bob", unread=True) == ["hi"]


async def test_many_pending_waits_hear_only_their_own(world: World) -> None:
    pending = [await begin(world) for _ in range(50)]
    other = asyncio.create_task(wait(world, "carol", timeout_ms=20_000))
    await asyncio.sleep(0)

    await world.send("alice", "hi", to="@bob")

    assert await asyncio.gather(*pending) == [["hi"]] * 50
    assert not other.done()
    other.cancel()
    assert world.messaging.waits._by_recipient.keys() <= {world.incarnations["carol"]}


@pytest.mark.parametrize(
    "params", [{"timeout_ms": -1}, {"after": "soon"}, {"after": "--3s"}, {"limit": 0}, {"limit": 1000}]
)
async def test_wait_with_a_parameter_out_of_range_is_refused(world: World, params: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        await world.call("bob", "message.wait", **params)


async def test_timeout_is_told(world: World) -> None:
    assert await world.call("bob", "message.wait", timeout_ms=10) == {"status": "timeout"}

"""Search: words, filters, pages; nothing that is deleted."""

from __future__ import annotations

from typing import Any

import pytest
from messaging_world import World, stamp

from thrum_kernel.errors import NotFound, Projecting, Refused, UsageError

pytestmark = pytest.mark.anyio


async def search(world: World, who: str, query: str, **params: Any) -> list[str]:
    await world.search.settle()
    found = await world.call(who, "message.search", query=query, **params)
    return [hit["message"]["body"]["content"] for hit in found["hits"]]


async def test_search_finds_words_and_shows_where(world: World) -> None:
    await world.send("alice", "the auth module is broken", to="@bob")
    await world.send("alice", "lunch?", to="@bob")

    assert await search(world, "carol", "auth broken") == ["the auth module is broken"]
    found = await world.call("carol", "message.search", query="auth")
    assert found["hits"][0]["snippet"] == "the [auth] module is broken"
    assert (found["total"], found["page"], found["total_pages"]) == (1, 1, 1)


async def test_search_narrows_like_an_inbox(world: World) -> None:
    scope = {"type": "module", "value": "auth"}
    await world.send("alice", "word 1", to="@bob", scopes=[scope])
    between = stamp(world.clock)
    world.clock.pass_s(1)
    await world.send("carol", "word 2", to="@alice")
    thread = (await world.call("bob", "thread.create", title="t", message="word 3", to=["@alice"]))[
        "thread_id"
    ]

    assert await search(world, "bob", "word", from_agent="@alice") == ["word 1"]
    assert await search(world, "bob", "word", scope=scope) == ["word 1"]
    assert await search(world, "bob", "word", thread_id=thread) == ["word 3"]
    with pytest.raises(NotFound, match=r"^thread not found: thr_none$"):
        await search(world, "bob", "word", thread_id="thr_none")
    assert sorted(await search(world, "bob", "word", created_after=between)) == ["word 2", "word 3"]
    assert sorted(await search(world, "bob", "word", mine=True)) == ["word 1", "word 3"]


async def test_search_does_not_find_what_is_deleted_or_was_edited(world: World) -> None:
    sent = await world.send("alice", "secret one", to="@bob")
    other = await world.send("alice", "secret two", to="@bob")
    assert len(await search(world, "bob", "secret")) == 2

    await world.call("alice", "message.delete", message_id=sent)
    await world.call("alice", "message.edit", message_id=other, content="nothing")

    assert await search(world, "bob", "secret") == []


async def test_search_for_nothing_or_by_nobody_is_refused(world: World) -> None:
    with pytest.raises(Projecting, match="indexing"):
        await world.call("bob", "message.search", query="x")
    with pytest.raises(UsageError, match="nothing to search for"):
        await search(world, "bob", " ")
    with pytest.raises(UsageError):
        await search(world, "bob", "x", page=0)
    with pytest.raises(NotFound):
        await search(world, "bob", "x", from_agent="@nobody")
    with pytest.raises(Refused):
        await search(world, "", "x", mine=True)


async def test_search_is_narrowed_to_what_waits_and_to_what_names_the_caller(world: World) -> None:
    read = await world.send("alice", "needle read", to="bob")
    await world.send("alice", "needle waiting", to="bob")
    await world.send("alice", "needle role", mentions=["implementer"])
    await world.send("alice", "needle other", to="carol")
    await world.call("bob", "message.markRead", message_ids=[read])

    unread = await search(world, "bob", "needle", unread=True)
    named = await search(world, "bob", "needle", mentions=True)

    assert sorted(unread) == ["needle role", "needle waiting"]
    assert sorted(named) == ["needle read", "needle role", "needle waiting"]

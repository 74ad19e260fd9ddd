"""While the cache is made anew the daemon answers: with its progress, and with what needs no cache."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from daemon_inside import agent, opened_daemon, register, send, serving, texts

from thrum_kernel.api import Caller
from thrum_kernel.daemon.main import Daemon
from thrum_kernel.errors import CacheUnavailable, MethodNotFound, Projecting
from thrum_kernel.events import core
from thrum_kernel.testing.harness import Repo

LINES = 15_000


async def write_many(daemon: Daemon, caller: Caller, count: int) -> None:
    """Messages as many sends would leave them in the journal, written in few batches."""
    alice = daemon.agents.roster.find_local(caller.agent_id)
    assert alice is not None
    recipient = core.Recipient(alice.name, alice.home, alice.incarnation)
    for _ in range(count // 5000):
        await daemon.committer.commit(
            *(
                daemon.committer.draft(
                    core.MessageCreate,
                    agent_id=alice.name,
                    incarnation=alice.incarnation,
                    body=core.Body(content=f"one of many {number}"),
                    recipients=[recipient],
                )
                for number in range(5000)
            )
        )


def forget_projection(repo: Path) -> None:
    for path in (repo / ".thrum/var").glob("*.db*"):
        path.unlink()


async def answers_while_projecting(daemon: Daemon, nobody: Caller) -> tuple[list[str], list[str]]:
    """Progress as ``health`` told it while the daemon started, and what a message method answered."""
    told: list[str] = []
    refused: list[str] = []
    start = asyncio.create_task(daemon.start())
    while not start.done():
        await asyncio.sleep(0.005)
        state = (await daemon.dispatcher.call("health", caller=nobody))["sync_state"]
        told += [state] if state not in told else []
        try:
            await daemon.dispatcher.call("message.list", caller=nobody)
        except Projecting as error:
            refused.append(str(error))
    await start
    return told, refused


def test_health_tells_the_progress_and_message_methods_say_so(repo: Repo) -> None:
    async def story() -> None:
        async with serving(repo.path) as daemon:
            alice = await register(daemon, "alice", repo.path)
            await write_many(daemon, alice, LINES)
        forget_projection(repo.path)
        async with opened_daemon(repo.path) as daemon:
            told, refused = await answers_while_projecting(daemon, agent("alice", repo.path))
            try:
                assert told[-1] == "local-only"
                progress = [int(state.split()[1]) for state in told[:-1]]
                assert len(progress) > 2
                assert progress == sorted(progress)
                assert progress[0] < 50 < progress[-1] + 50
                assert set(refused) <= {f"projecting {percent} %" for percent in range(101)}
                assert refused
                counts: Any = await daemon.dispatcher.call("daemon.status", caller=alice)
                assert counts["counts"]["messages"] == LINES
            finally:
                await daemon.stop()

    asyncio.run(story())


def test_a_cache_that_could_not_be_made_is_made_when_the_disk_lets_it(repo: Repo) -> None:
    async def story() -> None:
        async with serving(repo.path) as daemon:
            alice = await register(daemon, "alice", repo.path)
            await send(daemon, alice, "before", to="@alice")
            in_the_way = repo.path / ".thrum/var/messages.rebuild.db"
            in_the_way.mkdir()
            done = asyncio.Event()
            daemon.keeper.rebuilt.append(done.set)
            daemon.keeper.want_rebuild("a test asks")
            async with asyncio.timeout(20):
                while not isinstance(daemon.keeper.refusal(), CacheUnavailable):  # noqa: ASYNC110 - its states
                    await asyncio.sleep(0)
            with pytest.raises(
                CacheUnavailable, match=r"cannot be made, which is tried again: .*rebuild\.db"
            ):
                await texts(daemon, alice)
            health = await daemon.dispatcher.call("health", caller=alice)
            assert health["sync_state"].startswith("the cache cannot be made")
            in_the_way.rmdir()
            async with asyncio.timeout(20):
                await done.wait()
            assert await texts(daemon, alice) == ["before"]

    asyncio.run(story())


def test_nothing_is_answered_before_lost_identities_are_back(repo: Repo) -> None:
    async def story() -> None:
        async with serving(repo.path) as daemon:
            alice = await register(daemon, "alice", repo.path)
        identity = repo.path / ".thrum/identities/alice.json"
        identity.unlink()
        async with opened_daemon(repo.path) as daemon:
            start = asyncio.create_task(daemon.start())
            answered_without = False
            while not start.done():
                await asyncio.sleep(0)
                was_there = identity.exists()
                state = (await daemon.dispatcher.call("health", caller=alice))["sync_state"]
                with contextlib.suppress(Projecting, MethodNotFound):
                    await daemon.dispatcher.call("message.list", caller=alice)
                    answered_without |= not was_there
                answered_without |= not was_there and not state.startswith("projecting")
            await start
            try:
                assert identity.exists()
                assert not answered_without
            finally:
                await daemon.stop()

    asyncio.run(story())


def test_what_is_sent_during_a_rebuild_is_there_afterwards(repo: Repo) -> None:
    async def story() -> None:
        async with serving(repo.path) as daemon:
            alice = await register(daemon, "alice", repo.path)
            bob = await register(daemon, "bob", repo.worktree("bob").path)
            await write_many(daemon, alice, 5_000)
            rebuild = asyncio.create_task(daemon.keeper.rebuild())
            await asyncio.sleep(0)
            with pytest.raises(Projecting):
                await send(daemon, alice, "too soon", "@bob")
            known = daemon.opened.ids.next_ulid()
            event = daemon.committer.draft(
                core.ThreadCreate, thread_id=f"thr_{known}", title="meanwhile", created_by="alice"
            )
            await daemon.committer.commit(event)
            await rebuild
            assert daemon.cache.read("SELECT title FROM thread") == [("meanwhile",)]
            assert daemon.cache.read("SELECT count(*) FROM message") == [(5_000,)]
            await send(daemon, alice, "afterwards", "@bob")
            assert await texts(daemon, bob) == ["afterwards"]

    asyncio.run(story())

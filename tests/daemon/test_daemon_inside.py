"""A full disk, and a clock that jumps: what is durable stays, reads go on, order holds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_inside import FillingDisk, ShiftedClock, agent, register, send, serving, texts

from thrum_kernel.errors import StoreError
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.waiting import until_on_loop

HOUR_US = 3600 * 1_000_000


def test_a_full_disk_refuses_what_would_write_and_serves_the_rest(repo: Repo) -> None:
    disk = FillingDisk()

    async def story() -> None:
        async with serving(repo.path, disk=disk) as daemon:
            alice = await register(daemon, "alice", repo.path)
            bob = await register(daemon, "bob", repo.worktree("bob").path)
            await send(daemon, alice, "before", "@bob")
            disk.is_full = True
            with pytest.raises(StoreError, match="no space left") as refused:
                await send(daemon, alice, "while full", "@bob")
            assert refused.value.hint
            with pytest.raises(StoreError, match="no space left"):
                await send(daemon, alice, "while full again", "@bob")
            assert await texts(daemon, bob) == ["before"]
            assert (await daemon.dispatcher.call("health", caller=bob))["status"] == "ok"
            disk.is_full = False
            await send(daemon, alice, "after", "@bob")
            assert await texts(daemon, bob) == ["before", "after"]
            verified = await daemon.dispatcher.call("log.verify", caller=alice)
            assert verified["ok"] or "torn" in str(verified["problems"])
        async with serving(repo.path, disk=disk) as daemon:
            assert await texts(daemon, agent("bob", repo.path)) == ["before", "after"]
            assert (await daemon.dispatcher.call("log.verify", caller=alice))["ok"]

    asyncio.run(story())


def test_publishing_on_a_full_disk_is_told_and_tried_again(repo: Repo) -> None:
    disk = FillingDisk()

    async def story() -> None:
        async with serving(repo.path, disk=disk) as daemon:
            alice = await register(daemon, "alice", repo.path)
            await send(daemon, alice, "kept", "@everyone")
            disk.is_full = True
            with pytest.raises(StoreError, match="no space left"):
                await daemon.dispatcher.call("sync.force", caller=alice)
            status = await daemon.dispatcher.call("daemon.status", caller=alice)
            assert any("publishing failed" in warning for warning in status["warnings"])
            disk.is_full = False
            await daemon.dispatcher.call("sync.force", caller=alice)
            status = await daemon.dispatcher.call("daemon.status", caller=alice)
            assert status["warnings"] == []

    asyncio.run(story())


def test_a_clock_that_jumps_back_changes_no_order(repo: Repo) -> None:
    clock = ShiftedClock()

    async def story() -> None:
        async with serving(repo.path, clock=clock) as daemon:
            alice = await register(daemon, "alice", repo.path)
            bob = await register(daemon, "bob", repo.worktree("bob").path)
            first = await send(daemon, alice, "first", "@bob")
            clock.shift_us = -HOUR_US
            second = await send(daemon, alice, "second", "@bob")
            assert first < second
            assert await texts(daemon, bob) == ["first", "second"]
        async with serving(repo.path, clock=clock) as daemon:
            third = await send(daemon, alice, "third", "@bob")
            assert second < third
            assert await texts(daemon, bob) == ["first", "second", "third"]

    asyncio.run(story())


@pytest.mark.parametrize("jump_us", [-HOUR_US, HOUR_US])
def test_a_wait_hears_what_came_after_a_jump(repo: Repo, jump_us: int) -> None:
    clock = ShiftedClock()

    async def story() -> None:
        async with serving(repo.path, clock=clock) as daemon:
            alice = await register(daemon, "alice", repo.path)
            bob = await register(daemon, "bob", repo.worktree("bob").path)

            async def heard(while_waiting: Callable[[], None]) -> list[str]:
                wait = daemon.dispatcher.call("message.wait", {"timeout_ms": 10_000}, caller=bob)
                task = asyncio.create_task(wait)
                await until_on_loop(lambda: daemon.messaging.waits.pending == 1)
                while_waiting()
                sent = await send(daemon, alice, "news", "@bob")
                found = await task
                assert [each["message_id"] for each in found["messages"]] == [sent]
                return [sent]

            await heard(lambda: None)
            await heard(lambda: setattr(clock, "shift_us", jump_us))
            await heard(lambda: setattr(clock, "shift_us", 0))

    asyncio.run(story())


def test_two_daemons_of_one_project_never_open_it_together(repo: Repo) -> None:
    async def story() -> None:
        async with serving(repo.path):
            with pytest.raises(StoreError, match="lock"):
                async with serving(repo.path):
                    pass
        with contextlib.suppress(FileNotFoundError):
            assert not Path(repo.path / ".thrum/var/thrum.sock").exists()

    asyncio.run(story())


def test_a_daemon_whose_lock_was_taken_away_publishes_nothing(repo: Repo) -> None:
    async def story() -> None:
        async with serving(repo.path) as daemon:
            alice = await register(daemon, "alice", repo.path)
            await send(daemon, alice, "not published yet", "@everyone")
            sync = daemon.opened.paths.sync
            before = {path: path.read_bytes() for path in sync.rglob("*.jsonl")}
            daemon.opened.paths.lock.unlink()
            with pytest.raises(StoreError, match="was taken away"):
                await daemon.dispatcher.call("sync.force", caller=alice)
            assert {path: path.read_bytes() for path in sync.rglob("*.jsonl")} == before

    asyncio.run(story())

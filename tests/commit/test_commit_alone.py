"""An event that comes alone is projected while its sync is running: seen when it is durable, never before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from thrum_kernel.clock import SystemClock
from thrum_kernel.commit import Committer
from thrum_kernel.errors import StoreError
from thrum_kernel.events import Event, EventTypes
from thrum_kernel.events.core import CORE_EVENT_TYPES, GroupCreate
from thrum_kernel.ids import HybridClock
from thrum_kernel.projection.apply import Prepared, Projected, Projector
from thrum_kernel.projection.db import Cache


class Watched(Projector):
    """Notes what was prepared, and lets the sync end only then."""

    def __init__(self, cache: Cache, types: EventTypes) -> None:
        super().__init__(cache, types)
        self.prepared = 0
        self.was_prepared = threading.Event()

    def prepare(self, items: Sequence[Projected]) -> Prepared:
        prepared = super().prepare(items)
        self.prepared += 1
        self.was_prepared.set()
        return prepared


class Syncing:
    """A journal in memory. While *held*, its sync lasts until it is let go; *failure* is what a sync ends with."""

    def __init__(self, writer: str, house: House) -> None:
        self.writer = writer
        self._house = house

    def append(self, lines: Sequence[bytes], *, syncing: Callable[[], object]) -> None:
        house = self._house
        syncing()
        house.is_syncing.set()
        if house.held is not None:
            house.held.wait(10)
        if house.failure is not None:
            house.projector.was_prepared.wait(10)
            failure, house.failure = house.failure, None
            raise failure

    def end(self) -> None:
        pass


class House:
    """A committer with a real cache."""

    def __init__(self, folder: Path) -> None:
        types = EventTypes(CORE_EVENT_TYPES)
        self.cache = Cache(folder / "messages.db")
        self.projector = Watched(self.cache, types)
        self.held: threading.Event | None = None
        self.failure: Exception | None = None
        self.is_syncing = threading.Event()
        self.heard: list[Event] = []
        self.committer = Committer(
            daemon_id="d_1",
            clock=SystemClock(),
            ids=HybridClock(SystemClock()),
            types=types,
            projector=self.projector,
            journals=lambda writer, previous: Syncing(writer, self),
            still_ours=lambda: None,
            in_doubt=lambda why: pytest.fail(why),
        )
        self.committer.listeners.append(self.heard.append)

    async def begin(self) -> None:
        """The first commit opens the journal; those after it may be quick."""
        await self.committer.commit(self.group("first"))
        self.committer._append_s = 0.0  # whatever this machine is busy with
        self.is_syncing.clear()
        self.projector.was_prepared.clear()

    async def end(self) -> None:
        await self.committer.close()
        self.cache.close()

    def group(self, name: str) -> GroupCreate:
        return self.committer.draft(GroupCreate, group_id=f"grp_{name}", name=name, created_by="alice")

    @property
    def groups(self) -> list[str]:
        return [row[0] for row in self.cache.read("SELECT name FROM grp ORDER BY id")]


def test_it_is_there_and_told_once(tmp_path: Path) -> None:
    async def story() -> None:
        house = House(tmp_path)
        await house.begin()
        second = house.group("second")

        await house.committer.commit(second)

        assert house.groups == ["first", "second"]
        assert house.heard[1:] == [second]
        assert (second.sequence, house.committer.last_sequence) == (2, 2)
        assert house.cache.read("SELECT first, last FROM projected") == [(1, 2)]
        await house.end()

    asyncio.run(story())


def test_a_sync_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    async def story() -> None:
        house = House(tmp_path)
        await house.begin()
        house.failure = StoreError("the disk is gone")

        with pytest.raises(StoreError, match="the disk is gone"):
            await house.committer.commit(house.group("lost"))

        assert house.projector.prepared == 2  # it had been projected
        assert house.groups == ["first"]
        assert [event.ulid for event in house.heard] == [house.heard[0].ulid]
        await house.committer.commit(house.group("next"))
        assert house.groups == ["first", "next"]
        assert house.committer.last_sequence == 1  # of a new writer
        await house.end()

    asyncio.run(story())


def test_the_loop_does_not_stand_still_for_a_slow_sync_and_sees_nothing_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        house = House(tmp_path)
        await house.begin()
        house.held = threading.Event()

        commit = asyncio.create_task(house.committer.commit(house.group("slow")))
        await asyncio.to_thread(house.is_syncing.wait, 10)
        await asyncio.sleep(0.01)

        assert house.groups == ["first"]
        assert not commit.done()
        house.held.set()
        await commit
        assert house.groups == ["first", "slow"]
        assert len(house.heard) == 2
        await house.end()

    asyncio.run(story())


def test_what_a_plugin_hears_of_it_hears_only_when_it_is_durable(tmp_path: Path) -> None:
    async def story() -> None:
        house = House(tmp_path)
        await house.begin()
        durable: list[int] = []
        house.projector.projectors[GroupCreate] = lambda db, event: durable.append(
            house.committer.last_sequence
        )

        await house.committer.commit(house.group("second"))

        assert durable == [2]
        await house.end()

    asyncio.run(story())

"""What is answered first is projected a moment later, and before anybody looks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from thrum_kernel.clock import SystemClock
from thrum_kernel.commit import Committer
from thrum_kernel.events import Event, EventTypes
from thrum_kernel.events.core import CORE_EVENT_TYPES, GroupCreate
from thrum_kernel.ids import HybridClock
from thrum_kernel.projection.apply import Projector
from thrum_kernel.projection.db import Cache


class MemoryJournal:
    def __init__(self, writer: str) -> None:
        self.writer = writer

    def append(self, lines: Sequence[bytes]) -> None:
        pass

    def end(self) -> None:
        pass


class House:
    """A committer with a real cache; the disk is quick unless said otherwise."""

    def __init__(self, folder: Path, *, quick_s: float) -> None:
        types = EventTypes(CORE_EVENT_TYPES)
        self.cache = Cache(folder / "messages.db")
        self.heard: list[Event] = []
        self.doubts: list[str] = []
        self.committer = Committer(
            daemon_id="d_1",
            clock=SystemClock(),
            ids=HybridClock(SystemClock()),
            types=types,
            projector=Projector(self.cache, types),
            journals=lambda writer, previous: MemoryJournal(writer),
            still_ours=lambda: None,
            in_doubt=self.doubts.append,
            quick_s=quick_s,
        )
        self.committer.listeners.append(self.heard.append)

    def group(self, name: str) -> GroupCreate:
        return self.committer.draft(GroupCreate, group_id=f"grp_{name}", name=name, created_by="alice")

    async def answered(self, name: str) -> None:
        await self.committer.commit(self.group(name), answer_first=True)

    @property
    def groups(self) -> list[str]:
        return [row[0] for row in self.cache.read("SELECT name FROM grp ORDER BY id")]


def live(folder: Path, story: Callable[[House], Awaitable[None]], *, quick_s: float = 10.0) -> None:
    async def life() -> None:
        house = House(folder, quick_s=quick_s)
        await house.committer.commit(house.group("first"))  # opens the journal
        await story(house)
        await house.committer.close()
        house.cache.close()

    asyncio.run(life())


def test_it_is_projected_before_anybody_reads(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.answered("second")

        assert len(house.heard) == 1
        assert house.groups == ["first", "second"]
        assert len(house.heard) == 2
        assert house.committer.last_sequence == 2

    live(tmp_path, story)


def test_nobody_has_to_look(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.answered("second")
        await asyncio.sleep(0.01)

        assert len(house.heard) == 2

    live(tmp_path, story)


def test_the_next_event_comes_after_it(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.answered("second")
        await house.answered("third")
        await house.committer.commit(house.group("fourth"))

        assert [event.name for event in house.heard if isinstance(event, GroupCreate)] == [
            "first",
            "second",
            "third",
            "fourth",
        ]
        assert house.groups == ["first", "second", "third", "fourth"]

    live(tmp_path, story)


@pytest.mark.parametrize("end", [Committer.settle, Committer.rotate, Committer.close])
def test_nothing_is_left_behind(tmp_path: Path, end: Callable[[Committer], Awaitable[None]]) -> None:
    async def story(house: House) -> None:
        writer = house.committer.writer
        places: list[tuple[str, int]] = []
        house.committer.hearers.append(lambda event, writer, sequence: places.append((writer, sequence)))
        await house.answered("second")
        await end(house.committer)

        assert len(house.heard) == 2
        assert places == [(writer, 2)]

    live(tmp_path, story)


def test_a_slow_disk_makes_no_difference_to_what_is_seen(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.answered("second")

        assert len(house.heard) == 2
        assert house.groups == ["first", "second"]

    live(tmp_path, story, quick_s=0.0)


def test_a_projection_that_fails_then_is_in_doubt(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        await house.answered("second")
        house.cache._connection.execute("ALTER TABLE grp RENAME TO elsewhere")

        await asyncio.sleep(0.01)

        assert len(house.doubts) == 1
        assert "projection failed" in house.doubts[0]

    live(tmp_path, story)

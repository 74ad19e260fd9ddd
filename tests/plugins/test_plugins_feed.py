"""A plugin hears every event that counts, at least once, in turn; its writes move the cursor with them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from thrum_kernel.api import Event, EventType
from thrum_kernel.clock import SystemClock
from thrum_kernel.events import EventTypes
from thrum_kernel.plugins import feed as feeding
from thrum_kernel.plugins.context import delivery
from thrum_kernel.plugins.cursors import MIGRATION, Cursor
from thrum_kernel.plugins.feed import Feed, Log
from thrum_kernel.plugins.hooks import Bound, Hooks
from thrum_kernel.plugins.implementing import Implementation
from thrum_kernel.plugins.record import Plugin, Source
from thrum_kernel.plugins.watchdog import Watchdog
from thrum_kernel.projection.local import LocalDb
from thrum_kernel.projection.spans import Spans
from thrum_kernel.testing.waiting import until_on_loop


class Happened(Event, kw_only=True, tag="acme.happened"):
    text: str


def event(number: int) -> Happened:
    return Happened(
        event_id=f"evt_{number:026d}", timestamp="", origin_daemon="d", sequence=number, text=f"e{number}"
    )


class Desk:
    """A log in memory, and a plugin that hears of it."""

    def __init__(
        self, local: LocalDb, handler: Callable[[Desk, Event], Any], *, history: bool = False
    ) -> None:
        self.local = local
        self.types = EventTypes([EventType("acme.happened", Happened)])
        self.log: dict[int, Event] = {}
        self.held: set[int] = set()
        self.gone: set[int] = set()
        self.taken: list[str] = []
        self.dog = Watchdog(lambda label, text: None)
        self.hooks = Hooks(timeout_s=lambda: 1.0, watchdog=self.dog)

        async def hear(event: Event) -> None:
            await handler(self, event)

        plugin = Plugin(Source("acme", "acme-acme", "1.0", lambda: None))
        context: Any = None
        self.bound = Bound(plugin, context, Implementation("thrum_event_committed", hear, ("event",)))
        self.hooks.add(self.bound)
        self.cursor = Cursor(local, "acme")
        self.feed = Feed(
            self.bound,
            self.cursor,
            hooks=self.hooks,
            log=Log(self.counted, self.lines),
            types=self.types,
            clock=SystemClock(),
            history=history,
        )

    def counted(self) -> dict[str, Spans]:
        return {"w": Spans.of(set(self.log) - self.held)}

    def lines(self, heard: Any, report: Callable[[object], None]) -> Iterator[Sequence[Any]]:
        known = Spans(heard.get("w", ()))
        for number, event in sorted(self.log.items()):
            if number not in known and number not in self.gone:
                yield [("w", "d", number, self.types.encode(event))]

    def commit(self, number: int, *, told: bool = True) -> None:
        self.log[number] = event(number)
        if told:
            self.feed.heard(self.log[number], "w", number)

    async def run_for(self, wanted: Callable[[], bool]) -> None:
        await self.feed.start()
        task = asyncio.create_task(self.feed.run(lambda: None))
        async with asyncio.timeout(10):
            while not wanted():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait((task,))
        self.dog.close()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalDb]:
    db = LocalDb(tmp_path / "local.db", version="1")
    db.migrate([MIGRATION])
    yield db
    db.close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "PAUSES_S", (0.0, 0.0))


async def take(desk: Desk, event: Any) -> None:
    desk.taken.append(event.text)


def test_events_are_told_in_turn_from_now_on_and_not_again(local: LocalDb) -> None:
    async def story() -> None:
        desk = Desk(local, take)
        desk.commit(1, told=False)
        await desk.feed.start()
        for number in (2, 3, 4):
            desk.commit(number)
        await desk.run_for(lambda: len(desk.taken) == 3)
        assert desk.taken == ["e2", "e3", "e4"]

        later = Desk(local, take)
        later.log = dict(desk.log)
        later.commit(5, told=False)
        await later.run_for(lambda: bool(later.taken))
        assert later.taken == ["e5"]

    asyncio.run(story())


def test_history_begins_at_the_beginning(local: LocalDb) -> None:
    async def story() -> None:
        desk = Desk(local, take, history=True)
        for number in (1, 2, 3):
            desk.commit(number, told=False)
        await desk.run_for(lambda: len(desk.taken) == 3)
        assert desk.taken == ["e1", "e2", "e3"]

    asyncio.run(story())


def test_an_event_released_late_is_told_then(local: LocalDb) -> None:
    async def story() -> None:
        desk = Desk(local, take)
        desk.held = {1}
        desk.commit(1, told=False)
        await desk.feed.start()
        desk.commit(2)
        task = asyncio.create_task(desk.run_for(lambda: len(desk.taken) == 2))
        await until_on_loop(lambda: desk.taken)
        assert desk.taken == ["e2"]
        desk.held.clear()
        desk.feed.heard(desk.log[1], "", 1)
        await task
        assert desk.taken == ["e2", "e1"]

    asyncio.run(story())


def test_what_was_purged_meanwhile_counts_as_heard(local: LocalDb) -> None:
    async def story() -> None:
        desk = Desk(local, take, history=True)
        for number in (1, 2, 3):
            desk.commit(number, told=False)
        desk.gone = {2}
        await desk.run_for(lambda: len(desk.taken) == 2)
        assert desk.taken == ["e1", "e3"]
        assert desk.cursor.ranges() == {"w": [(1, 3)]}

    asyncio.run(story())


def test_after_three_failures_an_event_is_a_dead_letter_and_the_next_one_comes(local: LocalDb) -> None:
    tries: list[str] = []

    async def picky(desk: Desk, event: Any) -> None:
        tries.append(event.text)
        if event.text == "e1":
            raise ValueError("never")
        desk.taken.append(event.text)

    async def story() -> None:
        desk = Desk(local, picky)
        await desk.feed.start()
        desk.commit(1)
        desk.commit(2)
        await desk.run_for(lambda: desk.taken == ["e2"])
        assert tries == ["e1", "e1", "e1", "e2"]
        (letter,) = desk.cursor.dead_letters()
        assert (letter.event_id, letter.type) == (event(1).event_id, "acme.happened")
        assert "never" in letter.error
        assert desk.bound.plugin.dead_letters == 1
        assert await desk.feed.retry() == (0, 1)

    asyncio.run(story())


def test_five_failures_switch_it_off_and_nothing_is_missed_when_it_is_enabled(local: LocalDb) -> None:
    well: list[bool] = []

    async def ill(desk: Desk, event: Any) -> None:
        if not well:
            raise ValueError("ill")
        desk.taken.append(event.text)

    async def story() -> None:
        desk = Desk(local, ill)
        await desk.feed.start()
        task = asyncio.create_task(desk.run_for(lambda: desk.taken == ["e2", "e3"]))
        for number in (1, 2):
            desk.commit(number)
        async with asyncio.timeout(5):
            while not desk.bound.off:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)
        desk.commit(3)
        well.append(True)
        desk.hooks.enable(desk.bound.plugin)
        desk.feed.look()
        await task  # the first is a dead letter after its three tries, the others were never lost

    asyncio.run(story())


def test_a_write_moves_the_cursor_in_its_transaction(local: LocalDb) -> None:
    """Killed right after its write, the handler is not called again; killed before it, it is."""
    killed: list[asyncio.Event] = []

    async def writes(desk: Desk, event: Any) -> None:
        desk.taken.append(event.text)
        under_way = delivery.get()
        assert under_way is not None
        if event.text == "e1":

            def write(db: sqlite3.Connection) -> None:
                under_way.advance(db)

            await desk.local.write(write)
        killed[-1].set()
        await asyncio.sleep(60)

    async def story(texts: list[str], number: int) -> None:
        desk = Desk(local, writes)
        desk.log = {n: event(n) for n in range(1, number)}
        await desk.feed.start()
        killed.append(asyncio.Event())
        desk.commit(number)
        task = asyncio.create_task(desk.feed.run(lambda: None))
        await killed[-1].wait()
        task.cancel()
        await asyncio.wait((task,))
        desk.dog.close()
        assert desk.taken == texts

    asyncio.run(story(["e1"], 1))
    asyncio.run(story(["e2"], 2))  # the first is not told again
    asyncio.run(story(["e2"], 3))  # the second is, for nothing of it was written


def test_more_than_fits_into_memory_is_read_from_the_log(
    local: LocalDb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "QUEUED", 4)

    async def story() -> None:
        desk = Desk(local, take)
        await desk.feed.start()
        for number in range(1, 31):
            desk.commit(number)
        await desk.run_for(lambda: len(desk.taken) == 30)
        assert sorted(desk.taken) == sorted(f"e{number}" for number in range(1, 31))

    asyncio.run(story())

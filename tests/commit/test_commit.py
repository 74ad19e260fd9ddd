"""The one way in: durable first, in order, in batches, all or none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from thrum_kernel.clock import SystemClock
from thrum_kernel.commit import Committer
from thrum_kernel.errors import ShuttingDown, StoreError
from thrum_kernel.events import Event, EventTypes
from thrum_kernel.events.core import CORE_EVENT_TYPES, GroupCreate
from thrum_kernel.ids import HybridClock
from thrum_kernel.projection.apply import Applied, Projected


class RecordingJournal:
    """A journal in memory whose syncs can be held up or made to fail."""

    def __init__(self, book: Book, writer: str) -> None:
        self.book = book
        self.writer = writer
        self.lines: list[bytes] = []
        self.ended = False

    def append(self, lines: Sequence[bytes]) -> None:
        self.book.gate.wait(10)
        if self.book.failures:
            raise self.book.failures.pop()
        self.lines.extend(lines)
        self.book.batches.append(len(lines))

    def end(self) -> None:
        self.ended = True


class Book:
    """All journals of one committer, and what was projected."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.failures: list[Exception] = []
        self.batches: list[int] = []
        self.journals: list[RecordingJournal] = []
        self.previous: list[tuple[str, int] | None] = []
        self.projected: list[Projected] = []
        self.projection_error: Exception | None = None
        self.doubts: list[str] = []

    def open(self, writer: str, previous: tuple[str, int] | None) -> RecordingJournal:
        self.journals.append(RecordingJournal(self, writer))
        self.previous.append(previous)
        return self.journals[-1]

    def apply(self, items: Sequence[Projected]) -> Applied:
        if self.projection_error is not None:
            raise self.projection_error
        self.projected.extend(items)
        return Applied(events=tuple(item.event for item in items if isinstance(item.event, Event)))

    def committer(self) -> Committer:
        return Committer(
            daemon_id="d_1",
            clock=SystemClock(),
            ids=HybridClock(SystemClock()),
            types=EventTypes(CORE_EVENT_TYPES),
            projector=self,  # type: ignore[arg-type]
            journals=self.open,
            still_ours=lambda: None,
            in_doubt=self.doubts.append,
        )


def group(committer: Committer, name: str) -> GroupCreate:
    return committer.draft(GroupCreate, group_id=f"grp_{name}", name=name, created_by="alice")


def run(story: object) -> None:
    asyncio.run(story)  # type: ignore[arg-type]


def test_a_commit_is_durable_and_projected_when_it_returns() -> None:
    async def story() -> None:
        book = Book()
        committer = book.committer()
        heard: list[Event] = []
        committer.listeners.append(heard.append)
        event = group(committer, "a")

        await committer.commit(event)

        assert [item.event for item in book.projected] == heard == [event]
        assert book.journals[0].lines == [item.line for item in book.projected]
        assert (committer.writer, committer.last_sequence, event.sequence) == (book.journals[0].writer, 1, 1)
        await committer.close()
        assert book.journals[0].ended

    run(story())


def test_commits_that_wait_for_a_sync_share_the_next_one() -> None:
    async def story() -> None:
        book = Book()
        committer = book.committer()
        book.gate.clear()
        commits = [asyncio.create_task(committer.commit(group(committer, str(n)))) for n in range(20)]
        await asyncio.sleep(0)
        late = [asyncio.create_task(committer.commit(group(committer, f"late{n}"))) for n in range(5)]
        await asyncio.sleep(0)
        book.gate.set()

        await asyncio.gather(*commits, *late)

        assert sum(book.batches) == 25
        assert len(book.batches) <= 3
        assert [item.sequence for item in book.projected] == list(range(1, 26))
        await committer.close()

    run(story())


def test_a_failed_append_fails_its_batch_and_begins_a_new_writer() -> None:
    async def story() -> None:
        book = Book()
        committer = book.committer()
        await committer.commit(group(committer, "a"))
        book.failures.append(StoreError("sync failed"))

        with pytest.raises(StoreError, match="sync failed"):
            await committer.commit(group(committer, "b"))
        await committer.commit(group(committer, "c"))

        first, second = book.journals
        assert [len(first.lines), len(second.lines)] == [1, 1]
        assert book.previous == [None, (first.writer, 1)]
        assert [item.sequence for item in book.projected] == [1, 1]
        assert not first.ended, "a journal that failed is never touched again"
        await committer.close()

    run(story())


def test_a_caller_that_goes_away_does_not_take_the_others_along() -> None:
    async def story() -> None:
        book = Book()
        committer = book.committer()
        book.gate.clear()
        gone = asyncio.create_task(committer.commit(group(committer, "gone")))
        stays = asyncio.create_task(committer.commit(group(committer, "stays")))
        await asyncio.sleep(0)
        gone.cancel()
        book.gate.set()

        await stays

        assert len(book.projected) == 2
        await committer.close()

    run(story())


def test_a_projection_failure_is_told_and_the_commit_stands() -> None:
    async def story() -> None:
        book = Book()
        committer = book.committer()
        book.projection_error = RuntimeError("broken cache")

        await committer.commit(group(committer, "a"))

        assert book.journals[0].lines
        assert book.doubts == ["projection failed: broken cache"]
        await committer.close()

    run(story())


def test_a_listener_that_fails_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        book = Book()
        committer = book.committer()
        heard: list[Event] = []

        def broken(event: Event) -> None:
            raise RuntimeError("broken listener")

        committer.listeners += [broken, heard.append]
        await committer.commit(group(committer, "a"))

        assert len(heard) == 1
        await committer.close()

    run(story())
    assert "broken listener" in caplog.text


def test_events_are_found_by_the_request_that_caused_them() -> None:
    async def story() -> None:
        book = Book()
        committer = book.committer()
        event = group(committer, "a")

        await committer.commit(event, request_id="r1.1")

        assert committer.events_of_request("r1.1") == [event]
        assert b'"request_id":"r1.1"' in book.journals[0].lines[0]
        assert committer.events_of_request("r1.2") == []
        await committer.close()

    run(story())


def test_rotate_ends_the_journal_and_the_next_event_begins_another() -> None:
    async def story() -> None:
        book = Book()
        committer = book.committer()
        await committer.commit(group(committer, "a"))

        await committer.rotate()
        await committer.rotate()
        assert book.journals[0].ended
        await committer.commit(group(committer, "b"))

        assert book.previous[1] == (book.journals[0].writer, 1)
        await committer.close()
        with pytest.raises(ShuttingDown):
            await committer.commit(group(committer, "c"))

    run(story())


def test_whatever_fails_an_append_is_told_to_its_sender_and_the_next_one_goes_on() -> None:
    async def story() -> None:
        book = Book()
        committer = book.committer()
        book.failures.append(ValueError("no line"))

        with pytest.raises(ValueError, match="no line"):
            await committer.commit(group(committer, "one"))
        await committer.commit(group(committer, "two"))

        assert [item.event.name for item in book.projected] == ["two"]  # type: ignore[union-attr]
        await committer.close()

    run(story())


def test_an_event_whose_caller_went_away_is_written_with_the_others_of_its_batch() -> None:
    async def story() -> None:
        book = Book()
        committer = book.committer()
        gone = asyncio.create_task(committer.commit(group(committer, "gone")))
        stays = asyncio.create_task(committer.commit(group(committer, "stays")))
        await asyncio.sleep(0)

        gone.cancel()
        await stays
        await committer.settle()

        assert gone.cancelled()
        assert [item.event.name for item in book.projected] == ["gone", "stays"]  # type: ignore[union-attr]
        await committer.close()

    run(story())

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sync_parts import House

from thrum_kernel.errors import StoreError
from thrum_kernel.store.ranges import scan
from thrum_kernel.sync.pace import Pace
from thrum_kernel.testing.disk import FaultDisk
from thrum_kernel.testing.waiting import until_on_loop as until


def test_a_publish_moves_everything_durable_into_files_and_is_idempotent(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        await house.committer.send("one")
        await house.committer.other()
        assert await house.publisher.cut_now() == 2
        assert await house.publisher.cut_now() == 0
        await house.committer.send("two")
        assert await house.publisher.cut_now() == 1
        assert [unit.lines for unit in scan(house.tree).units] == [2, 1]
        assert len(house.lines()) == 3
        assert len(house.journals()) == 1, "the current journal stays"

    asyncio.run(main())


def test_journals_of_earlier_starts_are_published_and_removed(tmp_path: Path) -> None:
    async def main() -> None:
        await House(tmp_path).committer.send("one")
        second = House(tmp_path)
        await second.committer.send("two")
        third = House(tmp_path)
        await third.committer.send("three")
        assert await third.publisher.cut_now() == 3
        assert list(third.journals()) == [f"{third.committer.durable[0]}.jsonl"]
        assert len(third.lines()) == 3

    asyncio.run(main())


def test_a_journal_that_failed_is_published_up_to_its_end_and_removed() -> None:
    async def main() -> None:
        disk = FaultDisk(Path("/T"))
        house = House(Path("/T"), disk=disk)
        await house.committer.send("kept")
        disk.fill()
        with pytest.raises(StoreError):
            await house.committer.send("refused")
        disk.free()
        await house.committer.rotate()
        await house.committer.send("after")
        assert await house.publisher.cut_now() == 2
        names = [entry.name for entry in disk.entries(house.tree.journal)]
        assert names == [f"{house.committer.durable[0]}.jsonl"]
        assert [b"refused" in line for line in house.lines()] == [False, False]

    asyncio.run(main())


def test_what_the_rooms_have_to_say_travels_with_the_cut(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)

        async def receipts() -> None:
            await house.committer.other()

        house.publisher.before_cut.append(receipts)
        await house.committer.send("one")
        assert await house.publisher.cut_now() == 2
        assert not house.publisher.has_waiting, "what it journalled itself asks for no further publish"

    asyncio.run(main())


def test_a_failing_publish_is_told_and_made_good() -> None:
    async def main() -> None:
        disk = FaultDisk(Path("/T"))
        house = House(Path("/T"), disk=disk)
        await house.committer.send("one")
        disk.fill()
        with pytest.raises(StoreError):
            await house.publisher.cut_now()
        assert house.publisher.last_error and house.publisher.has_waiting
        disk.free()
        assert await house.publisher.cut_now() == 1
        assert not house.publisher.last_error and house.publisher.last_cut_us is not None

    asyncio.run(main())


def test_the_loop_publishes_by_itself_and_then_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thrum_kernel.sync.pace.FIRST_DELAY_S", 0.01)

    async def main() -> None:
        house = House(tmp_path, interval_s=0.01)
        (service,) = house.publisher.services()
        started = asyncio.Event()
        task = asyncio.ensure_future(service.run(started.set))
        await started.wait()
        await house.committer.send("one")
        await until(lambda: bool(scan(house.tree).units) and not house.publisher.has_waiting)
        before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
        await asyncio.sleep(0.1)
        assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not house.publisher.is_running

    asyncio.run(main())


def test_many_small_publishes_are_rolled_up(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        for n in range(20):
            await house.committer.send(f"text {n}")
            await house.publisher.cut_now()
        assert len(scan(house.tree).units) < 16
        assert len(house.lines()) == 20

    asyncio.run(main())


def test_the_pace_is_quick_when_quiet_and_backs_off_under_traffic() -> None:
    pace = Pace()
    now = 100.0
    delays = []
    for _ in range(7):
        delays.append(pace.delay_s(now, interval_s=60))
        now += delays[-1]
        pace.published(now)
    assert delays == [2, 4, 8, 16, 32, 60, 60]
    assert pace.delay_s(now + 61, interval_s=60) == 2
    assert pace.delay_s(now + 61, interval_s=1) == 2

"""A restored backup can leave two files of one writer that share events: nothing is lost, nothing counts twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from sync_parts import House

from thrum_kernel.store.check import check
from thrum_kernel.store.files import digest
from thrum_kernel.store.ranges import scan
from thrum_kernel.store.read import read_window
from thrum_kernel.sync.merge import Merger

OTHER = "d_01JABCDEFGHJKMNPQRSTVWXYZ9"


class Branch:
    """What other clones see: the published files of a house as they were when it was asked; see `seams.Snapshots`."""

    def __init__(self) -> None:
        self._commits: dict[str, dict[str, str]] = {}
        self._blobs: dict[str, bytes] = {}

    def commit(self, *houses: House) -> str:
        files = {}
        for house in houses:
            for path in house.tree.published.rglob("*"):
                if path.is_file():
                    data = path.read_bytes()
                    files[str(path.relative_to(house.tree.published))] = digest(data)
                    self._blobs[digest(data)] = data
        tip = str(len(self._commits))
        self._commits[tip] = files
        return tip

    def files(self, commit: str) -> dict[str, str]:
        return dict(self._commits[commit])

    @contextlib.contextmanager
    def blobs(self) -> Iterator[Branch]:
        yield self

    def expect(self, blobs: Iterable[str]) -> None:
        """They are all at hand."""

    def read(self, blob: str) -> bytes:
        return self._blobs[blob]


def windows(house: House) -> list[tuple[int, int]]:
    return [(window.first, window.last) for unit in scan(house.tree).units for window in unit.windows]


def texts(house: House) -> list[str]:
    """The texts of the log, as whoever reads it gets them."""
    return [json.loads(line)["body"]["content"] for line in house.lines()]


def take(house: House, branch: Branch, tip: str, merger: Merger | None = None) -> None:
    merged = (merger or Merger(house.tree, branch, daemon=house.daemon)).merge(
        tip, remote="origin", known=house.cutter.known_purges
    )
    house.cutter.came(merged.units)
    assert merged.problems == []


async def restored(tmp_path: Path) -> tuple[House, House]:
    """A house that went on after its backup, and that backup, which rolled up what it had: they share 6 to 8."""
    numbers = count(1)

    async def send(house: House, times: int) -> None:
        for _ in range(times):
            await house.committer.send(f"text {next(numbers)}")

    (tmp_path / "house").mkdir()
    house = House(tmp_path / "house", fan_in=99)
    await send(house, 5)
    await house.publisher.cut_now()
    await send(house, 3)
    shutil.copytree(tmp_path / "house", tmp_path / "backup")
    await send(house, 2)
    await house.publisher.cut_now()
    backup = House(tmp_path / "backup", fan_in=2)
    await backup.publisher.cut_now()
    assert windows(house) == [(1, 5), (6, 10)] and windows(backup) == [(1, 8)]
    return house, backup


def test_what_a_restore_left_twice_counts_once_and_is_joined(tmp_path: Path) -> None:
    async def story() -> None:
        house, backup = await restored(tmp_path)
        branch = Branch()
        take(backup, branch, branch.commit(house))
        assert windows(backup) == [(1, 8), (6, 10)]
        expected = sorted(f"text {number}" for number in range(1, 11))
        assert sorted(texts(backup)) == expected
        await backup.publisher.cut_now()
        (unit,) = scan(backup.tree).units
        assert windows(backup) == [(1, 10)]
        assert [line.sequence for line in read_window(backup.tree, unit)] == list(range(1, 11))
        assert sorted(texts(backup)) == expected
        assert check(backup.tree, daemon=backup.daemon).problems == []
        before = branch.commit(backup)
        await backup.publisher.cut_now()
        assert branch.files(branch.commit(backup)) == branch.files(before)

    asyncio.run(story())


def test_another_clone_takes_both_and_then_the_joined_one(tmp_path: Path) -> None:
    async def story() -> None:
        house, backup = await restored(tmp_path)
        branch = Branch()
        (tmp_path / "other").mkdir()
        other = House(tmp_path / "other", daemon=OTHER)
        await other.publisher.cut_now()
        merger = Merger(other.tree, branch, daemon=OTHER)
        take(other, branch, branch.commit(backup, house), merger)
        expected = sorted(f"text {number}" for number in range(1, 11))
        assert windows(other) == [(1, 8), (6, 10)] and sorted(texts(other)) == expected
        changes = merger.changes(branch.commit(backup, house), known=other.cutter.known_purges)
        assert changes.add == [] and all(".1-5." in path for path in changes.remove), "1-8 holds 1-5"
        take(backup, branch, branch.commit(house))
        await backup.publisher.cut_now()
        tip = branch.commit(backup)
        take(other, branch, tip, merger)
        assert windows(other) == [(1, 10)] and sorted(texts(other)) == expected
        assert not merger.changes(tip, known=other.cutter.known_purges)
        assert check(other.tree, daemon=OTHER).problems == []

    asyncio.run(story())

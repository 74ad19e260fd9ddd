"""What sync costs: how a branch grows, how long an exchange takes, and how soon a fresh clone has it all.

- Growth: 500 syncs of ten new lines by fifty agents who said 20,000 messages each, a restart of the daemon after every
  five, beside one growing file an agent, committed with plain git (fewer syncs: each writes megabytes). Counted are the
  bytes below ``objects``; the text is that of `bench.prose`, which compresses as prose does.
- One sync: publish, exchange and push, ten new lines each, at 1,000,000 lines and at 100,000, and as often a bare
  ``git commit`` and ``git push`` of one small file to the same kind of remote, in turns.
- A fresh clone: from the remote's branch to a cache in place, against rebuilding that cache from the same files.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.clone import AGENTS, MESSAGE_TYPES, TYPES, Clone, Writers
from bench.figure import Effort, Figure
from thrum_kernel.projection import replay
from thrum_kernel.store.read import read_log
from thrum_kernel.testing.harness import clean_environment

LINES = 10
SYNCS_A_START = 5
A_JOURNAL = 50_000


def figures(effort: Effort) -> Iterable[Figure]:
    """Time first, while the logs are as they were filled; then growth, idleness, and a fresh clone."""
    home = effort.room("home")
    env = {**os.environ, **clean_environment(home)}
    small = House(effort.room("small"), env, effort.count(100_000, 5_000), effort.say)
    large = House(effort.room("large"), env, effort.count(1_000_000, 20_000), effort.say)
    yield from asyncio.run(_timed(small, large, effort))
    yield asyncio.run(_idle(large))
    grown = asyncio.run(_grown(large, effort))
    baseline = Baseline(effort.room("baseline"), env, large.size, effort)
    yield from _growth(large, grown, baseline, effort)
    yield asyncio.run(_collected(large))
    yield asyncio.run(_fresh(large, effort))


class House:
    """A remote, and a clone whose log of so many lines is published and pushed."""

    def __init__(self, folder: Path, env: Mapping[str, str], size: int, say: Callable[[str], None]) -> None:
        self.folder, self.env, self.size = folder, env, size
        self.origin, self.user = folder / "origin.git", folder / "user"
        self.git("init", "-q", "--bare", str(self.origin), cwd=folder)
        self.repo = self.clone("one")
        self.writers = Writers()
        self.clone_ = Clone(self.repo, env, self.writers)
        start = time.perf_counter()
        asyncio.run(self._fill())
        self.user.mkdir()
        self.git("init", "-q", cwd=self.user)
        self.git("remote", "add", "origin", str(self.origin), cwd=self.user)
        say(
            f"{size:,} lines published and pushed in {time.perf_counter() - start:.0f} s, {self.files():,} files"
        )

    def clone(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        self.git("init", "-q", cwd=path)
        self.git("remote", "add", "origin", str(self.origin), cwd=path)
        return path

    def git(self, *words: str, cwd: Path) -> str:
        done = subprocess.run(
            ["git", *words], cwd=cwd, env=self.env, check=True, capture_output=True, text=True
        )
        return done.stdout

    def restart(self) -> None:
        self.clone_.end()
        self.clone_ = Clone(self.repo, self.env, self.writers)

    def files(self) -> int:
        return sum(1 for _ in (self.clone_.folder / "a-sync").rglob("*.jsonl"))

    def objects(self) -> int:
        """Bytes of our repository's objects."""
        return _bytes(self.clone_.folder / "repo.git" / "objects")

    def bare(self, number: int) -> float:
        """Seconds of a commit and a push of one small file with git."""
        (self.user / "small.txt").write_text(f"{number}\n" * 20)
        self.git("add", "small.txt", cwd=self.user)
        start = time.perf_counter()
        self.git("-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "small", cwd=self.user)
        self.git("push", "-q", "origin", "HEAD:refs/heads/main", cwd=self.user)
        return time.perf_counter() - start

    async def sync(self) -> Synced:
        """Ten new lines, published and pushed."""
        lines = self.clone_.write(self.writers.messages(LINES))
        start = time.perf_counter()
        await self.clone_.publisher.cut_now()
        published = time.perf_counter()
        await self.clone_.exchange.run()
        end = time.perf_counter()
        return Synced(end - start, end - published, len(zlib.compress(b"\n".join(lines), 6)))

    async def _fill(self) -> None:
        self.clone_.write(self.writers.registrations())
        for at in range(0, self.size, A_JOURNAL):
            for _ in range(at, min(at + A_JOURNAL, self.size), 5_000):
                self.clone_.write(self.writers.messages(5_000))
            await self.clone_.publisher.cut_now()
            self.restart()
        await self.clone_.sync()


@dataclass(frozen=True, slots=True)
class Synced:
    """Seconds of a sync and of its exchange alone; bytes of its lines compressed together."""

    whole_s: float
    exchange_s: float
    compressed: int


class Baseline:
    """One file an agent that grows: ten lines a sync, by ten agents, committed with plain git."""

    def __init__(self, folder: Path, env: Mapping[str, str], size: int, effort: Effort) -> None:
        self._folder, self._env = folder, env
        self.syncs = effort.count(10, 2)
        writers = Writers()
        files = [(folder / f"agent{number}.jsonl").open("ab") for number in range(AGENTS)]
        list(writers.registrations())
        for event in writers.messages(size):
            files[int(event.agent_id.removeprefix("agent"))].write(TYPES.encode(event) + b"\n")  # type: ignore[attr-defined]
        for file in files:
            file.close()
        self._git("init", "-q")
        self._commit()
        before = _bytes(folder / ".git" / "objects")
        for _ in range(self.syncs):
            for event in writers.messages(LINES):
                with (folder / f"{event.agent_id}.jsonl").open("ab") as file:  # type: ignore[attr-defined]
                    file.write(TYPES.encode(event) + b"\n")
            self._commit()
        self.growth = (_bytes(folder / ".git" / "objects") - before) / self.syncs
        effort.say(f"one file an agent: {self.growth:,.0f} bytes a sync")

    def _commit(self) -> None:
        self._git("add", "--all")
        self._git("-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "sync")

    def _git(self, *words: str) -> None:
        subprocess.run(
            ["git", "-c", "gc.auto=0", *words],
            cwd=self._folder,
            env=self._env,
            check=True,
            capture_output=True,
        )


async def _timed(small: House, large: House, effort: Effort) -> list[Figure]:
    for house in (small, large):
        await house.sync()  # what a start does once is not of one sync
        house.bare(-1)
    at_small, at_large, bare = [], [], []
    for number in range(effort.count(60, 5)):
        at_small.append(await small.sync())
        at_large.append(await large.sync())
        bare.append(large.bare(number))
    small_s, large_s = (statistics.median(each.whole_s for each in found) for found in (at_small, at_large))
    exchange_s, bare_s = statistics.median(each.exchange_s for each in at_large), statistics.median(bare)
    return [
        Figure(
            name=f"one sync of ten lines at {large.size:,} lines, against {small.size:,}",
            measured=large_s / small_s,
            target=1.3,
            numbers=f"{large_s * 1000:.0f} ms against {small_s * 1000:.0f} ms",
        ),
        Figure(
            name=f"one sync at {large.size:,} lines, against bare `git commit` and `git push`",
            measured=large_s / bare_s,
            target=3,
            numbers=f"{large_s * 1000:.0f} ms, {exchange_s * 1000:.0f} ms of it the exchange, against {bare_s * 1000:.0f} ms",
        ),
    ]


async def _idle(house: House) -> Figure:
    """A sync with nothing to say: git processes, and what they and we leave behind."""
    await house.clone_.sync()
    before, tip = _stamps(house.clone_.folder), house.git("rev-parse", "a-sync", cwd=house.origin)
    start = house.clone_.started
    times = []
    for _ in range(20):
        began = time.perf_counter()
        await house.clone_.sync()
        times.append(time.perf_counter() - began)
    processes = (house.clone_.started - start) / len(times)
    changed = len(before.items() ^ _stamps(house.clone_.folder).items())
    changed += tip != house.git("rev-parse", "a-sync", cwd=house.origin)
    return Figure(
        name="nothing new to say: git processes (one `ls-remote`), files written, commits",
        measured=processes + changed,
        target=1,
        unit="",
        numbers=f"{processes:g} process, {changed} files or commits, {statistics.median(times) * 1000:.1f} ms",
    )


@dataclass(frozen=True, slots=True)
class Grown:
    """Bytes a sync: of git objects, and of new lines compressed together."""

    syncs: int
    objects: float
    compressed: float


async def _grown(house: House, effort: Effort) -> Grown:
    syncs, compressed = effort.count(500, 20), 0
    before = house.objects()
    for number in range(syncs):
        if number % SYNCS_A_START == 0:
            house.restart()
        compressed += (await house.sync()).compressed
    return Grown(syncs, (house.objects() - before) / syncs, compressed / syncs)


def _growth(house: House, grown: Grown, baseline: Baseline, effort: Effort) -> Iterable[Figure]:
    numbers = f"{grown.objects:,.0f} bytes a sync against {grown.compressed:,.0f}"
    yield Figure(
        name=f"growth of {grown.syncs} syncs at {house.size:,} lines, against their lines compressed (zlib 6)",
        measured=grown.objects / grown.compressed,
        target=8,
        numbers=f"{numbers}; {grown.syncs // SYNCS_A_START} restarts, {house.files():,} files",
    )
    yield Figure(
        name="growth of one file an agent, against ours",
        measured=baseline.growth / grown.objects,
        target=60,
        at_least=True,
        numbers=f"{baseline.growth:,.0f} bytes a sync ({baseline.syncs} syncs) against {grown.objects:,.0f}",
    )


async def _collected(house: House) -> Figure:
    """What is left after ``sync gc``, against every line of the log compressed as one text."""
    grown = house.objects()
    await house.clone_.collect()
    text = zlib.compressobj(6)
    compressed = 0
    for batch in read_log(house.clone_.tree, message_types=MESSAGE_TYPES):
        compressed += sum(len(text.compress(line + b"\n")) for *_, line in batch)
    compressed += len(text.flush())
    return Figure(
        name=f"after `sync gc` at {house.size:,} lines, against all lines compressed together (zlib 6)",
        measured=house.objects() / compressed,
        target=2,
        numbers=f"{house.objects() / 1e6:,.1f} MB against {compressed / 1e6:,.1f} MB; {grown / 1e6:,.1f} MB before",
    )


async def _fresh(house: House, effort: Effort) -> Figure:
    """From the remote's branch to a cache, against a cache from files that are here; the faster of some rounds."""
    whole, rebuild = [], []
    for number in range(effort.count(2, 1)):
        other = Clone(
            house.clone(f"fresh{number}"), house.env, house.writers, daemon="d_01JZZZZZZZZZZZZZZZZZZZZZZB"
        )
        start = time.perf_counter()
        await other.sync()
        arrived = time.perf_counter()
        _rebuild(other, house.folder / "fresh.db")
        end = time.perf_counter()
        whole.append(end - start)
        rebuild.append(end - arrived)
        effort.say(f"fresh clone {arrived - start:.1f} s and {end - arrived:.1f} s for the cache")
    return Figure(
        name=f"a fresh clone of {house.size:,} lines to a filled inbox, against the rebuild rate",
        measured=min(rebuild) / min(whole),
        target=0.5,
        at_least=True,
        numbers=f"{min(whole):.1f} s, {min(rebuild):.1f} s of it the cache",
    )


def _rebuild(clone: Clone, path: Path) -> Any:
    return replay.rebuild(lambda: read_log(clone.tree, message_types=MESSAGE_TYPES), path, TYPES)


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

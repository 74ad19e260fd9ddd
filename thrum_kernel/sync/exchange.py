"""One exchange with the remote: look, fetch, merge, let it count, commit on top of what was fetched, push.

Our own commits that were never pushed do not matter: their files are here and are committed again. So every commit
has one parent, the tip just fetched, and there are no merge commits. When somebody else pushes in between, it is done
again after a short pause of random length. With nothing to say on either side it is one look and nothing else.

Source: DESIGN.md D1 "Git"; spec/kernel.md §10 items 1-6, 13-16.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from thrum_kernel.clock import Clock, format_us
from thrum_kernel.errors import GitFailed
from thrum_kernel.store.scan import Problem
from thrum_kernel.store.units import Unit
from thrum_kernel.sync.cutter import Cutter
from thrum_kernel.sync.merge import FORMAT, Changes, Merged, Merger
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.remote import Raced, RemoteFailed
from thrum_kernel.sync.repository import REF
from thrum_kernel.sync.seams import Abandoning, Branch, Commits

_log = logging.getLogger(__name__)

T = TypeVar("T")

TRIES: Final = 8
FIRST_PAUSE_S: Final = 0.1
COLLECT_EVERY: Final = 50
"""Exchanges that changed something, after which our repository is packed."""


class Counting(Protocol):
    """Lets what a merge brought count here; see `Ingest`."""

    async def take(self, units: Sequence[Unit]) -> int: ...


class Watching(Protocol):
    """Looks at what the branch holds under this daemon's id; see `Namesakes`. Blocking."""

    def __call__(self, units: Sequence[Unit], /) -> None: ...


class Pausing(Protocol):
    """Waits; a test does not."""

    async def __call__(self, seconds: float, /) -> None: ...


@dataclass(slots=True)
class Exchanged:
    """What an exchange did.

    Attributes:
        received: lines of other clones that are new here.
        is_pushed: whether something of ours went out.
        problems: what is wrong with the other side's files.
    """

    received: int = 0
    is_pushed: bool = False
    problems: list[Problem] = field(default_factory=list)


class Exchange:
    """Exchanges with one remote; one at a time.

    Args:
        remote: with whom.
        repository, runner: our own.
        merger, cutter, publisher, ingest: what works on the files and the cache.
        clock: for the time that a commit tells.
        name: of this machine, for the message of a commit.
        watch: shown what the branch holds under this daemon's id, after every merge.

    Attributes:
        tip: the commit of the remote that everything here was merged with; empty before the first.
        has_news: whether something here may not be in `tip` yet.
    """

    def __init__(
        self,
        *,
        remote: Branch,
        repository: Commits,
        runner: Abandoning,
        merger: Merger,
        cutter: Cutter,
        publisher: Publisher,
        ingest: Counting,
        clock: Clock,
        name: str,
        watch: Watching = lambda units: None,
        pause: Pausing = asyncio.sleep,
    ) -> None:
        self.remote = remote
        self.tip = ""
        self.has_news = True
        self._repository = repository
        self._runner = runner
        self._merger = merger
        self._cutter = cutter
        self._publisher = publisher
        self._ingest = ingest
        self._clock = clock
        self._name = name
        self._watch = watch
        self._pause = pause
        self._changes = 0
        self._unprojected: list[Unit] = []

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with files of the remote and not mended yet."""
        return self._merger.problems

    async def run(self) -> Exchanged:
        """Do it.

        Raises:
            RemoteFailed: the remote cannot be asked, or does not take what is pushed.
            ForeignBranch, FormatTooNew: its branch is not to be touched.
            GitFailed: git fails on our own repository; where that is damaged it is made anew the next time.
            StoreError: the disk refuses.
        """
        done = Exchanged()
        try:
            for number in range(TRIES):
                if number:
                    await self._pause(random.uniform(0.5, 1.5) * FIRST_PAUSE_S * 2 ** min(number, 5))
                if await self._once(done):
                    return done
        except GitFailed as error:
            if not await self._in_thread(self._repository.is_sound):
                aside = await self._in_thread(self._repository.put_aside)
                self.tip = ""
                _log.warning(
                    "our own repository is damaged and is made anew; it is kept in %s: %s", aside, error
                )
            raise
        raise RemoteFailed(self.remote.name, "limited", f"{TRIES} times somebody else pushed first")

    async def _once(self, done: Exchanged) -> bool:
        """One round; False when somebody else pushed meanwhile."""
        if not self._repository.is_linked:
            await self._start_over()
        tip = await self._in_thread(self.remote.look)
        if tip == self.tip and not self.has_news:
            return True
        await self._in_thread(self._repository.prepare)
        if tip and tip != self.tip:
            await self._in_thread(self._trust)
            await self._in_thread(self.remote.fetch)
            tip = await self._in_thread(lambda: self._repository.tip(self.remote.ref))
            await self._merge(tip, done)
        elif not tip:
            await self._look_at(())  # whatever comes under our id comes from now on
        self.has_news = False  # what comes from here on may miss this commit
        try:
            commit = await self._commit(tip)
            if commit not in ("", tip):
                await self._in_thread(lambda: self.remote.push(commit))
                done.is_pushed = True
            if commit not in ("", self.tip):
                await self._in_thread(lambda: self._note(commit))
        except BaseException as error:
            self.has_news = True
            if isinstance(error, Raced):
                return False
            raise
        self.tip = commit
        return True

    def _trust(self) -> None:
        """What an earlier start merged, `_note` has noted."""
        if not self.tip:
            self._merger.trust(self._repository.tip(REF))

    async def _start_over(self) -> None:
        """The repository or the files were taken away, or never made: what is missing comes back from the remote."""

        def forget() -> None:
            self._cutter.forget()
            self._merger.start_over()

        async with self._publisher.quiet():
            await self._in_thread(forget)
        self.tip, self.has_news = "", True

    async def _merge(self, tip: str, done: Exchanged) -> None:
        """Take what is new of *tip*, and let it count."""
        async with self._publisher.quiet():
            merged = await self._in_thread(lambda: self._take(tip))
        for problem in merged.problems:
            _log.error("%s: %s: %s", self.remote.name, problem.path, problem.text)
        done.problems += merged.problems
        self._unprojected += merged.units
        done.received += await self._ingest.take(self._unprojected)
        self._unprojected.clear()
        await self._look_at(merged.own)
        if merged.purges:
            await self._publisher.cut_now()  # takes what is purged out of every file and journal

    async def _look_at(self, own: Sequence[Unit]) -> None:
        """Show what the branch holds under our id to who watches; it may note what it saw beside the files."""
        async with self._publisher.quiet():
            await self._in_thread(lambda: self._watch(own))

    def _take(self, tip: str) -> Merged:
        known = self._cutter.known_purges
        merged = self._merger.merge(tip, remote=self.remote.name, known=known)
        self._cutter.learn(merged.purges)
        return merged

    async def _commit(self, tip: str) -> str:
        """A commit on top of *tip* with what is here: *tip* itself when that is all in it."""
        async with self._publisher.quiet():
            return await self._in_thread(lambda: self._made(tip))

    def _made(self, tip: str) -> str:
        changes: Changes = self._merger.changes(tip, known=self._cutter.known_purges)
        if not changes:
            return tip
        files = sum(path != FORMAT for path in changes.add)
        stamp = f"{format_us(self._clock.now_us())[:19]}Z"
        message = f"sync: {files} files of {self._name}, {stamp}\n\n[skip ci]\n"
        return self._repository.commit(tip, changes.add, changes.remove, message)

    def _note(self, commit: str) -> None:
        """Remember in our repository what both sides have now."""
        self._repository.move(self.remote.ref, commit)
        self._repository.move(REF, commit)
        self._changes += 1
        if self._changes % COLLECT_EVERY == 0:
            self._repository.collect()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking *work*; when cancelled, end what git does and wait until nobody touches the files any more."""
        task: asyncio.Future[Any] = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._runner.abandon()
            await asyncio.wait((task,))
            if not task.cancelled():
                task.exception()  # retrieved: it ended since we stop
            raise

"""One exchange with the remote: look, fetch, merge, let it count, commit on top of what was fetched, push.

Our own commits that were never pushed do not matter: their files are here and are committed again. So every commit
has one parent, the tip just fetched, and there are no merge commits. When somebody else pushes in between, it is done
again after a short pause of random length. With nothing to say on either side it is one look and nothing else. Where
nobody else pushed lately it is a push without a look: the remote takes it only on top of the tip that is known here.

Source: DESIGN.md D1 "Git"; spec/kernel.md §10 items 1-6, 13-16.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from thrum_kernel.clock import Clock, format_us
from thrum_kernel.errors import GitFailed
from thrum_kernel.store.scan import Problem
from thrum_kernel.store.units import Unit
from thrum_kernel.sync.branch_format import FORMAT
from thrum_kernel.sync.cutter import Cutter
from thrum_kernel.sync.history import History, numbered
from thrum_kernel.sync.lost import Lost
from thrum_kernel.sync.merge import Changes, Merged, Merger
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.remote import Raced, RemoteFailed
from thrum_kernel.sync.repository import BRANCH, REF
from thrum_kernel.sync.seams import Abandoning, Branch, Commits, Counting, Pausing, Watching

_log = logging.getLogger(__name__)

T = TypeVar("T")

TRIES: Final = 8
FIRST_PAUSE_S: Final = 0.1
COLLECT_EVERY: Final = 50
"""Exchanges that changed something, after which our repository is packed."""


@dataclass(slots=True)
class Exchanged:
    """What an exchange did.

    Attributes:
        received: lines of other clones that are new here.
        is_pushed: whether something of ours went out.
        has_begun_anew: whether the history was begun anew.
        kept: why it was not although it was due; empty when it was, or was not due.
        problems: what is wrong with the other side's files.
        given_up: files that nobody waits for any more, since that was asked for.
    """

    received: int = 0
    is_pushed: bool = False
    has_begun_anew: bool = False
    kept: str = ""
    problems: list[Problem] = field(default_factory=list)
    given_up: list[Lost] = field(default_factory=list)


class _Made(NamedTuple):
    """A commit, and how many there are up to it."""

    commit: str
    commits: int


class Exchange:
    """Exchanges with one remote; one at a time.

    Args:
        remote: with whom.
        repository, runner: our own.
        merger, cutter, publisher, ingest: what works on the files and the cache.
        history: when the history begins anew.
        clock: for the time that a commit tells.
        name: of this machine, for the message of a commit.
        watch: shown what the branch holds under this daemon's id, after every merge.

    Attributes:
        tip: the commit of the remote that everything here was merged with; empty before the first.
        commits: how many there are up to `tip`; None before it is known.
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
        history: History,
        clock: Clock,
        name: str,
        watch: Watching = lambda units: None,
        pause: Pausing = asyncio.sleep,
    ) -> None:
        self.remote = remote
        self.tip = ""
        self.commits: int | None = None
        self.has_news = True
        self._history = history
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
        self._is_reached = False  # the remote answered the last look
        self._is_alone = False  # nobody else had pushed when we looked last
        self._unprojected: list[Unit] = []

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with files of the remote and not mended yet."""
        return self._merger.problems

    @property
    def refusal(self) -> str:
        """What the remote said when it did not let the history begin anew, while it is not asked again; else empty."""
        return self._history.refusal(self.remote.name)

    @property
    def missed(self) -> list[Lost]:
        """What keeps the history from beginning anew, as far as that was looked at: files that nobody can give."""
        return self._merger.missed()

    async def run(self, *, anew: bool = False, forget_lost: bool = False) -> Exchanged:
        """Do it.

        Args:
            anew: let the history begin anew, whatever the policy says.
            forget_lost: with *anew*: also when a file is missed that an older commit may hold.

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
                if await self._once(done, anew, forget_lost):
                    return done
        except GitFailed as error:
            await self._doubt(error)
            raise
        except RemoteFailed as error:
            if error.kind in (
                "offline",
                "refused",
            ):  # git tells of no difference between the other side and this one
                await self._doubt(error, is_reached=self._is_reached)
            raise
        raise RemoteFailed(self.remote.name, "limited", f"{TRIES} times somebody else pushed first")

    async def _doubt(self, error: Exception, *, is_reached: bool = True) -> None:
        """Put our repository aside if it is why git failed; where the remote did not answer, only a quick look."""
        look = self._repository.is_sound if is_reached else self._repository.is_usable
        if await self._in_thread(look):
            return
        aside = await self._in_thread(self._repository.put_aside)
        self.tip = ""
        _log.warning("our own repository is damaged and is made anew; it is kept in %s: %s", aside, error)

    async def _once(self, done: Exchanged, anew: bool, forget_lost: bool) -> bool:
        """One round; False when somebody else pushed meanwhile."""
        if not self._repository.is_linked:
            await self._start_over()
        self._is_reached = False
        if self._is_alone and self.has_news and not anew and await self._push_unseen(done):
            return True
        tip = await self._in_thread(self.remote.look)
        self._is_reached, self._is_alone = True, tip == self.tip
        if tip == self.tip and not self.has_news and not anew and not self._is_owed:
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
            commit = await self._publish(tip, done, anew, forget_lost)
        except BaseException as error:
            self.has_news = True
            if isinstance(error, Raced):
                return False
            raise
        self.tip = commit
        return True

    async def _push_unseen(self, done: Exchanged) -> bool:
        """Push on top of the tip that is known here, without a look before; False when a look is needed.

        What is taken tells that nobody else had pushed: there was nothing to merge. Else what was committed is in vain.
        """
        tip = self.tip
        commits = self.commits
        if not tip or commits is None or self._history.why(self.remote.name, commits):
            return False
        self.has_news = False
        try:
            await self._in_thread(self._repository.prepare)
            made = await self._commit(lambda: self._made(tip, commits))
            if made.commit == tip:
                return False
            await self._in_thread(lambda: self.remote.push_over(made.commit, tip))
            done.is_pushed = True
            await self._in_thread(lambda: self._note(made))
        except BaseException as error:
            self.has_news, self._is_alone = True, False  # it may be for a look to tell why
            if isinstance(error, Raced):
                return False
            raise
        self.tip = made.commit
        return True

    def _trust(self) -> None:
        """What an earlier start merged, `_note` has noted."""
        if not self.tip:
            self._merger.trust(self._repository.tip(REF))

    @property
    def _is_owed(self) -> bool:
        """Whether a purge waits for the history to begin anew, and nothing is known against it."""
        return self._history.is_owed and not self.refusal and not self._against()

    async def _publish(self, tip: str, done: Exchanged, anew: bool, forget_lost: bool) -> str:
        """Make the remote's branch hold what is here; the commit that it has then."""
        commits = await self._in_thread(lambda: self._repository.number(tip))
        made = await self._begin_anew(tip, commits, done, anew=anew, forget_lost=forget_lost)
        if made is None:
            made = await self._commit(lambda: self._made(tip, commits))
            if made.commit not in ("", tip):
                await self._in_thread(lambda: self.remote.push(made.commit))
                done.is_pushed = True
        if made.commit not in ("", self.tip):
            await self._in_thread(lambda: self._note(made))
        return made.commit

    async def _begin_anew(
        self, tip: str, commits: int, done: Exchanged, *, anew: bool, forget_lost: bool
    ) -> _Made | None:
        """Replace the branch by one commit with all that is in it and here; None when that is not due, or refused."""
        why = "asked for" if anew else self._history.why(self.remote.name, commits)
        if not why or not tip:
            return None
        made = await self._commit(lambda: self._made_anew(tip, commits))
        if forget_lost:
            done.given_up += await self._in_thread(self._merger.give_up)
        done.kept = self._against()
        if done.kept:
            return None
        if made.commit != tip:
            try:
                await self._in_thread(lambda: self.remote.begin_anew(made.commit, tip))
            except RemoteFailed as error:
                if error.kind != "protected":
                    raise
                self._history.refused(self.remote.name, str(error))
                done.kept = str(error)
                return None
            _log.info("sync: the history of %s begins anew: %s", BRANCH, why)
            done.is_pushed = done.has_begun_anew = True
        self._history.begun()
        return made

    def _against(self) -> str:
        """Why the older commits of the branch must stay; empty when they need not."""
        missed = self._merger.missed()
        return f"{missed[0].why}: {missed[0].path}" if missed else ""

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
        try:
            merged = self._merger.merge(tip, remote=self.remote.name, known=known)
        except BaseException:
            self._cutter.forget()  # what was written until then may have to be purged
            raise
        self._cutter.came(merged.units)
        self._cutter.learn(merged.purges)
        return merged

    async def _commit(self, make: Callable[[], _Made]) -> _Made:
        async with self._publisher.quiet():
            return await self._in_thread(make)

    def _made(self, tip: str, commits: int) -> _Made:
        """A commit on top of *tip* with what is here: *tip* itself when that is all in it."""
        changes: Changes = self._merger.changes(tip, known=self._cutter.known_purges)
        if not changes:
            return _Made(tip, commits)
        files = sum(path != FORMAT for path in changes.add)
        message = self._message(f"{files} files", commits + 1)
        commit = self._repository.commit(tip, changes.add, changes.remove, message)
        return _Made(commit, commits if commit == tip else commits + 1)

    def _made_anew(self, tip: str, commits: int) -> _Made:
        """A commit without parent with all of *tip* and what is here: *tip* itself when it is that already."""
        made = self._made(tip, commits)
        if made.commits <= 1:
            return made
        return _Made(self._repository.alone(made.commit, self._message("a new beginning", 1)), 1)

    def _message(self, what: str, commits: int) -> str:
        stamp = f"{format_us(self._clock.now_us())[:19]}Z"
        return numbered(f"sync: {what} of {self._name}, {stamp}\n\n[skip ci]\n", commits)

    def _note(self, made: _Made) -> None:
        """Remember in our repository what both sides have now, and let go of a history that was begun anew."""
        before = self._repository.number(self._repository.tip(REF))
        self._repository.move(self.remote.ref, made.commit)
        self._repository.move(REF, made.commit)
        self.commits = made.commits
        self._changes += 1
        try:
            if made.commits < before:
                self._repository.clear_out(REF, self.remote.ref)
            elif self._changes % COLLECT_EVERY == 0:
                self._repository.collect()
        except GitFailed as error:
            _log.warning(
                "our own repository could not be packed: %s", error
            )  # it is tried again the next time

    def clear_out(self) -> None:
        """Let our own repository go of all that the branch does not need; blocking, between two exchanges.

        Raises:
            GitFailed: it could not be done.
        """
        self._repository.prepare()
        self._repository.clear_out(REF, self.remote.ref)
        self._repository.forget_damaged()

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

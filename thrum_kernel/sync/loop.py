"""When the log travels, and why it does not: the loop around `Exchange`.

It exchanges at the start, after every publish, and when a look at the remote is due; a failure is told, tried again
with a growing pause, and costs nothing else. Where the log stays on this machine there is no timer and no process.

Source: DESIGN.md D1 "Git"; issue "Sync", "Modes".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from thrum_kernel.api import Service
from thrum_kernel.clock import Clock
from thrum_kernel.errors import Refused, StoreError, ThrumError
from thrum_kernel.gitdir import Place
from thrum_kernel.settings.document import Setting
from thrum_kernel.sync.exchange import Exchange, Exchanged
from thrum_kernel.sync.exposure import Gate, Refusal
from thrum_kernel.sync.lost import Lost
from thrum_kernel.sync.polling import Polling
from thrum_kernel.sync.process import Runner
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.remote import Choice, Raced, choose

_log = logging.getLogger(__name__)

OFTEN_ENOUGH_S: Final = 15.0
"""While the remote fails, a publish does not have it asked sooner than this after the last try."""


class Travel:
    """How the log of one daemon travels through git.

    Args:
        settings: the value of a key of the configuration now.
        place: where the project lies in git; None outside.
        runner: of our own repository.
        gate: the exposure gate.
        make: an exchange with a chosen remote.
        take_over: makes the branch of a chosen remote ours; gives the name that it has there now as it was.
        forget: removes our own repository; blocking.
        publisher: whose publishes travel.

    Attributes:
        is_running: whether the loop runs.
        last_us: when the last exchange ended well, microseconds since 1970; None before the first.
        last_error: why the last exchange failed; empty when it did not.
        remote: the name of the remote; empty while there is none.
        received, pushes: how many lines of other clones came since the start, and how often something went out.
    """

    def __init__(
        self,
        *,
        settings: Callable[[str], Setting],
        place: Place | None,
        runner: Runner,
        gate: Gate,
        make: Callable[[Choice], Exchange],
        take_over: Callable[[Choice], Awaitable[str]],
        forget: Callable[[], None],
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self.is_running = False
        self.last_us: int | None = None
        self.last_error = ""
        self.remote = ""
        self.received = 0
        self.pushes = 0
        self._settings = settings
        self._place = place
        self._runner = runner
        self._gate = gate
        self._make = make
        self._take_over = take_over
        self._forget = forget
        self._clock = clock
        self._polling = Polling()
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._forced: asyncio.Task[Exchanged] | None = None
        self._choice: Choice | None = None
        self._chosen_at: object = None
        self._exchange: Exchange | None = None
        self._held_off = Refusal()
        self._is_ending = False
        self._tried_s = 0.0
        self._quiet = publisher.quiet
        publisher.on_changed.append(self.heard)

    @property
    def reason(self) -> str:
        """Why the log stays on this machine; empty when it travels."""
        return self._off() or self._held_off.text

    @property
    def problems(self) -> list[str]:
        """What is wrong with files of the remote, a sentence each."""
        found = self._exchange.problems if self._exchange is not None else ()
        return [f"{problem.path}: {problem.text}" for problem in found]

    @property
    def remedy(self) -> str:
        """The command that would let the log travel, where one would; else empty."""
        return "" if self._off() else self._held_off.remedy

    @property
    def refusal(self) -> str:
        """What the remote said when it did not let the history begin anew; empty when it did or was not asked."""
        return self._exchange.refusal if self._exchange is not None else ""

    @property
    def commits(self) -> int:
        """How many commits the branch has since its history began; 0 while that is not known."""
        return (self._exchange.commits or 0) if self._exchange is not None else 0

    @property
    def has_news(self) -> bool:
        """Whether something here has not been pushed yet, as far as is known."""
        return self._exchange is None or self._exchange.has_news

    def heard(self) -> None:
        """Published files changed."""
        if self._exchange is not None:
            self._exchange.has_news = True
        self._wake.set()

    def reconsider(self) -> None:
        """The configuration changed."""
        self._wake.set()

    def services(self) -> Sequence[Service]:
        """The loop, as the supervisor runs it."""
        return (Service(name="kernel.sync", run=self.run, stop_time_s=10.0),)

    async def run(self, started: Callable[[], None]) -> None:
        """Exchange until cancelled."""
        self.is_running = True
        try:
            started()
            while True:
                self._wake.clear()
                with contextlib.suppress(ThrumError):  # told by `last_error`, logged once
                    await self._exchange_once(ask_again=False)
                await self._rest()
        finally:
            self.is_running = False

    async def force(self) -> None:
        """Exchange now; a second caller waits for the end of what is under way.

        Raises:
            ThrumError: it failed; `last_error` says so too.
        """
        if self._forced is None or self._forced.done():
            self._forced = asyncio.ensure_future(self._exchange_once(ask_again=True))
            self._forced.add_done_callback(self._forced_is_over)
        await asyncio.shield(self._forced)  # the exchange goes on when the caller goes away

    async def replace(self) -> str:
        """Make the remote's branch ours where another program wrote it; what it is called there now as it was.

        Raises:
            Refused: the log stays on this machine.
            ThrumError: it failed; doing it again goes on.
        """
        async with self._lock:
            if await self._ready(anew=True) is None or self._choice is None:
                raise Refused(
                    f"nothing is pushed from here: {self.reason or 'there is no remote'}",
                    hint="thrum sync status",
                )
            try:
                kept = await self._take_over(self._choice)
                self._polling.succeeded(is_busy=True)  # what stood in the way does not any more
                self._told("")
                return kept
            except Raced:
                raise Refused(
                    "somebody else pushed to the branch at the same time", hint="try again"
                ) from None
            finally:
                self.heard()

    @property
    def missed(self) -> list[Lost]:
        """Files that nobody can give, which keep the history from beginning anew."""
        return self._exchange.missed if self._exchange is not None else []

    async def begin_anew(self, *, forget_lost: bool = False) -> Exchanged:
        """Exchange now, and let the history begin anew, whatever the policy says; see `Exchange.run`.

        Raises:
            ThrumError: it failed; `last_error` says so too.
        """
        task = asyncio.ensure_future(self._exchange_once(ask_again=True, anew=True, forget_lost=forget_lost))
        task.add_done_callback(self._forced_is_over)
        return await asyncio.shield(task)  # the exchange goes on when the caller goes away

    @contextlib.asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Nothing is exchanged meanwhile, and nothing is published, rolled up or purged."""
        async with self._lock, self._quiet():
            yield

    async def clear_out(self) -> None:
        """Let our own repository go of all that the branch does not need; of all of it, where nothing travels.

        Raises:
            ThrumError: git fails, or the disk refuses.
        """
        async with self._lock:
            try:
                if self._exchange is not None:
                    await asyncio.to_thread(self._exchange.clear_out)
                else:  # all that is in it can be had again
                    await asyncio.to_thread(self._forget)
            except OSError as error:
                raise StoreError(str(error)) from error

    def abandon(self) -> None:
        """End what git does, now: the daemon stops."""
        self._is_ending = True
        self._runner.abandon()

    def _forced_is_over(self, task: asyncio.Future[Exchanged]) -> None:
        """Nobody may be waiting any more; where something travelled, the loop looks again soon, not when it was due."""
        if task.cancelled() or task.exception() is not None:
            return
        if task.result().received or task.result().is_pushed:
            self._wake.set()

    async def _rest(self) -> None:
        """Wait for a publish, or until a look is due; for a publish alone where nothing travels."""
        timeout_s = None if self._off() else self._polling.pause_s(self._interval_s())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        if self._polling.is_failing and not self.reason:
            early_s = self._tried_s + OFTEN_ENOUGH_S - self._clock.monotonic()
            await asyncio.sleep(max(0.0, min(early_s, timeout_s or 0.0)))

    async def _exchange_once(
        self, *, ask_again: bool, anew: bool = False, forget_lost: bool = False
    ) -> Exchanged:
        """Exchange; *ask_again* which remote and who can read it, *anew* lets the history begin anew."""
        async with self._lock:
            self._tried_s = self._clock.monotonic()
            try:
                exchange = await self._ready(anew=ask_again)
                done = Exchanged()
                if exchange is not None:
                    done = await exchange.run(anew=anew, forget_lost=forget_lost)
            except ThrumError as error:
                self._failed(str(error))
                raise
            except OSError as error:
                self._failed(str(error))
                raise StoreError(str(error)) from error
            if exchange is not None:
                self.last_us = self._clock.now_us()
            self.received += done.received
            self.pushes += done.is_pushed
            self._polling.succeeded(is_busy=bool(done.received or done.is_pushed))
            self._told("")
            return done

    async def _ready(self, *, anew: bool) -> Exchange | None:
        """The exchange with the remote that there is now; None where the log stays on this machine."""
        if self._off():
            self._exchange = None
            return None
        choice = await asyncio.to_thread(self._choose, anew)
        self.remote, self._held_off = choice.name, Refusal(choice.why_not)
        if not choice.why_not:
            self._held_off = await asyncio.to_thread(self._exposed, choice, anew)
        if self._held_off.text:
            self._exchange = None
        elif self._exchange is None or choice != self._choice:
            self._exchange = self._make(choice)
        self._choice = choice
        return self._exchange

    def _choose(self, anew: bool) -> Choice:
        """Which remote; git is asked again only when the repository's configuration changed. In a thread."""
        wanted = str(self._settings("daemon.sync.remote").value or "")
        stamp = (wanted, _stamp(self._place))
        if anew or self._choice is None or stamp != self._chosen_at:
            choice, self._chosen_at = choose(self._place, wanted), stamp
            return choice
        return self._choice

    def _exposed(self, choice: Choice, anew: bool) -> Refusal:
        """Why the gate lets nothing through to one of the remote's addresses. In a thread."""
        refusals = (self._gate.refusal(url, anew=anew) for url in choice.urls)
        return next((refusal for refusal in refusals if refusal.text), Refusal())

    def _interval_s(self) -> float:
        return float(self._settings("daemon.sync_interval").value)

    def _off(self) -> str:
        """Why the configuration keeps the log on this machine; empty when it does not."""
        try:
            return _switched_off(self._settings)
        except ThrumError as error:
            return str(error)  # a configuration that cannot be read allows nothing

    def _failed(self, text: str) -> None:
        self._polling.failed()
        self._told(text)

    def _told(self, text: str) -> None:
        if self._is_ending:
            return
        if text and text != self.last_error:
            _log.warning("sync: %s", text)
        elif self.last_error and not text:
            _log.info("sync: works again")
        self.last_error = text


def _switched_off(settings: Callable[[str], Setting]) -> str:
    """What the configuration says against travelling; empty when nothing."""
    local = settings("daemon.local_only")
    if local.value:
        return f"local-only: daemon.local_only is true ({local.source})"
    if not settings("daemon.sync.enabled").value:
        return "daemon.sync.enabled is false"
    mechanisms = settings("daemon.sync.mechanisms").value or ()
    if not any(entry.get("mechanism") == "a-sync" for entry in mechanisms):
        return "daemon.sync.mechanisms does not name a-sync"
    return ""


def _stamp(place: Place | None) -> tuple[object, ...]:
    """What changes when somebody changes the configuration of the user's repository."""
    if place is None:
        return ()
    found: list[object] = []
    for path in (place.common_dir / "config", place.git_dir / "config.worktree", Path.home() / ".gitconfig"):
        try:
            status = os.stat(path)  # noqa: PTH116 - asked at every look
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        except OSError:
            found.append(None)
    return tuple(found)

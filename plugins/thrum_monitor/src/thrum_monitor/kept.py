"""One monitor being kept: its command started, again and again or by its schedule, until somebody stops it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import FileDamaged, ThrumError
from thrum_monitor import notices
from thrum_monitor.frames import Ended, Go, Launch, Matched, Skipped, Stop
from thrum_monitor.link import RunnerLost
from thrum_monitor.restarts import Restarts
from thrum_monitor.run import Run
from thrum_monitor.schedule import Schedule
from thrum_monitor.store import Alarm, Monitor, Store
from thrum_monitor.telling import Teller
from thrum_monitor.times import run_id, timestamp

NOT_STARTED: Final = 127
_TROUBLE_S: Final = 5.0
"""How long to wait after the database failed."""
_STOP_MARGIN_S: Final = 3.0
_START_S: Final = 8.0


class NotStarted(ThrumError):
    """The command could not be started; says why."""


@dataclass(frozen=True, slots=True)
class Means:
    """What keeping needs.

    Attributes:
        say: gives the runner an order.
        give_up: ends a runner that does not do what it is told; the service begins anew with another one.
        environment: ``(monitor, run)`` → the whole environment of its command. Raises FileDamaged.
        register: makes a run known to whoever hears the runner.
        kick: there are alarms to be sent.
        schedule: reads a cron line.
        restarts: makes the policy of restarts of one monitor.
        look_s: how long to sleep at most before looking at the clock again: it may be set, and the machine may sleep.
    """

    ctx: PluginContext
    store: Store
    say: Callable[[Launch | Go | Stop], None]
    give_up: Callable[[str], Awaitable[None]]
    environment: Callable[[Monitor, str], dict[str, str]]
    register: Callable[[Run, Kept], None]
    forget: Callable[[Run], None]
    kick: Callable[[], None]
    schedule: Callable[[str], Schedule]
    restarts: Callable[[], Restarts]
    look_s: float


class Kept:
    """A monitor with status ``running``.

    Attributes:
        monitor: its row, as it was when it was last started; what changes meanwhile is in the table.
        next_run_us: when it is started next, by its schedule or after it ended; microseconds since 1970, None while it runs.
    """

    def __init__(self, monitor: Monitor, means: Means) -> None:
        self.monitor = monitor
        self.next_run_us: int | None = None
        self._means = means
        self._ctx = means.ctx
        self._store = means.store
        self._restarts = means.restarts()
        self._teller = Teller(monitor, means.ctx, means.store, means.kick, look_s=means.look_s)
        self._run: Run | None = None
        self._first: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep(), name=f"monitor {monitor.name}")
        self._task.add_done_callback(self._settle)

    @property
    def is_over(self) -> bool:
        """Whether it is kept no more: given up, or stopped."""
        return self._task.done()

    async def first_start(self) -> int | None:
        """The process id of the first launch; None for a scheduled one.

        Raises:
            NotStarted: it did not become the command, or not in time.
        """
        try:
            async with asyncio.timeout(_START_S):
                return await asyncio.shield(self._first)
        except TimeoutError:
            raise NotStarted(
                "the process that runs the monitors does not answer",
                hint="it is being replaced: try again; if it stays so: thrum daemon restart",
            ) from None

    def matched(self, word: Matched) -> None:
        """Lines of its output matched."""
        self._teller.matched(word.count, word.lines)

    def skipped(self, word: Skipped) -> None:
        """Output was thrown away."""
        self._teller.skipped(word.count)

    async def stop(self) -> None:
        """End the command with all that belongs to it; what was suppressed is told."""
        run = self._run
        was_alive = run is not None and run.is_alive
        await self.cancel()
        try:
            if run is not None and was_alive:
                await self._see_end(run)
        finally:
            await self._teller.close()

    async def _see_end(self, run: Run) -> None:
        """Wait until a command that was asked to end has."""
        try:
            async with asyncio.timeout(self._ctx.settings.stop_grace_seconds + _STOP_MARGIN_S):
                await self._note_end(await run.until_ended())
        except TimeoutError:
            await self._means.give_up(f"it did not end monitor {self.monitor.name} in time")
        except RunnerLost:
            pass  # the next service ends the command before it does anything
        finally:
            self._means.forget(run)

    async def cancel(self) -> None:
        """Keep it no more; its command is asked to end."""
        self._task.cancel()
        await asyncio.wait((self._task,))
        await self._teller.save()

    # --- keeping -----------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            try:
                return await (self._by_schedule() if self.monitor.schedule else self._again_and_again())
            except RunnerLost:
                raise
            except (ThrumError, sqlite3.Error, OSError) as error:
                self._ctx.log.error("monitor %s: %s", self.monitor.name, error)
                self._end_run()
                if not self._first.done():
                    self._first.set_exception(NotStarted(str(error)))
                await asyncio.sleep(_TROUBLE_S)

    async def _again_and_again(self) -> None:
        while True:
            started = self._ctx.clock.monotonic()
            ended = await self._once()
            now = self._ctx.clock.monotonic()
            delay_s = self._restarts.after(lasted_s=now - started, now_s=now)
            if delay_s is None:
                await self._give_up(self._restarts.why(), ended)
                return
            self.next_run_us = self._ctx.clock.now_us() + round(delay_s * 1e6)
            await asyncio.sleep(delay_s)
            self.next_run_us = None

    async def _by_schedule(self) -> None:
        schedule = self._means.schedule(self.monitor.schedule)
        if not self._first.done():
            self._first.set_result(None)
        failures = 0
        while True:
            self.next_run_us = schedule.after(self._ctx.clock.now_us())
            while (left_us := self.next_run_us - self._ctx.clock.now_us()) > 0:  # noqa: ASYNC110 - clocks are set
                await asyncio.sleep(min(left_us / 1e6, self._means.look_s))
            self.next_run_us = None
            ended = await self._once(
                timeout_s=self.monitor.timeout_seconds or self._ctx.settings.run_timeout_seconds
            )
            failures = failures + 1 if ended.error else 0
            if failures >= notices.FAILED_STARTS:
                await self._give_up(f"its command could not be started {failures} times in a row", ended)
                return

    async def _once(self, *, timeout_s: float | None = None) -> Ended:
        """Start the command and see it to its end."""
        run = self._run = Run(run_id(self._ctx.clock.now_us()))
        self._means.register(run, self)
        try:
            ended = await self._launched(run, timeout_s)
        except asyncio.CancelledError:
            self._end_run()
            raise
        if ended is None:
            await self._timed_out(run, timeout_s or 0)
            ended = await run.until_ended()
        self._means.forget(run)
        await self._note_end(ended)
        return ended

    async def _launched(self, run: Run, timeout_s: float | None) -> Ended | None:
        """How it ended; None when that took too long."""
        monitor = self.monitor
        try:
            env = await self._ctx.in_thread(self._means.environment, monitor, run.id)
        except FileDamaged as error:
            run.hear(Ended(run=run.id, status=NOT_STARTED, error=str(error)))
            return run.ended
        self._means.say(
            Launch(
                run=run.id,
                monitor=monitor.id,
                argv=list(monitor.argv),
                env=env,
                cwd=monitor.cwd,
                pattern=monitor.match_pattern,
                bytes_a_second=self._ctx.settings.bytes_per_second,
                secrets=[env[name] for name in monitor.env],
            )
        )
        if await run.until_waiting():
            await self._release(run)
        try:
            async with asyncio.timeout(timeout_s):
                return await run.until_ended()
        except TimeoutError:
            return None

    async def _release(self, run: Run) -> None:
        """Write down who it is, then let it become the command."""
        assert run.pid is not None
        process = self._ctx.process(run.pid)
        if process is None:  # it has ended already
            return
        at = self._store.now()
        await self._store.change(
            self.monitor.id, pid=run.pid, start_time=process.start_time, run=run.id, last_started_at=at
        )
        self._means.say(Go(run=run.id))
        if await run.until_running() and not self._first.done():
            self._first.set_result(run.pid)

    async def _note_end(self, ended: Ended) -> None:
        at = self._store.now()
        await self._store.change(self.monitor.id, pid=None, last_exit_code=ended.status, last_exit_at=at)
        if ended.left:
            self._ctx.log.error("monitor %s: %d processes cannot be killed", self.monitor.name, ended.left)
        if ended.error and not self._first.done():
            self._first.set_exception(NotStarted(f"the command cannot be started: {ended.error}"))

    async def _timed_out(self, run: Run, timeout_s: float) -> None:
        self._end_run()
        text = notices.timed_out(self.monitor, timeout_s)
        await self._store.change(self.monitor.id, alarms=[self._notice(f"timeout.{run.id}", text)])
        self._means.kick()

    async def _give_up(self, why: str, ended: Ended) -> None:
        await self._teller.close()
        assert self._run is not None
        text = notices.died(self.monitor, why, ended)
        await self._store.change(
            self.monitor.id,
            status="dead",
            reason=f"{why}, the last {notices.how(ended)}",
            updated_at=self._store.now(),
            alarms=[self._notice(f"died.{self._run.id}", text)],
        )
        self._means.kick()

    def _notice(self, key: str, content: str) -> Alarm:
        return notices.alarm(self.monitor, key, content, timestamp(self._ctx.clock.now_us()))

    def _end_run(self) -> None:
        if self._run is not None and self._run.is_alive:
            self._means.say(Stop(run=self._run.id, grace_s=self._ctx.settings.stop_grace_seconds))

    def _settle(self, task: asyncio.Task[None]) -> None:
        """Nobody waits for the first start in vain."""
        error = None if task.cancelled() else task.exception()
        if not self._first.done():
            self._first.set_exception(error or NotStarted("it was stopped meanwhile"))
        if not self._first.cancelled():
            self._first.exception()  # whoever asked was told; nobody may have asked

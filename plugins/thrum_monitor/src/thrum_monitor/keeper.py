"""Keeps every monitor that should run: one runner for all of them, started with the first.

A start begins by ending what an earlier daemon left behind. Its pipes are dead, so nothing of it is taken over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import ThrumError
from thrum_monitor import leftovers
from thrum_monitor.alarms import Alarms
from thrum_monitor.env_files import EnvFiles
from thrum_monitor.environment import environment
from thrum_monitor.frames import Forget, Go, Launch, Lines, Matched, Pong, Skipped, Stop, Word
from thrum_monitor.kept import Kept, Means
from thrum_monitor.leftovers import Left
from thrum_monitor.link import MARGIN_S, Link, RunnerLost
from thrum_monitor.restarts import Restarts
from thrum_monitor.run import Run
from thrum_monitor.runner import ring
from thrum_monitor.schedule import Schedule, local_zone
from thrum_monitor.store import Monitor, Store

OUTPUT: Final = "output"
STOP_TIME_S: Final = 12.5
_READY_S: Final = 20.0


class NotReady(ThrumError):
    """The service that runs the monitors is not up."""


class Keeper:
    """The service that runs the monitors; for *restarts* and *look_s* see `Means`."""

    def __init__(
        self,
        ctx: PluginContext,
        store: Store,
        alarms: Alarms,
        *,
        restarts: Callable[[], Restarts],
        look_s: float,
    ) -> None:
        self._restarts = restarts
        self._look_s = look_s
        self._ctx = ctx
        self._store = store
        self._alarms = alarms
        self.env_files = EnvFiles(ctx.paths.durable)
        self._zone = local_zone()
        self._kept: dict[str, Kept] = {}
        self._runs: dict[str, tuple[Run, Kept]] = {}
        self._link: Link | None = None
        self._wanted = asyncio.Event()
        self._ready = asyncio.Event()

    # --- the service -------------------------------------------------------------------------------------------------

    async def run(self, started: Callable[[], None]) -> None:
        """Clear up, then keep what should run, until it is cancelled.

        Raises:
            RunnerLost: the runner ended by itself.
        """
        started()
        await self._clear_up()
        if self._store.monitors(running=True):
            self._wanted.set()
        await self._wanted.wait()
        grace_s = self._ctx.settings.stop_grace_seconds
        self._link = Link(self._ctx, self._output, grace_s=grace_s, hear=self._hear)
        pid = await self._link.open()
        try:
            process = self._ctx.process(pid)
            if process is not None:
                await self._store.set_runner(pid, process.start_time)
            for monitor in self._store.monitors(running=True):
                self._begin(monitor)
            self._ready.set()
            await self._link.listen()
        except RunnerLost as error:
            for run, _ in self._runs.values():
                run.lost(error)
            raise
        finally:
            await self._end()

    async def _clear_up(self) -> None:
        """End what an earlier daemon left behind, and forget what it did not finish."""
        left = self._store.with_processes()
        runner = self._store.runner()
        remaining = await self._ctx.in_thread(
            lambda: leftovers.end(
                [Left(each.run, each.pid or 0, each.start_time or 0) for each in left],
                process=self._ctx.process,
                grace_s=self._ctx.settings.stop_grace_seconds,
                runner=Left("", *runner) if runner is not None else None,
                runner_s=self._ctx.settings.stop_grace_seconds + MARGIN_S,
            )
        )
        if remaining:
            self._ctx.log.error("processes of monitors that cannot be ended: %s", remaining)
        for monitor in left:
            await self._store.change(monitor.id, pid=None)
        await self._ctx.in_thread(
            self.env_files.remove_others, {monitor.id for monitor in self._store.monitors()}
        )

    async def _end(self) -> None:
        self._ready.clear()
        kept, self._kept = self._kept, {}
        await asyncio.gather(*(each.cancel() for each in kept.values()))
        self._runs.clear()
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    # --- what is asked of it -----------------------------------------------------------------------------------------

    async def ready(self) -> None:
        """Wait until monitors can be started.

        Raises:
            NotReady: that takes too long.
        """
        self._wanted.set()
        try:
            async with asyncio.timeout(_READY_S):
                await self._ready.wait()
        except TimeoutError:
            raise NotReady(
                "the service that runs the monitors is not up", hint="thrum daemon restart"
            ) from None

    async def start(self, monitor: Monitor) -> int | None:
        """Keep a monitor from now on; gives the process id of its command, None for a scheduled one.

        Raises:
            NotStarted: it cannot be started.
            NotReady: the runner ended meanwhile, and there is no other in time.
            RunnerLost: that one ended, too.
        """
        try:
            return await self._begin(monitor).first_start()
        except RunnerLost:
            await self.ready()  # the next service starts it with all others
        kept = self._kept.get(monitor.id)
        return await (kept or self._begin(monitor)).first_start()

    async def stop(self, monitor: Monitor) -> None:
        """Keep it no more: its command has ended when this returns."""
        while (
            kept := self._kept.pop(monitor.id, None)
        ) is not None:  # a service that begins meanwhile starts it anew
            await kept.stop()

    def next_run_us(self, monitor: Monitor) -> int | None:
        """When a monitor is started next; None when it runs now, or is not kept."""
        kept = self._kept.get(monitor.id)
        return kept.next_run_us if kept is not None and not kept.is_over else None

    def schedule(self, text: str) -> Schedule:
        """A cron line, in this machine's time.

        Raises:
            BadSchedule: it is none.
        """
        return Schedule(text, zone=self._zone)

    async def output(self, monitor: Monitor, limit: int) -> list[tuple[int, str]]:
        """The last lines of its output, oldest first."""
        if self._link is not None:
            with contextlib.suppress(RunnerLost):  # then what it kept when the last run ended
                return await self._link.output(monitor.id, limit)
        found = await self._ctx.in_thread(ring.load, self._output / f"{monitor.id}.json")
        return list(found)[-limit:]

    async def forget(self, monitor: Monitor) -> None:
        """Throw away what is kept of it outside the table."""
        await self._ctx.in_thread(self.env_files.remove, monitor.id)
        if self._link is not None:
            self._link.say(Forget(monitor=monitor.id))
        else:
            await self._ctx.in_thread(lambda: (self._output / f"{monitor.id}.json").unlink(missing_ok=True))

    # --- inside ------------------------------------------------------------------------------------------------------

    @property
    def _output(self) -> Path:
        return self._ctx.paths.state / OUTPUT

    def _begin(self, monitor: Monitor) -> Kept:
        kept = self._kept[monitor.id] = Kept(monitor, self._means())
        return kept

    def _means(self) -> Means:
        return Means(
            ctx=self._ctx,
            store=self._store,
            say=self._say,
            give_up=self._give_up,
            environment=self._environment,
            register=self._register,
            forget=self._forget,
            kick=self._alarms.kick,
            schedule=self.schedule,
            restarts=self._restarts,
            look_s=self._look_s,
        )

    def _say(self, order: Launch | Go | Stop) -> None:
        if self._link is None:
            raise RunnerLost("the process that runs the monitors is gone")
        self._link.say(order)

    async def _give_up(self, why: str) -> None:
        """End the runner, and wait until the next service has ended what it left.

        Raises:
            NotReady: there is no next service, or not in time.
        """
        if self._link is not None:
            self._ready.clear()
            self._link.give_up(why)
        await self.ready()

    def _register(self, run: Run, kept: Kept) -> None:
        self._runs[run.id] = (run, kept)

    def _forget(self, run: Run) -> None:
        self._runs.pop(run.id, None)

    def _environment(self, monitor: Monitor, run: str) -> dict[str, str]:
        given = self.env_files.load(monitor.id, monitor.env)
        return environment(os.environ, path=monitor.path, given=given, run=run)

    def _hear(self, word: Word) -> None:
        if isinstance(word, Lines | Pong):
            return
        found = self._runs.get(word.run)
        if found is None:  # about an earlier launch
            return
        run, kept = found
        match word:
            case Matched():
                kept.matched(word)
            case Skipped():
                kept.skipped(word)
            case _:
                run.hear(word)

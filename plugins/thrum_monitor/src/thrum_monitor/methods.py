"""The methods ``monitor.*``."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final

from thrum_kernel.api import Call, Method, PluginContext
from thrum_kernel.errors import Refused, ThrumError, UnknownAgent, UsageError
from thrum_monitor import asked
from thrum_monitor.keeper import Keeper
from thrum_monitor.kept import NotStarted
from thrum_monitor.model import (
    IdParams,
    LineView,
    ListParams,
    LogsParams,
    MatchView,
    MonitorView,
    Started,
    StartParams,
    Stopped,
)
from thrum_monitor.store import Monitor, Store
from thrum_monitor.times import monitor_id, timestamp

REDACTED: Final = "<redacted>"
MAX_LIMIT: Final = 10_000
_HERE: Final = frozenset({"unix", "internal"})
"""A command is started for whoever stands on this machine, not for a browser."""


class MonitorMethods:
    """The handlers; what changes a monitor happens one after the other."""

    def __init__(self, ctx: PluginContext, store: Store, keeper: Keeper) -> None:
        self._ctx = ctx
        self._store = store
        self._keeper = keeper
        self._changing = asyncio.Lock()

    # --- changes -----------------------------------------------------------------------------------------------------

    async def start(self, call: Call, params: StartParams) -> Started:
        """Make a monitor and start its command; when that cannot be started there is no monitor either.

        Raises:
            UsageError: something about it is wrong.
            NotFound: its target is nobody.
            Refused: its name is in use, or too many run.
            NotStarted: the command cannot be started.
        """
        asked.check_words(params, schedule_of=self._keeper.schedule)
        path = params.path or os.environ.get("PATH", os.defpath)
        await self._ctx.in_thread(lambda: asked.check_place(params.argv, cwd=params.cwd, path=path))
        target = await self._target(params.target)
        async with self._changing:
            known = self._store.called(params.name)
            if known is not None and known.request_id and known.request_id == call.request_id:
                return Started(id=known.id, pid=known.pid)  # asked again after a restart of the daemon
            self._check_free(params.name, known)
            await self._keeper.ready()
            monitor = self._made(call, params, target, path)
            return await self._started(monitor, params)

    async def stop(self, call: Call, params: IdParams) -> Stopped:
        """End the command with all that it started, and keep the monitor.

        Raises:
            NotFound: there is no such monitor.
        """
        async with self._changing:
            await self._stopped(self._found(params.id))
        return Stopped(status="stopped")

    async def restart(self, call: Call, params: IdParams) -> Started:
        """Start the command anew, whatever the monitor was.

        Raises:
            NotFound: there is no such monitor.
            Refused: too many run.
            NotStarted: the command cannot be started; the monitor is dead then.
        """
        async with self._changing:
            monitor = self._found(params.id)
            if monitor.status != "running":
                self._check_number()
            await self._keeper.ready()
            await self._keeper.stop(monitor)
            await self._store.change(
                monitor.id, status="running", reason="", rerouted_to="", updated_at=self._store.now()
            )
            monitor = self._store.find(monitor.id)
            try:
                pid = await self._keeper.start(monitor)
            except NotStarted as error:
                await self._keeper.stop(monitor)
                await self._store.change(
                    monitor.id, status="dead", reason=str(error), updated_at=self._store.now()
                )
                raise
        return Started(id=monitor.id, pid=pid)

    async def delete(self, call: Call, params: IdParams) -> Stopped:
        """End the command, and forget the monitor and what was kept of it.

        Raises:
            NotFound: there is no such monitor.
        """
        async with self._changing:
            monitor = self._found(params.id)
            await self._stopped(monitor)
            await self._store.delete(monitor.id)
            await self._keeper.forget(monitor)
        return Stopped(status="deleted")

    # --- looks -------------------------------------------------------------------------------------------------------

    def list_all(self, call: Call, params: ListParams) -> list[MonitorView]:
        """Monitors, oldest first."""
        return [self._view(monitor) for monitor in self._store.monitors(running=not params.include_all)]

    def show(self, call: Call, params: IdParams) -> MonitorView:
        """One monitor.

        Raises:
            NotFound: there is no such monitor.
        """
        return self._view(self._found(params.id))

    def logs(self, call: Call, params: LogsParams) -> list[MatchView]:
        """The messages that it sent, newest first.

        Raises:
            NotFound: there is no such monitor.
        """
        monitor = self._found(params.id)
        rows = self._ctx.read(
            "SELECT m.message_id, m.body_content, m.created_at FROM message_refs r"
            " JOIN messages m ON m.message_id = r.message_id"
            " WHERE r.ref_type = 'monitor' AND r.ref_value >= ? AND r.ref_value < ?"
            " ORDER BY m.message_id DESC LIMIT ?",
            (f"{monitor.id}.", f"{monitor.id}/", _limit(params.limit)),
        )
        return [MatchView(message_id=row[0], content=row[1], created_at=row[2]) for row in rows]

    async def output(self, call: Call, params: LogsParams) -> list[LineView]:
        """The last lines of its output, oldest first.

        Raises:
            NotFound: there is no such monitor.
        """
        lines = await self._keeper.output(self._found(params.id), _limit(params.limit))
        return [LineView(at=timestamp(at_us), text=text) for at_us, text in lines]

    # --- inside ------------------------------------------------------------------------------------------------------

    def _found(self, name_or_id: str) -> Monitor:
        if not name_or_id:
            raise UsageError("id is required")
        return self._store.find(name_or_id)

    async def _stopped(self, monitor: Monitor) -> None:
        """Stop it: in the table first, so that a service that begins just now does not start it, then its command."""
        values: dict[str, Any] = {"status": "stopped", "reason": "", "updated_at": self._store.now()}
        if monitor.status != "stopped":
            await self._store.change(monitor.id, **values)
        await self._keeper.stop(monitor)
        if self._store.find(monitor.id).status != "stopped":  # it was given up meanwhile
            await self._store.change(monitor.id, **values)

    async def _target(self, target: str) -> str:
        """The target as it is kept, with its ``@``.

        Raises:
            UnknownAgent: nobody is called so.
        """
        bare = target.removeprefix("@")
        if bare != "everyone" and not (await self._ctx.call("agent.lookup", name=bare)).get("member"):
            agents = (await self._ctx.call("agent.list"))["agents"]
            raise UnknownAgent(bare, get_close_matches(bare, [agent["agent_id"] for agent in agents]))
        return f"@{bare}"

    def _check_free(self, name: str, known: Monitor | None) -> None:
        if known is not None:
            raise Refused(
                f"monitor name already in use: {name}", hint=f"thrum monitor delete {name}, or choose another"
            )
        self._check_number()

    def _check_number(self) -> None:
        most = self._ctx.settings.max_running
        if len(self._store.monitors(running=True)) >= most:
            raise Refused(f"maximum concurrent monitors reached ({most})", hint="thrum monitor stop NAME")

    def _made(self, call: Call, params: StartParams, target: str, path: str) -> Monitor:
        now_us = self._ctx.clock.now_us()
        at = timestamp(now_us)
        return Monitor(
            id=monitor_id(now_us),
            name=params.name,
            argv=tuple(params.argv),
            match_pattern=params.match,
            target=target,
            cwd=params.cwd,
            env=tuple(sorted(params.env)),
            path=path,
            debounce_seconds=params.debounce_seconds,
            schedule=" ".join(params.schedule.split()),
            timeout_seconds=params.timeout_seconds,
            created_by=call.caller.agent_id,
            request_id=call.request_id,
            created_at=at,
            updated_at=at,
        )

    async def _started(self, monitor: Monitor, params: StartParams) -> Started:
        """Start it, or leave nothing of it."""
        try:
            await self._ctx.in_thread(self._keeper.env_files.save, monitor.id, params.env)
            await self._store.add(monitor)
            return Started(id=monitor.id, pid=await self._keeper.start(monitor))
        except (ThrumError, sqlite3.Error):
            await self._store.change(monitor.id, status="stopped")
            await self._keeper.stop(monitor)
            await self._store.delete(monitor.id)
            await self._keeper.forget(monitor)
            raise

    def _view(self, monitor: Monitor) -> MonitorView:
        due = self._store.due_of(monitor.id)
        next_us = self._keeper.next_run_us(monitor)
        return MonitorView(
            id=monitor.id,
            name=monitor.name,
            argv=list(monitor.argv),
            match=monitor.match_pattern,
            target=monitor.target,
            cwd=monitor.cwd,
            env=dict.fromkeys(monitor.env, REDACTED),
            debounce_seconds=monitor.debounce_seconds,
            status=monitor.status,
            created_at=monitor.created_at,
            updated_at=monitor.updated_at,
            created_by=monitor.created_by,
            pid=monitor.pid if monitor.status == "running" else None,
            schedule=monitor.schedule,
            timeout_seconds=monitor.timeout_seconds,
            next_run_at=timestamp(next_us) if next_us is not None else "",
            reason=monitor.reason,
            last_started_at=monitor.last_started_at,
            last_exit_code=monitor.last_exit_code,
            last_exit_at=monitor.last_exit_at,
            rerouted_to=monitor.rerouted_to,
            undelivered=len(due),
            problem=next((alarm.problem for alarm in due if alarm.problem), ""),
            suppressed=monitor.window.suppressed,
            skipped_bytes=monitor.skipped_bytes,
            dropped=monitor.dropped,
        )


def methods(handlers: MonitorMethods) -> Sequence[Method]:
    """All of them. What waits for the runner may take long: one that is stuck is replaced first."""
    return (
        Method(
            name="monitor.start",
            params=StartParams,
            result=Started,
            handler=handlers.start,
            mutates=True,
            long_poll=True,
            transports=_HERE,
            summary="Start a command whose output is watched",
        ),
        Method(
            name="monitor.stop",
            params=IdParams,
            result=Stopped,
            handler=handlers.stop,
            mutates=True,
            long_poll=True,
            transports=_HERE,
            summary="End a monitor's command and keep the monitor",
        ),
        Method(
            name="monitor.restart",
            params=IdParams,
            result=Started,
            handler=handlers.restart,
            mutates=True,
            long_poll=True,
            transports=_HERE,
            summary="Start a monitor's command anew",
        ),
        Method(
            name="monitor.delete",
            params=IdParams,
            result=Stopped,
            handler=handlers.delete,
            mutates=True,
            long_poll=True,
            transports=_HERE,
            summary="End a monitor and forget it",
        ),
        Method(
            name="monitor.list",
            while_projecting=True,
            params=ListParams,
            result=list[MonitorView],
            handler=handlers.list_all,
            anonymous=True,
            transports=_HERE,
            summary="Monitors and their states",
        ),
        Method(
            name="monitor.show",
            while_projecting=True,
            params=IdParams,
            result=MonitorView,
            handler=handlers.show,
            anonymous=True,
            transports=_HERE,
            summary="One monitor",
        ),
        Method(
            name="monitor.logs",
            params=LogsParams,
            result=list[MatchView],
            handler=handlers.logs,
            anonymous=True,
            transports=_HERE,
            summary="The messages that a monitor sent, newest first",
        ),
        Method(
            name="monitor.output",
            while_projecting=True,
            params=LogsParams,
            result=list[LineView],
            handler=handlers.output,
            anonymous=True,
            transports=_HERE,
            summary="The last lines of a monitor's output, oldest first",
        ),
    )


def _limit(asked_for: int) -> int:
    if asked_for < 1:
        raise UsageError("the limit must be at least 1")
    return min(asked_for, MAX_LIMIT)

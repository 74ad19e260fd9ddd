"""Sends what is due: first in the table, then in the log, then out of the table, so that nothing is missing or twice.

The key of an alarm is its request id and travels with the message as a reference. After a crash, when nobody can say
whether it was sent, it is looked for in the log first: request ids are remembered for minutes, the log for ever.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Final

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import NotFound, ThrumError
from thrum_monitor.store import Alarm, Store

LABEL: Final = "monitor"
AGAIN_S: Final = 30.0
_FIRST_AGAIN_S: Final = 0.5


class Alarms:
    """The service that sends."""

    def __init__(self, ctx: PluginContext, store: Store) -> None:
        self._ctx = ctx
        self._store = store
        self._news = asyncio.Event()
        self._doubtful: set[str] = set()
        self._pause_s = _FIRST_AGAIN_S

    def kick(self) -> None:
        """Something is due."""
        self._news.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Send what is due, now and whenever something is; what cannot be sent is tried again."""
        started()
        self._doubtful = {alarm.key for alarm in self._store.due()}
        while True:
            self._news.clear()
            is_left = await self._send_all()
            self._pause_s = min(AGAIN_S, self._pause_s * 2) if is_left else _FIRST_AGAIN_S
            try:
                async with asyncio.timeout(self._pause_s if is_left else None):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _send_all(self) -> bool:
        """Whether something could not be sent."""
        failed: dict[str, Exception] = {}
        for alarm in self._store.due():
            try:
                if alarm.target not in failed:
                    await self._send(alarm)
                    continue
            except (ThrumError, sqlite3.Error) as error:
                self._doubtful.add(alarm.key)
                failed[alarm.target] = error
            # One that cannot be reached is not tried again for each alarm.
            await self._note(alarm, failed[alarm.target])
        return bool(failed)

    async def _send(self, alarm: Alarm) -> None:
        rerouted_to: str | None = None
        if alarm.key not in self._doubtful or not self._is_in_log(alarm):
            rerouted_to = await self._send_somewhere(alarm)
        await self._store.sent(alarm, rerouted_to)
        self._doubtful.discard(alarm.key)

    async def _send_somewhere(self, alarm: Alarm) -> str:
        """To its target, or, when that is gone, to whoever looks after everybody; gives who that was, else nothing.

        Raises:
            NotFound: there is neither.
        """
        try:
            await self._to(alarm, alarm.target, alarm.content)
            return ""
        except NotFound as gone:
            content = f"{alarm.content}\n\n(for {alarm.target}, who is gone: thrum monitor show {alarm.name})"
            for name in (await self._ctx.call("agent.supervisors"))["agents"]:
                try:
                    await self._to(alarm, f"@{name}", content)
                except NotFound:
                    continue
                return f"@{name}"
            raise gone

    async def _to(self, alarm: Alarm, target: str, content: str) -> None:
        await self._ctx.send(
            content,
            to=target,
            sender=f"monitor:{alarm.name}",
            request_id=alarm.key,
            scopes=[{"type": LABEL, "value": alarm.name}],
            refs=[{"type": LABEL, "value": alarm.key}],
        )

    def _is_in_log(self, alarm: Alarm) -> bool:
        sql = "SELECT 1 FROM message_refs WHERE ref_type = ? AND ref_value = ?"
        return bool(self._ctx.read(sql, (LABEL, alarm.key)))

    async def _note(self, alarm: Alarm, error: Exception) -> None:
        try:
            await self._store.not_sent(alarm, str(error))
        except (ThrumError, sqlite3.Error) as also:
            self._ctx.log.error("monitor %s: %s", alarm.name, also)

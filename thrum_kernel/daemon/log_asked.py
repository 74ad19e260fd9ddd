"""What rooms ask of the log and its cache, and are given as callables."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from thrum_kernel.events import Event
from thrum_kernel.projection import queries, replay
from thrum_kernel.projection.tables import LogLine
from thrum_kernel.sync.purge import PurgeCounts

if TYPE_CHECKING:
    from thrum_kernel.daemon.main import Daemon


class LogAsked:
    """Of one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def erase(self, message_ids: Sequence[str]) -> None:
        """Take the text of deleted messages out of the log's files, the index and the cache.

        Raises:
            StoreError: the disk refuses; it is tried again with the next publish.
        """
        await self._daemon.publisher.cut_now()
        self._daemon.history.owe()
        await self._daemon.search.forget()
        await self._daemon.cache.scrubbed()

    async def withheld(self, event: Event) -> Sequence[str]:
        """The patterns for which an event will be held back; none where nothing travels anyway."""
        if self._daemon.travel.reason:
            return ()
        line = self._daemon.types.encode(event)
        if self._daemon.secrets.is_short(line):
            return self._daemon.secrets.matched(line)
        return await asyncio.to_thread(self._daemon.secrets.matched, line)

    def observe(self) -> None:
        """Number events above all that the log holds, though the clock went back since.

        Source: DESIGN.md D2.
        """
        for ulid in queries.newest_ulids(self._daemon.cache):
            self._daemon.opened.ids.observe(ulid)

    def project_aside(self, batches: Iterable[Sequence[LogLine]]) -> sqlite3.Connection:
        """The state after *batches*, in a database that is gone when the connection closes; blocking."""
        lines = [list(batch) for batch in batches]
        target = self._daemon.opened.paths.var / f"replay-{os.getpid()}-{time.monotonic_ns()}.db"
        replay.rebuild(lambda: lines, target, self._daemon.types, clock=self._daemon.clock)
        connection = sqlite3.connect(target, check_same_thread=False)
        target.unlink()  # the file lives until the connection is closed
        return connection

    def count_before(self, cutoff_us: int) -> PurgeCounts:
        messages = self._daemon.cache.read("SELECT count(*) FROM message WHERE created_us < ?", (cutoff_us,))
        sessions = self._daemon.cache.read(
            "SELECT session_id FROM session WHERE started_us < ? AND ended_us IS NOT NULL AND purged = 0",
            (cutoff_us,),
        )
        return PurgeCounts(messages=messages[0][0], sessions=tuple(row[0] for row in sessions))

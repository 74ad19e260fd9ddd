"""``purge.execute``: messages, ended sessions and all about them go, from every file and every clone.

A preview counts. The real thing commits a `purge.executed` event, which tells every clone exactly what goes, ends the
journal, publishes it, takes out of every file what is purged, drops the journals that held it, and has the cache
rebuilt, so that the text is in no file of ours any more. A crash in between is noted on disk and made good at the
next start.

Source: DESIGN.md D1, "Purge"; spec/decisions.md; spec/kernel.md §4.4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from thrum_kernel.api import Call, Method
from thrum_kernel.clock import Clock, format_us, parse_us
from thrum_kernel.errors import Refused, StoreError, UsageError
from thrum_kernel.events import Event
from thrum_kernel.events.core import PurgeExecuted
from thrum_kernel.store.purge import Purges
from thrum_kernel.sync.cutter import Cutter, PurgeDone
from thrum_kernel.sync.publish import Publisher

E = TypeVar("E", bound=Event)


class Committing(Protocol):
    """What purging needs of the committer."""

    def draft(self, cls: type[E], **fields: object) -> E: ...
    async def commit(self, *events: Event, request_id: str = "") -> None: ...


class PurgeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What the projection knows to be before a cutoff.

    Attributes:
        messages: how many messages.
        sessions: ids of the sessions that began before it and are ended.
        queue: how many queued commands, of a plugin that has them.
    """

    messages: int
    sessions: tuple[str, ...] = ()
    queue: int = 0


class PurgeParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``before``: RFC 3339 time, not in the future. ``dry_run``: count only."""

    before: str
    dry_run: bool = False
    caller_agent_id: str = ""


class PurgeResult(msgspec.Struct, kw_only=True):
    """What went, or would go: in the projection, and in the published files."""

    before: str
    dry_run: bool
    messages_deleted: int
    sessions_deleted: int
    events_deleted: int
    command_queue_deleted: int
    sync_message_files: int
    sync_events_filtered: int


class Purger:
    """Purges.

    Args:
        publisher, cutter, committer, clock: of this daemon.
        count: what the projection knows to be before a cutoff in microseconds; on the loop's thread.
        rebuild_cache: makes a fresh cache from the log.

    Attributes:
        on_done: called on the loop after a purge of ours was carried out, be it that a part of it is left to do.
    """

    def __init__(
        self,
        *,
        publisher: Publisher,
        cutter: Cutter,
        committer: Committing,
        clock: Clock,
        count: Callable[[int], PurgeCounts],
        rebuild_cache: Callable[[], Awaitable[None]],
    ) -> None:
        self._publisher = publisher
        self._cutter = cutter
        self._committer = committer
        self._clock = clock
        self._count = count
        self.on_done: list[Callable[[], None]] = []
        publisher.on_purged.append(rebuild_cache)

    def methods(self) -> Sequence[Method]:
        """``purge.execute``."""
        return (
            Method(
                name="purge.execute",
                params=PurgeParams,
                result=PurgeResult,
                handler=self._handle,
                mutates=True,
                summary="Remove messages and ended sessions from before a time, everywhere",
                recall=self._recall,
            ),
        )

    async def preview(self, cutoff_us: int) -> PurgeResult:
        """What a purge with this cutoff would remove; changes nothing."""
        counts = self._count(cutoff_us)
        purges = Purges(cutoff=format_us(cutoff_us), sessions=frozenset(counts.sessions))
        done = await asyncio.to_thread(self._cutter.preview, purges)
        return _result(format_us(cutoff_us), counts, done, dry_run=True)

    async def execute(self, event: PurgeExecuted, *, request_id: str = "") -> PurgeDone:
        """Commit *event* and carry it out.

        Raises:
            StoreError: the event could not be stored and nothing happened, or it is stored and the files will be
                purged at the next publish or start.
        """
        await self._committer.commit(event, request_id=request_id)
        try:
            return await self._publisher.purge_now()
        finally:
            for callback in self.on_done:
                callback()

    async def purge_before(self, cutoff_us: int, *, by: str) -> bool:
        """Purge what is before a cutoff, as *by*; False, and nothing is written, when that is nothing.

        Raises:
            StoreError: as `execute`.
        """
        counts = self._count(cutoff_us)
        if not (counts.messages or counts.sessions):
            return False
        await self.execute(self._drafted(cutoff_us, counts, by=by))
        return True

    def _drafted(self, cutoff_us: int, counts: PurgeCounts, *, by: str) -> PurgeExecuted:
        return self._committer.draft(
            PurgeExecuted, cutoff=format_us(cutoff_us), by=by, sessions=list(counts.sessions)
        )

    async def _handle(self, call: Call, params: PurgeParams) -> PurgeResult:
        cutoff_us = self._cutoff_us(params.before)
        if params.dry_run:
            return await self.preview(cutoff_us)
        counts = self._count(cutoff_us)
        event = self._drafted(cutoff_us, counts, by=call.caller.agent_id)
        try:
            done = await self.execute(event, request_id=call.request_id)
        except StoreError as error:
            raise Refused(
                f"the purge is not finished: {error}", hint="free what it needs; it goes on by itself"
            ) from error
        return _result(event.cutoff, counts, done, dry_run=False)

    def _recall(self, call: Call, events: Sequence[Event]) -> PurgeResult:
        """The answer of a purge that was committed before a restart; what it counted is not known any more."""
        purges = [event for event in events if isinstance(event, PurgeExecuted)]
        counts = PurgeCounts(messages=0, sessions=tuple(purges[-1].sessions))
        return _result(purges[-1].cutoff, counts, PurgeDone(0, 0, is_complete=True), dry_run=False)

    def _cutoff_us(self, before: str) -> int:
        try:
            cutoff_us = parse_us(before)
        except ValueError as error:
            raise UsageError(f"before: not an RFC 3339 time: {before!r}") from error
        if cutoff_us > self._clock.now_us():
            raise UsageError(f"before: {before} is in the future", hint="a purge takes what is there")
        return cutoff_us


def _result(before: str, counts: PurgeCounts, done: PurgeDone, *, dry_run: bool) -> PurgeResult:
    return PurgeResult(
        before=before,
        dry_run=dry_run,
        messages_deleted=counts.messages,
        sessions_deleted=len(counts.sessions),
        events_deleted=done.events,
        command_queue_deleted=counts.queue,
        sync_message_files=done.message_files,
        sync_events_filtered=done.events,
    )

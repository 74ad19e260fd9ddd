"""``sync.gc``: make the log as small as it can be, here and on the remote, and tell what that came to.

What is durable is cut, neighbouring files become fewer, the history of the branch begins anew, and our own repository
lets go of every object that the branch does not need, so that text that was purged leaves it at once. Each step may be
repeated; one that cannot be done is told and the others are done all the same.

Source: DESIGN.md D1, "Purge", "Git"; issue "Sync", "Bounded history".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from thrum_kernel.api import Call, Method
from thrum_kernel.errors import ThrumError
from thrum_kernel.sync.exchange import Exchanged
from thrum_kernel.sync.loop import Travel
from thrum_kernel.sync.lost import Lost
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.usage import Usage


class GcParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``dry_run``: tell what there is to do, and change nothing. ``forget_lost``: let the history begin anew though
    files are missed that nobody can give any more."""

    dry_run: bool = False
    forget_lost: bool = False
    caller_agent_id: str = ""


class LostFile(msgspec.Struct, kw_only=True):
    """A published file that nobody can give, and how many events it held; 0 where nothing tells."""

    path: str
    events: int


class SyncGc(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What it came to.

    ``published`` events left the journal, ``rolled_up`` tells how many publishes became part of larger ones (both: or
    would, with ``dry_run``), ``rerooted`` whether the history began anew, and ``reason`` why it did not; ``local_only`` that
    there is no remote to do anything with. ``before`` and ``after`` are equal with ``dry_run``. ``lost`` are the files
    that are missed, and keep the history from beginning anew; with ``forget_lost`` those that were given up.
    """

    dry_run: bool
    published: int
    rolled_up: int
    rerooted: bool
    local_only: bool
    before: Usage
    after: Usage
    reason: str | msgspec.UnsetType = msgspec.UNSET
    lost: list[LostFile] = []


class Collector:
    """The method.

    Args:
        publisher, travel: of this daemon.
        usage: what the log takes up now.
        mend: makes good what can be made good of damaged files.
    """

    def __init__(
        self,
        *,
        publisher: Publisher,
        travel: Travel,
        usage: Callable[[], Awaitable[Usage]],
        mend: Callable[[], Awaitable[object]],
    ) -> None:
        self._publisher = publisher
        self._travel = travel
        self._usage = usage
        self._mend = mend
        self._lock = asyncio.Lock()

    def methods(self) -> Sequence[Method]:
        """``sync.gc``."""
        return (
            Method(
                name="sync.gc",
                params=GcParams,
                result=SyncGc,
                handler=self._handle,
                mutates=True,
                long_poll=True,
                summary="Make the log as small as it can be: roll up, begin the history anew, let go of the old one",
            ),
        )

    async def _handle(self, call: Call, params: GcParams) -> SyncGc:
        if params.dry_run:
            return await self._preview()
        async with self._lock:
            return await self._collect(forget_lost=params.forget_lost)

    async def _preview(self) -> SyncGc:
        usage = await self._usage()
        reason = self._travel.reason or self._travel.refusal
        return SyncGc(
            dry_run=True,
            published=await self._publisher.unpublished(),
            rolled_up=await self._publisher.could_roll_up(),
            rerooted=False,
            local_only=bool(self._travel.reason),
            before=usage,
            after=usage,
            reason=reason or msgspec.UNSET,
            lost=_told(self._travel.missed),
        )

    async def _collect(self, *, forget_lost: bool) -> SyncGc:
        if forget_lost or self._travel.reason:
            await (
                self._mend()
            )  # what is not lost after all, before a repository goes that may hold its last copy
        before = await self._usage()
        published = await self._publisher.cut_now()
        rolled_up = await self._publisher.roll_up_all()
        done, reason = await self._begin_anew(forget_lost=forget_lost)
        try:
            await self._travel.clear_out()
        except ThrumError as error:
            reason = reason or str(error)
        return SyncGc(
            dry_run=False,
            published=published,
            rolled_up=rolled_up,
            rerooted=done.has_begun_anew,
            local_only=bool(self._travel.reason),
            before=before,
            after=await self._usage(),
            reason=reason or msgspec.UNSET,
            lost=_told(done.given_up if forget_lost else self._travel.missed),
        )

    async def _begin_anew(self, *, forget_lost: bool) -> tuple[Exchanged, str]:
        """Let the history begin anew; and why that was not done."""
        try:
            done = await self._travel.begin_anew(forget_lost=forget_lost)
        except ThrumError as error:
            return Exchanged(), str(error)
        reason = self._travel.reason or done.kept
        if not reason and not done.has_begun_anew:
            reason = "the branch has a single commit"
        return done, reason


def _told(lost: Sequence[Lost]) -> list[LostFile]:
    return [LostFile(path=each.path, events=each.lines) for each in lost]

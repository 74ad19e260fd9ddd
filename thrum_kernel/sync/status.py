"""``sync.status`` and ``sync.force``: whether and how the log travels, told honestly.

Where nothing carries the log to a remote, a force publishes the journal into the files of this clone and says that it
goes no further, and why.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from thrum_kernel.api import Call, Method
from thrum_kernel.clock import format_us
from thrum_kernel.errors import ThrumError
from thrum_kernel.sync.loop import Travel
from thrum_kernel.sync.publish import Publisher

State = Literal["local-only", "stopped", "error", "idle", "synced"]

FORCE_S = 8.0
"""How long a force waits for the end of the exchange; that goes on by itself."""


class SyncParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""

    caller_agent_id: str = ""


class SyncStatus(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How the log travels. ``last_sync_at`` has seconds, and is empty before the first time.

    ``remote`` is the name of the git remote, ``problems`` what is wrong with files there.
    """

    running: bool
    last_sync_at: str
    sync_state: State
    local_only: bool
    last_error: str | msgspec.UnsetType = msgspec.UNSET
    local_only_reason: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    remote: str | msgspec.UnsetType = msgspec.UNSET
    problems: list[str] = []


class SyncForced(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a force came to.

    ``published`` events left the journal, ``received`` lines of other clones are new here, ``pushed`` tells whether
    something went to the remote; these hold for what ended while the caller waited.
    """

    triggered: bool
    last_sync_at: str
    sync_state: State
    local_only: bool
    local_only_reason: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    last_error: str | msgspec.UnsetType = msgspec.UNSET
    remote: str | msgspec.UnsetType = msgspec.UNSET
    published: int = 0
    received: int = 0
    pushed: bool = False


class SyncReplaced(msgspec.Struct, kw_only=True):
    """The remote, and the branch there that is now what ours was; empty when ours was ours already."""

    remote: str
    kept_as: str


class SyncMethods:
    """The methods.

    Args:
        publisher: what publishes.
        travel: how the log travels.
    """

    def __init__(self, *, publisher: Publisher, travel: Travel) -> None:
        self._publisher = publisher
        self._travel = travel

    def methods(self) -> Sequence[Method]:
        """``sync.status``, ``sync.force``, ``sync.replace``."""
        return (
            Method(
                name="sync.status",
                params=SyncParams,
                result=SyncStatus,
                handler=self._status,
                anonymous=True,
                while_projecting=True,
                summary="Whether and how the log travels",
            ),
            Method(
                name="sync.force",
                params=SyncParams,
                result=SyncForced,
                handler=self._force,
                mutates=True,
                summary="Publish now, and exchange with the remote",
            ),
            Method(
                name="sync.replace",
                params=SyncParams,
                result=SyncReplaced,
                handler=self._replace,
                mutates=True,
                anonymous=True,
                transports=frozenset({"unix"}),
                summary="Make the remote's branch ours where an earlier Thrum wrote it; what it was stays beside it",
            ),
        )

    @property
    def state(self) -> State:
        """In one word."""
        if self._publisher.last_error or self._travel.last_error:
            return "error"
        if self._travel.reason:
            return "local-only"
        if not self._publisher.is_running or not self._travel.is_running:
            return "stopped"
        is_behind = self._publisher.has_waiting or self._travel.has_news or self._travel.last_us is None
        return "idle" if is_behind else "synced"

    def _status(self, call: Call, params: SyncParams) -> SyncStatus:
        reason = self._travel.reason or msgspec.UNSET
        return SyncStatus(
            running=self._publisher.is_running,
            last_sync_at=self._last_sync_at(),
            sync_state=self.state,
            local_only=bool(reason),
            last_error=self._last_error(),
            local_only_reason=reason,
            reason=reason,
            remote=self._travel.remote or msgspec.UNSET,
            problems=self._travel.problems,
        )

    async def _force(self, call: Call, params: SyncParams) -> SyncForced:
        received, pushes = self._travel.received, self._travel.pushes
        published = await self._publisher.cut_now()
        with contextlib.suppress(TimeoutError, ThrumError):  # `last_error` tells; what takes long goes on
            async with asyncio.timeout(FORCE_S):
                await self._travel.force()
        reason = self._travel.reason or msgspec.UNSET
        return SyncForced(
            triggered=True,
            last_sync_at=self._last_sync_at(),
            sync_state=self.state,
            local_only=bool(reason),
            local_only_reason=reason,
            reason=reason,
            last_error=self._last_error(),
            remote=self._travel.remote or msgspec.UNSET,
            published=published,
            received=self._travel.received - received,
            pushed=self._travel.pushes > pushes,
        )

    async def _replace(self, call: Call, params: SyncParams) -> SyncReplaced:
        kept = await self._travel.replace()
        return SyncReplaced(remote=self._travel.remote, kept_as=kept)

    def _last_error(self) -> str | msgspec.UnsetType:
        return self._publisher.last_error or self._travel.last_error or msgspec.UNSET

    def _last_sync_at(self) -> str:
        is_local = bool(self._travel.reason)
        last_us = self._publisher.last_cut_us if is_local else self._travel.last_us
        return "" if last_us is None else f"{format_us(last_us)[:19]}Z"

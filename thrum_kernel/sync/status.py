"""``sync.status`` and ``sync.force``: whether and how the log travels, told honestly.

Without a remote to travel to, a force publishes the journal into the files of this clone and says that it goes no
further.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from thrum_kernel.api import Call, Method
from thrum_kernel.clock import format_us
from thrum_kernel.sync.publish import Publisher

State = Literal["local-only", "stopped", "error", "idle", "synced"]
NO_TRANSPORT = "the log stays on this machine: nothing here carries it to a remote yet"


class SyncParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""

    caller_agent_id: str = ""


class SyncStatus(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How the log travels. ``last_sync_at`` has seconds, and is empty before the first time."""

    running: bool
    last_sync_at: str
    sync_state: State
    local_only: bool
    last_error: str | msgspec.UnsetType = msgspec.UNSET
    local_only_reason: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET


class SyncForced(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a forced publish came to; ``published`` events left the journal."""

    triggered: bool
    last_sync_at: str
    sync_state: State
    local_only: bool
    local_only_reason: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    published: int = 0


class SyncMethods:
    """The methods.

    Args:
        publisher: what publishes.
        local_reason: why the log stays on this machine; empty when it travels.
    """

    def __init__(
        self, *, publisher: Publisher, local_reason: Callable[[], str] = lambda: NO_TRANSPORT
    ) -> None:
        self._publisher = publisher
        self._local_reason = local_reason

    def methods(self) -> Sequence[Method]:
        """``sync.status``, ``sync.force``."""
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
                summary="Publish the journal now",
            ),
        )

    def _status(self, call: Call, params: SyncParams) -> SyncStatus:
        reason = self._local_reason()
        return SyncStatus(
            running=self._publisher.is_running,
            last_sync_at=self._last_sync_at(),
            sync_state=self._state(reason),
            local_only=bool(reason),
            last_error=self._publisher.last_error or msgspec.UNSET,
            local_only_reason=reason or msgspec.UNSET,
            reason=reason or msgspec.UNSET,
        )

    async def _force(self, call: Call, params: SyncParams) -> SyncForced:
        published = await self._publisher.cut_now()
        reason = self._local_reason()
        return SyncForced(
            triggered=True,
            last_sync_at=self._last_sync_at(),
            sync_state=self._state(reason),
            local_only=bool(reason),
            local_only_reason=reason or msgspec.UNSET,
            reason=reason or msgspec.UNSET,
            published=published,
        )

    def _last_sync_at(self) -> str:
        last_us = self._publisher.last_cut_us
        return "" if last_us is None else f"{format_us(last_us)[:19]}Z"

    def _state(self, reason: str) -> State:
        if self._publisher.last_error:
            return "error"
        if reason:
            return "local-only"
        if not self._publisher.is_running:
            return "stopped"
        return "idle" if self._publisher.has_waiting or self._publisher.last_cut_us is None else "synced"

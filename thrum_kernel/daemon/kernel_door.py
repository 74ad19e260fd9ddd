"""What plugins reach of the daemon's rooms through their context.

Source: DESIGN.md D6, `PluginContext`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from thrum_kernel.api import Authority, Belonging, Caller, WorktreeChange
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.topics import Topics
from thrum_kernel.commit import Committer
from thrum_kernel.daemon.opened import Opened
from thrum_kernel.daemon.projecting import ProjectionKeeper
from thrum_kernel.errors import UsageError
from thrum_kernel.events import Event, EventTypes
from thrum_kernel.plugins.confined import Owns, Reader


class KernelDoor:
    """`plugins.context.Kernel` over the daemon's rooms."""

    def __init__(
        self,
        opened: Opened,
        committer: Committer,
        dispatcher: Dispatcher,
        topics: Topics,
        keeper: ProjectionKeeper,
        types: EventTypes,
        tell_local: Callable[[Event], None],
        announce: Callable[[WorktreeChange], Awaitable[Sequence[str]]],
        authorize: Callable[[Caller, Belonging, bool], Authority],
    ) -> None:
        self._opened = opened
        self._committer = committer
        self._dispatcher = dispatcher
        self._topics = topics
        self._keeper = keeper
        self._types = types
        self._tell_local = tell_local
        self._announce = announce
        self._authorize = authorize

    async def call(self, caller: Caller, method: str, params: dict[str, Any], request_id: str) -> Any:
        return await self._dispatcher.call(method, params, caller=caller, request_id=request_id)

    async def commit(self, event_type: str, fields: dict[str, Any]) -> str:
        if event_type not in self._types:
            raise UsageError(f"unknown event type {event_type}: thrum_event_types does not declare it")
        kind = self._types[event_type]
        try:
            event: Event = self._committer.draft(kind.payload, **fields)
            event.v = kind.version
            self._types.decode(self._types.encode(event))
        except (TypeError, msgspec.MsgspecError) as error:
            raise UsageError(f"event {event_type}: {error}") from error
        if kind.scope == "local":
            self._tell_local(event)
        else:
            await self._committer.commit(event)
        return event.event_id

    async def announce(self, change: WorktreeChange) -> Sequence[str]:
        return await self._announce(change)

    async def authorize(self, caller: Caller, thing: Belonging, *, force: bool) -> Authority:
        return self._authorize(caller, thing, force)

    def publish(self, topic: str, payload: Any) -> int:
        return self._topics.publish(topic, payload)

    def subscribe(self, topic: str, callback: Callable[[Any], None]) -> Callable[[], None]:
        return self._topics.subscribe(topic, callback)

    async def write(self, fn: Callable[[sqlite3.Connection], Any]) -> Any:
        return await self._opened.local.write(fn)

    def reader(self, owns: Owns, *, local: bool) -> Reader:
        where = self._opened.paths
        return Reader(where.local_db if local else where.cache_db, owns, reads_all=not local)

    @property
    def projecting(self) -> int | None:
        return self._keeper.percent

"""The Unix socket's server: listens, watches over its connections, stops in order.

Source: DESIGN.md D5, D7; spec/kernel.md §4.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Hashable
from pathlib import Path

from thrum_kernel.bus import address
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.limits import Limits
from thrum_kernel.bus.peer import Peer
from thrum_kernel.bus.topics import Topics
from thrum_kernel.bus.unix_connection import Foreign, Resolver, UnixConnection

__all__ = ["Foreign", "Limits", "Resolver", "UnixServer"]


class UnixServer:
    """Listens at *path* and answers through *dispatcher*.

    Args:
        resolver: see `Resolver`; called when a request needs its caller.
        facts_of: something that differs whenever a peer's resolution could; None = ask the resolver each time.
        foreign: see `Foreign`; None = such connections are told that they speak no JSON.
        own_uid: the only user served beside root.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        topics: Topics,
        path: Path,
        *,
        resolver: Resolver,
        facts_of: Callable[[Peer], Hashable | None] | None = None,
        foreign: Foreign | None = None,
        limits: Limits = Limits(),
        own_uid: int | None = None,
    ) -> None:
        self.dispatcher = dispatcher
        self.topics = topics
        self.path = path
        self.resolver = resolver
        self.facts_of = facts_of
        self.foreign = foreign
        self.limits = limits
        self.own_uid = os.getuid() if own_uid is None else own_uid
        self._connections: set[UnixConnection] = set()
        self._server: asyncio.Server | None = None
        self._inode = (0, 0)
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    async def start(self) -> None:
        """Take connections from now on.

        Raises:
            DaemonError: another daemon answers at the path, or something else is in the way.
        """
        listener = address.listen(self.path)
        self._inode = address.inode_of(self.path)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: UnixConnection(self), sock=listener)

    @property
    def connections(self) -> int:
        """How many JSON connections are open."""
        return len(self._connections)

    def stop_listening(self) -> None:
        """Take no further connections and remove the socket; those that are open go on."""
        if self._server is not None:
            self._server.close()
            self._server = None
            address.remove(self.path, self._inode)

    async def stop(self, *, limit_s: float = 5.0) -> None:
        """Close every connection once what it was answered has been taken; those left after *limit_s* are cut."""
        self.stop_listening()
        self._empty = asyncio.Event()
        for connection in tuple(self._connections):
            connection.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._connections:
                    self._empty.clear()
                    await self._empty.wait()
        for connection in tuple(self._connections):
            connection.cut("the daemon stops")
        await asyncio.sleep(0)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def joined(self, connection: UnixConnection) -> None:
        """A connection speaks JSON: watch over it."""
        self._connections.add(connection)
        if self._sweeper is None:
            self._arm()

    def left(self, connection: UnixConnection) -> None:
        """A connection is gone, or was handed on."""
        self._connections.discard(connection)
        if not self._connections and self._empty is not None:
            self._empty.set()

    def _arm(self) -> None:
        pause_s = min(30.0, self.limits.idle_s / 4, self.limits.stall_s / 4)
        self._sweeper = asyncio.get_running_loop().call_later(pause_s, self._sweep)

    def _sweep(self) -> None:
        """Close the idle, cut the stalled; sleeps while nobody is connected."""
        self._sweeper = None
        now = asyncio.get_running_loop().time()
        for connection in tuple(self._connections):
            connection.look_over(now)
        if self._connections:
            self._arm()

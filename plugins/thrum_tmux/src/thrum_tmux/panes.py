"""The tmux servers that our sessions live on, and the pane of each agent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from weakref import WeakValueDictionary

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import ThrumError
from thrum_tmux.control import orphans
from thrum_tmux.control.process import socket_path
from thrum_tmux.control.reader import Reader
from thrum_tmux.live_pane import LivePane
from thrum_tmux.model import PaneRow, SessionRow
from thrum_tmux.server import Server


@dataclass(frozen=True, slots=True)
class Found:
    """A session and the server it lives on."""

    server: Server
    row: SessionRow


class Panes:
    """One for the plugin, shared by whatever looks at panes or types: ``ctx.shared(Panes)``.

    Args:
        ctx: the plugin's context.
        env: the daemon's environment.

    Attributes:
        on_change: called when sessions or panes may be others than before.
    """

    def __init__(self, ctx: PluginContext, *, env: Mapping[str, str] | None = None) -> None:
        self.on_change: list[Callable[[], None]] = []
        self._ctx = ctx
        self._env = dict(os.environ if env is None else env)
        self._servers: dict[str, Server] = {}
        self._reader: Reader | None = None
        self._troubles: dict[str, str] = {}
        self._looked_for: set[str] = set()
        self._typing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # --- servers -----------------------------------------------------------------------------------------------------

    @property
    def server(self) -> Server:
        """The one that ``tmux.socket`` names: new sessions are made there."""
        return self.on(socket_path(self._ctx.settings.socket, env=self._env))

    def on(self, socket: str) -> Server:
        """The server on a socket, by its absolute path."""
        if self._reader is None:
            self._reader = Reader()
        if socket not in self._servers:
            self._servers[socket] = Server(
                socket,
                env=self._env,
                reader=self._reader,
                is_followed=self.is_ours,
                on_change=self._changed,
                use_control=lambda: bool(self._ctx.settings.control_mode),
                log=self._ctx.log,
                mark=orphans.mark(self._ctx.process),
            )
        return self._servers[socket]

    @property
    def servers(self) -> tuple[Server, ...]:
        """Every server that was asked for until now."""
        return tuple(self._servers.values())

    @property
    def troubles(self) -> list[str]:
        """What keeps servers from being asked, or sessions from being heard as they should be."""
        found = [server.trouble for server in self.servers if server.trouble]
        living = {each.server.socket for each in self.managed()}
        told = [why for socket, why in self._troubles.items() if socket in self._looked_for | living]
        return list(dict.fromkeys([*told, *found]))

    async def look(self, sockets: Iterable[str] | None = None) -> None:
        """Know every server as it is now; one that cannot be asked is logged and keeps what was known of it.

        Args:
            sockets: where sessions of ours were made; None: where they were the last time. What is wrong elsewhere, where
                ``tmux.socket`` once pointed, is no trouble.
        """
        if sockets is not None:
            self._looked_for = {self.on(socket).socket for socket in sockets}
        self._looked_for.add(self.server.socket)
        await asyncio.gather(*(self._look(server) for server in self.servers))

    async def name_orphans(self) -> None:
        """Tell in the log what an earlier daemon left attached to our sessions, as of the last look."""
        for server in self.servers:
            ours = {found.row.id for found in self.managed() if found.server is server}
            if not ours:
                continue
            try:
                for pid in await orphans.left(server.process, ours, self._ctx.process):
                    self._ctx.log.warning(
                        "a control client of a daemon that was killed is still attached: PID %d;"
                        " kill %d ends it, once its panes are quiet",
                        pid,
                        pid,
                    )
            except ThrumError as error:
                self._ctx.log.warning("who is attached on %s cannot be told: %s", server.socket, error)

    async def close(self) -> None:
        """Let go of every server; sessions stay as they are."""
        await asyncio.gather(*(server.close() for server in self.servers))
        self._servers.clear()
        if self._reader is not None:
            await asyncio.to_thread(self._reader.close)
            self._reader = None

    # --- sessions and panes ------------------------------------------------------------------------------------------

    def is_ours(self, row: SessionRow) -> bool:
        """Whether this daemon keeps a session: its tags say so."""
        return row.thrum_dir == str(self._ctx.paths.thrum)

    def managed(self) -> list[Found]:
        """The sessions that this daemon keeps, by name, as of the last look."""
        found = [
            Found(server, row)
            for server in self.servers
            for row in server.known.sessions.values()
            if self.is_ours(row)
        ]
        return sorted(found, key=lambda each: each.row.name)

    def session(self, name: str) -> Found | None:
        """A session that this daemon keeps, by its name, as of the last look."""
        return next((found for found in self.managed() if found.row.name == name), None)

    async def of_agent(self, name: str) -> LivePane | None:
        """The pane that an agent lives in; None when it lives in none."""
        for server in self.servers:
            snapshot = await self._look(server)
            for row in snapshot.known.sessions.values():
                if row.agent == name and self.is_ours(row):
                    return self._pane(Found(server, row))
        return None

    async def of_session(self, name: str) -> LivePane | None:
        """The pane of a session that this daemon keeps: its agent's, else its first; None when there is none."""
        for server in self.servers:
            await self._look(server)
        found = self.session(name)
        return self._pane(found) if found is not None else None

    def typing(self, pane: str) -> asyncio.Lock:
        """Held by whoever types into a pane, from the first look until Enter: two at once would mix their lines."""
        return self._typing.setdefault(pane, asyncio.Lock())

    def _pane(self, found: Found) -> LivePane | None:
        known = found.server.known
        row = _agents_pane(found.row, known.panes_of(found.row.id))
        if row is None or known.server is None:
            return None
        return LivePane(found.server, known.server, row)

    async def _look(self, server: Server) -> Server:
        try:
            await server.now()
            self._troubles.pop(server.socket, None)
        except ThrumError as error:
            if self._troubles.get(server.socket) != str(error):  # told once, however often it is looked
                self._ctx.log.warning("%s", error)
            self._troubles[server.socket] = str(error)
        return server

    def _changed(self) -> None:
        for tell in self.on_change:
            tell()


def _agents_pane(session: SessionRow, panes: Iterable[PaneRow]) -> PaneRow | None:
    """The one that was noted for the agent; where none was, the first. A noted one that is gone is none."""
    rows = list(panes)
    if session.agent_pane:
        return next((row for row in rows if row.id == session.agent_pane), None)
    return rows[0] if rows else None

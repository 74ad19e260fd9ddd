"""Sessions as the rest of the plugin handles them: found by name, made, adopted, ended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import Refused, UsageError
from thrum_tmux.errors import ClientLost, ServerGone, SessionMissing, TmuxError
from thrum_tmux.model import PaneRow
from thrum_tmux.names import session_name
from thrum_tmux.panes import Found, Panes
from thrum_tmux.server import Server
from thrum_tmux.session import creation
from thrum_tmux.session.records import Record, Records


class SessionExists(UsageError):
    """A session of that name is there.

    Attributes:
        name: the name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f'session "{name}" already exists; use --force to kill and recreate',
            hint=f"thrum tmux launch {name}, or thrum tmux connect {name}",
        )


class Foreign(UsageError):
    """A session of that name is there, and is not ours to end.

    Attributes:
        name: the name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f'session "{name}" already exists, and thrum did not make it here', hint="choose another name"
        )


class Sessions:
    """One for the plugin: ``ctx.shared(Sessions)``."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self.panes = ctx.shared(Panes)
        self.records = ctx.shared(Records)

    async def find(self, name: str) -> Found | None:
        """A session that this daemon keeps, by its name as it is or as `names.session_name` makes it."""
        await self.look()
        return self.panes.session(name) or self.panes.session(_sanitised(name))

    async def get(self, name: str) -> Found:
        """As `find`.

        Raises:
            SessionMissing: there is none.
        """
        found = await self.find(name)
        if found is None:
            raise SessionMissing(name)
        return found

    async def find_any(self, name: str) -> Found | None:
        """A session of that name on the server where new ones are made, whoever keeps it; ours on any server first."""
        return await self.find(name) or await self.find_where_made(name)

    async def find_where_made(self, name: str) -> Found | None:
        """A session of that name on the server where new ones are made, whoever keeps it."""
        server = self.panes.server
        await server.refresh()  # that another daemon keeps a session now is told by nothing
        row = server.known.named(name) or server.known.named(_sanitised(name))
        return Found(server, row) if row is not None else None

    async def look(self) -> None:
        """Know every server that one of our sessions was made on, as it is now."""
        await self.panes.look(record.socket for record in self.records.all())

    def record_of(self, found: Found) -> Record | None:
        """How a session was made, as far as this machine remembers."""
        name = found.row.record or found.row.name
        remembered = (each for each in self.records.all() if each.socket == found.server.socket)
        return next((each for each in remembered if each.name == name), None)

    async def make(self, record: Record) -> Found:
        """Make the session that *record* describes, on the server that it names.

        Raises:
            SessionExists, Foreign: there is one of that name, ours or somebody else's.
            TmuxError, ServerSilent: tmux cannot; nothing was made.
        """
        server = self.panes.on(record.socket)
        unwanted = await self._foreign(server)
        commands = creation.commands(record, thrum_dir=self._ctx.paths.thrum, unwanted=unwanted)
        try:
            await asyncio.to_thread(server.process.make_folder)
            answer = await asyncio.to_thread(server.process.ask, *commands)
        except TmuxError as error:
            await server.refresh()  # told by nothing, where another daemon made it
            raise self._refusal(error, record.name, server) from error
        session = answer[0][0].partition(" ")[0]
        await self.records.keep(record)
        await server.refresh()
        return Found(server, server.known.sessions[session])

    async def adopt(self, found: Found, pane: PaneRow, *, agent: str, record: Record) -> Found:
        """Keep a session from now on that thrum did not make, or whose agent is another now.

        Raises:
            TmuxError, ServerSilent: tmux cannot.
            Refused: another project keeps it.
        """
        row = found.row
        self.check_ours(found)
        await found.server.ask(
            *creation.adoption(
                row.id, pane.id, agent=agent, record=record.name, thrum_dir=self._ctx.paths.thrum
            )
        )
        await self.records.keep(record)
        await found.server.refresh()
        return Found(found.server, found.server.known.sessions[row.id])

    def check_ours(self, found: Found) -> None:
        """Refuse a session that another project keeps.

        Raises:
            Refused: one does.
        """
        if found.row.thrum_dir and not self.panes.is_ours(found.row):
            raise Refused(
                f'session "{found.row.name}" belongs to another project: {found.row.thrum_dir}',
                hint="create one of this project: thrum tmux create NAME",
            )

    async def end(self, found: Found, *, forget: bool = True) -> None:
        """End a session and all that runs in it; one that is gone already is no error.

        Args:
            forget: do not remember how it was made either.
        """
        life = found.server.known.server
        try:
            await found.server.ask(("kill-session", "-t", found.row.id), near=found.row.id)
        except (ServerGone, ClientLost):
            pass  # our client was in that session, or its last session took the server along
        except TmuxError as error:
            if not str(error).startswith("can't find session"):
                raise
        await found.server.refresh()
        if found.row.id in found.server.known.sessions and found.server.known.server == life:
            raise TmuxError(f'session "{found.row.name}" did not end', hint="try again")
        if forget:
            await self.records.forget(found.row.record or found.row.name, found.server.socket)

    def new_record(self, name: str, cwd: Path, **fields: Any) -> Record:
        """How a new session is made, on the server where new ones are."""
        return Record(name=name, socket=self.panes.server.socket, cwd=cwd, **fields)

    def _refusal(self, error: TmuxError, name: str, server: Server) -> Exception:
        """Why a session could not be made."""
        said = str(error)
        if said.startswith("duplicate session"):
            row = server.known.named(name)
            return SessionExists(name) if row is None or self.panes.is_ours(row) else Foreign(name)
        if "unknown flag" in said or "unknown option" in said or "usage:" in said:
            number = server.process.version
            return TmuxError(
                f"tmux {number} is too old to make sessions: {said}", hint="install tmux 3.2 or newer"
            )
        return error

    async def _foreign(self, server: Server) -> list[str]:
        try:
            (environment,) = await server.ask(("show-environment", "-g"))
        except ServerGone:
            return []
        return creation.foreign(environment)


def _sanitised(name: str) -> str:
    try:
        return session_name(name)
    except UsageError:
        return name

"""One tmux server: what is known of it, and the control clients that hear our sessions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Final

from thrum_kernel.errors import ThrumError
from thrum_tmux import model
from thrum_tmux.control.activity import Activity
from thrum_tmux.control.answers import Answer
from thrum_tmux.control.client import ANSWER_S, ControlClient
from thrum_tmux.control.process import TmuxServer
from thrum_tmux.control.protocol import Notice
from thrum_tmux.control.reader import Reader
from thrum_tmux.control.words import Words
from thrum_tmux.errors import ClientLost, ServerGone
from thrum_tmux.model import SessionRow, Snapshot

FIRST_DELAY_S: Final = 0.1
FORGETTING_S: Final = 0.01
FORGETTING_TRIES: Final = 500
"""How often, and how far apart, the server is asked whether it has forgotten a client."""
LONGEST_DELAY_S: Final = 30.0
STEADY_S: Final = 5.0
"""A client that was attached for so long was not refused."""
POLL_S: Final = 2.0
_NO_SESSIONS: Final = "no current target"
"""What tmux says to a question about anything while it has no sessions at all."""
_CHANGES: Final = frozenset(
    {
        "sessions-changed",
        "session-renamed",
        "layout-change",
        "window-add",
        "window-close",
        "unlinked-window-add",
        "unlinked-window-close",
    }
)
"""Notifications after which the sessions or panes may be others."""


class Server:
    """Used from one loop.

    Args:
        socket: absolute path.
        env: the daemon's environment.
        reader: reads for all control clients.
        is_followed: whether a session is to be heard.
        on_change: called when sessions or panes may be others than before.
        use_control: False: no control clients, output is looked for every two seconds.
        mark: what control clients carry in their environment.

    Attributes:
        activity: when its panes wrote something.
        process: the same server by one process a request.
        trouble: why a session cannot be heard as it should; empty when all is well.
    """

    def __init__(
        self,
        socket: str,
        *,
        env: Mapping[str, str],
        reader: Reader,
        is_followed: Callable[[SessionRow], bool],
        on_change: Callable[[], None] = lambda: None,
        use_control: Callable[[], bool] = lambda: True,
        log: logging.Logger | None = None,
        mark: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.socket = socket
        self.activity = Activity()
        self.process = TmuxServer(socket, env=env)
        self.trouble = ""
        self._reader = reader
        self._is_followed = is_followed
        self._on_change = on_change
        self._use_control = use_control
        self._mark = mark
        self._log = log or logging.getLogger(__name__)
        self._known = Snapshot()
        self._is_fresh = False
        self._refreshing: asyncio.Task[None] | None = None
        self._clients: dict[str, ControlClient] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._attaching: dict[str, asyncio.Event] = {}
        self._withheld: dict[str, asyncio.Event] = {}

    # --- what is known -----------------------------------------------------------------------------------------------

    @property
    def known(self) -> Snapshot:
        """As of the last look."""
        return self._known

    async def now(self) -> Snapshot:
        """As it is now: known already while a control client would have told of a change, else asked for.

        Raises:
            TmuxError, ServerSilent: tmux cannot tell; a server that does not run is no error, it has no sessions.
        """
        if not (self._is_fresh and self._live_client() is not None):
            await self.refresh()
        return self._known

    async def refresh(self) -> None:
        """Look, and hear every session that is to be heard. Raises as `now`.

        Asked for by several at once it is done once; a look that had begun before is no answer, for what the caller just
        did may not be in it.
        """
        if (begun := self._refreshing) is not None:
            await asyncio.wait([begun])
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(self._refreshed)
        await asyncio.shield(self._refreshing)

    async def ask(self, *commands: Words, near: str = "") -> Answer:
        """Run commands in a row; what each printed. *near* is the id of a session whose client is taken if it is there.

        Raises:
            ServerGone: no server runs.
            ClientLost: the connection went meanwhile; `ClientLost.was_sent` is true.
            TmuxError: one failed, and those after it were not run.
            ServerSilent: no answer in time.
        """
        client = self._live_client(near)
        if client is not None:
            try:
                return await client.ask(*commands)
            except ClientLost as lost:
                if lost.was_sent:
                    raise
        return await asyncio.to_thread(self.process.ask, *commands)

    def is_heard(self, session: str) -> bool:
        """Whether a control client hears the session of that id."""
        client = self._clients.get(session)
        return client is not None and client.is_live

    @contextlib.asynccontextmanager
    async def unheard(self, session: str) -> AsyncIterator[None]:
        """Do not hear a session for the length of the block, within which its panes may be respawned.

        A server of tmux 3.3a ends, and all that runs in it, when a pane is respawned whose output a control client has
        not taken yet (tried: ``yes`` in the pane, two times of five).
        """
        released = self._withheld[session] = asyncio.Event()
        try:
            while (attaching := self._attaching.get(session)) is not None:
                await attaching.wait()
            if (client := self._clients.get(session)) is not None:
                await self._let_go(client)
            yield
        finally:
            del self._withheld[session]
            released.set()

    async def _let_go(self, client: ControlClient) -> None:
        """End a client, and wait until the server knows: it forgets a client some time after that has ended."""
        client.leave()
        try:
            async with asyncio.timeout(ANSWER_S):
                await client.ended.wait()
        except TimeoutError:
            client.kill()
            await client.ended.wait()
        for _ in range(FORGETTING_TRIES):
            (known,) = await self._asked(("list-clients", "-F", "#{client_pid}"))
            if str(client.pid) not in known:
                return
            await asyncio.sleep(FORGETTING_S)

    async def close(self) -> None:
        """Let go of all clients; sessions stay as they are."""
        tasks = [*self._followers.values(), *filter(None, (self._refreshing, self._poller))]
        for task in tasks:
            task.cancel()
        clients = list(self._clients.values())
        for client in clients:
            client.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                for client in clients:
                    await client.ended.wait()
        for client in clients:
            client.kill()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- looking -----------------------------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        self._is_fresh = True  # from here on a change is told, and makes it stale again
        before = self._known
        try:
            self._known = model.snapshot(await self._asked(*model.questions()))
        except ServerGone:
            self._known = Snapshot()
        except ThrumError as error:
            if str(error) != _NO_SESSIONS:
                self._is_fresh = False
                raise
            self._known = Snapshot()
        if before.server != self._known.server:
            self.activity.deaf(before.panes)
        self._follow()
        if before != self._known:
            self._on_change()

    async def _asked(self, *questions: Words) -> Answer:
        """What changes nothing may be asked twice."""
        try:
            return await self.ask(*questions)
        except ClientLost:
            return await asyncio.to_thread(self.process.ask, *questions)

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.debug("looking at tmux on %s: %s", self.socket, error)

    def _heard(self, notice: Notice) -> None:
        if notice.name in _CHANGES and self._is_fresh:
            self._is_fresh = False
            self._look_again()

    def _look_again(self) -> None:
        if self._refreshing is not None:
            self._refreshing.add_done_callback(lambda _: self._look_if_stale())
        else:
            self._look_if_stale()

    def _look_if_stale(self) -> None:
        if not self._is_fresh and self._refreshing is None and self._live_client() is not None:
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(self._refreshed)

    def _live_client(self, near: str = "") -> ControlClient | None:
        found = self._clients.get(near)
        if found is not None and found.is_live:
            return found
        return next((client for client in self._clients.values() if client.is_live), None)

    # --- hearing -----------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        wanted = [row for row in self._known.sessions.values() if self._is_followed(row)]
        if not wanted:
            return
        if self._known.version < model.OLDEST_CONTROL:
            major, minor = self._known.version
            self.trouble = (
                f"tmux {major}.{minor} is too old to be heard: 3.2 or newer tells output as it happens"
            )
        elif self._use_control():
            for row in wanted:
                if row.id not in self._followers:
                    self._followers[row.id] = asyncio.create_task(self._keep_hearing(row.id))
            return
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())

    async def _keep_hearing(self, session: str) -> None:
        """Hear a session for as long as it is there and ours."""
        delay = FIRST_DELAY_S
        try:
            while (row := self._known.sessions.get(session)) is not None and self._is_followed(row):
                began = time.monotonic()
                try:
                    await self._hear(row)
                    self.trouble = ""
                except ThrumError as error:
                    self._note(f"session {row.name} cannot be heard: {error}")
                if session not in self._withheld:
                    is_steady = time.monotonic() - began > STEADY_S
                    delay = FIRST_DELAY_S if is_steady else min(delay * 2, LONGEST_DELAY_S)
                    await asyncio.sleep(delay)
                with contextlib.suppress(ThrumError):
                    await self.refresh()
        finally:
            self._followers.pop(session, None)

    async def _hear(self, row: SessionRow) -> None:
        """Attach, and wait until that ends."""
        # Without this the session would end with our client, and the agent in it.
        await self.ask(("set-option", "-t", row.id, "destroy-unattached", "off"))
        client = ControlClient(socket=self.socket, activity=self.activity, on_notice=self._heard)
        try:
            await self._attach(client, row)
            await self._begin(row)
            await client.ended.wait()
        finally:
            client.leave()
            if self._clients.get(row.id) is client:
                del self._clients[row.id]
            self._is_fresh = False
            self.activity.deaf(pane.id for pane in self._known.panes_of(row.id))
            self._on_change()

    async def _attach(self, client: ControlClient, row: SessionRow) -> None:
        while (released := self._withheld.get(row.id)) is not None:
            await released.wait()
        attached = self._attaching[row.id] = asyncio.Event()
        try:
            env = {**self.process.env, **self._mark}
            await client.attach(self.process.program, row.name, env=env, reader=self._reader, expected=row.id)
            self._clients[row.id] = client
        finally:
            del self._attaching[row.id]
            attached.set()

    async def _begin(self, row: SessionRow) -> None:
        """What was written before we heard it is known in whole seconds."""
        client = self._clients[row.id]
        (lines,) = await client.ask(("list-panes", "-s", "-t", row.id, "-F", "#{pane_id} #{window_activity}"))
        for line in lines:
            pane, _, active_at = line.partition(" ")
            self.activity.began(pane, quiet_s=_quiet_since(int(active_at or 0)))
        self._is_fresh = False
        self._look_again()

    async def _poll(self) -> None:
        """Without control clients: one question every two seconds for all panes."""
        while any(map(self._is_followed, self._known.sessions.values())):
            try:
                await self.refresh()
            except ThrumError as error:
                self._note(f"tmux on {self.socket} cannot be asked: {error}")
            for row in self._known.panes.values():
                self.activity.told(row.id, quiet_s=_quiet_since(row.active_at))
            await asyncio.sleep(POLL_S)

    def _note(self, trouble: str) -> None:
        if trouble != self.trouble:
            self._log.warning("%s", trouble)
        self.trouble = trouble


def _quiet_since(active_at: int) -> float:
    """Seconds since *active_at*, at the least: tmux leaves the fraction out."""
    return max(0.0, time.time() - active_at - 1)

"""How texts of agents and of the project leave this machine with the log, and what is done when others come."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from thrum_kernel.agents.roster import Roster
from thrum_kernel.context.sharing import Sharing
from thrum_kernel.errors import DaemonError, Refused, ThrumError
from thrum_kernel.events import Event
from thrum_kernel.events.core import AgentCleanup
from thrum_kernel.gitdir import Place
from thrum_kernel.ids import HybridClock
from thrum_kernel.store.shared import PROJECT, Copy
from thrum_kernel.sync.loop import Travel
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.remote import NO_REMOTE, choose

_log = logging.getLogger(__name__)

SEND_S: Final = 8.0
"""How long a command waits for the exchange; that goes on by itself."""


class GitWay:
    """`context.sharing.Way` through git.

    Args:
        daemon, ids, roster, publisher, travel: of this daemon.
        place: where the project lies in git; None outside.
        refusal: why agents cannot be looked up now.
    """

    def __init__(
        self,
        *,
        daemon: str,
        ids: HybridClock,
        roster: Roster,
        publisher: Publisher,
        travel: Travel,
        place: Place | None,
        refusal: Callable[[], DaemonError | None],
    ) -> None:
        self.daemon = daemon
        self._ids = ids
        self._roster = roster
        self._publisher = publisher
        self._travel = travel
        self._place = place
        self._refusal = refusal

    def new_id(self, above: str) -> str:
        """See `Way`; raises Refused when this machine's clock is more than a day behind *above*."""
        if above and not self._ids.observe(above):
            raise Refused(
                "what was shared before is more than a day ahead of this machine's clock",
                hint="set the clock right, then share it again",
            )
        return self._ids.next_ulid()

    def quiet(self) -> AbstractAsyncContextManager[None]:
        return self._publisher.quiet()

    async def hear(self) -> None:
        if self._travel.reason:
            return
        with contextlib.suppress(TimeoutError, ThrumError):  # `send` tells why
            async with asyncio.timeout(SEND_S):
                await self._travel.force()

    async def send(self) -> str:
        self._travel.heard()
        if self._travel.reason:
            return await asyncio.to_thread(self._why_not)
        try:
            async with asyncio.timeout(SEND_S):
                await self._publisher.cut_now()  # whoever gets the text has to know whose it is
                await self._travel.force()
        except TimeoutError:
            return f"{self._travel.remote} takes long to answer; it travels by itself"
        except ThrumError as error:
            return str(error)
        return self._travel.reason

    def address(self, name: str) -> tuple[str, str]:
        if (refusal := self._refusal()) is not None:
            raise refusal
        agent = self._roster.addressed(name)
        return agent.home, agent.name

    def _why_not(self) -> str:
        if self._place is None or choose(self._place).why_not == NO_REMOTE:
            return "no remote configured"
        return self._travel.reason


class SharingEvents:
    """What is done when other clones shared something, and when an agent is deleted."""

    def __init__(self, sharing: Sharing, travel: Travel, *, roster: Roster) -> None:
        self._sharing = sharing
        self._travel = travel
        self._roster = roster
        self._tasks: set[asyncio.Task[None]] = set()

    def took(self, copies: Sequence[Copy]) -> None:
        """Copies came, in the thread that merges them."""
        if any(copy.owner.endswith(f"/{PROJECT}") for copy in copies):
            self.take_state()

    def take_state(self) -> None:
        """Blocking; a file that cannot be used is told, and keeps nothing else from working."""
        try:
            self._sharing.take_state()
        except ThrumError as error:
            _log.warning("the project's state that others shared was not taken: %s", error)

    def heard(self, event: Event) -> None:
        """A listener of the committer."""
        if isinstance(event, AgentCleanup):
            agent = self._roster.by_incarnation(event.incarnation)
            daemons = {event.origin_daemon, agent.daemon if agent is not None else event.origin_daemon}
            for daemon in sorted(daemons):
                task = asyncio.ensure_future(self._withdraw(daemon, event.agent_id, event.ulid))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait for what `heard` began."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _withdraw(self, daemon: str, name: str, ulid: str) -> None:
        try:
            if await self._sharing.withdraw(daemon, name, ulid):
                self._travel.heard()
        except ThrumError as error:
            _log.warning("what the deleted agent %s shared stays: %s", name, error)

"""One daemon's worth of rooms below messaging, all real but the disk: journals lie in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from thrum_kernel import ids
from thrum_kernel.api import Caller
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.topics import Topics
from thrum_kernel.clock import format_us
from thrum_kernel.commit import Committer
from thrum_kernel.errors import StoreError
from thrum_kernel.events import Event, EventTypes
from thrum_kernel.events.core import CORE_EVENT_TYPES, AgentCleanup, AgentRegister, SessionEnd, SessionStart
from thrum_kernel.ids import HybridClock
from thrum_kernel.messaging import LOCAL_MIGRATIONS, Messaging
from thrum_kernel.messaging.quota import Limits
from thrum_kernel.projection.apply import Projected, Projector
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.local import LocalDb
from thrum_kernel.projection.search import Search

START_US = 1_780_000_000_000_000


class FakeClock:
    """A wall clock that moves a millisecond at each look, and as told."""

    def __init__(self, now_us: int = START_US) -> None:
        self.us = now_us

    def now_us(self) -> int:
        self.us += 1000
        return self.us

    def monotonic(self) -> float:
        return self.us / 1_000_000

    def pass_s(self, seconds: float) -> None:
        self.us += round(seconds * 1_000_000)


class MemoryJournal:
    """A journal of the committer, in a list."""

    def __init__(self, world: World, writer: str) -> None:
        self.writer = writer
        self.lines: list[bytes] = world.log.setdefault(writer, [])

    def append(self, lines: Sequence[bytes]) -> None:
        self.lines.extend(lines)

    def end(self) -> None:
        return


class World:
    """One daemon.

    Attributes:
        log: every line by writer.
        limits: what the settings allow; may be replaced.
        erased: ids that messaging asked to erase; it fails with `erasing_fails` when that is not empty.
        claims: names that a plugin hears.
    """

    def __init__(self, folder: Path, daemon: str, clock: FakeClock) -> None:
        self.folder = folder
        self.daemon = daemon
        self.clock = clock
        self.log: dict[str, list[bytes]] = {}
        self.limits = Limits()
        self.erased: list[str] = []
        self.erasing_fails = ""
        self.claims: set[str] = set()
        self.elsewhere: set[str] = set()
        self.sessions: dict[str, str] = {}
        self.incarnations: dict[str, str] = {}
        self.types = EventTypes(CORE_EVENT_TYPES)
        self.topics = Topics()
        self.local = LocalDb(folder / "local.db", version="0")
        self.local.migrate(LOCAL_MIGRATIONS)
        self._ids = HybridClock(clock)
        self._open()

    def _open(self) -> None:
        self.cache = Cache(self.folder / f"messages-{ids.HybridClock(self.clock).next_ulid()}.db")
        self.projector = Projector(self.cache, self.types, clock=self.clock)
        self.committer = Committer(
            daemon_id=self.daemon,
            clock=self.clock,
            ids=self._ids,
            types=self.types,
            projector=self.projector,
            journals=lambda writer, previous: MemoryJournal(self, writer),
            still_ours=lambda: None,
            in_doubt=lambda why: None,
        )
        self.search = Search(self.cache, self.folder / "search.db")
        self.messaging = Messaging(
            cache=self.cache,
            local=self.local,
            committer=self.committer,
            clock=self.clock,
            archives=self.folder / "archive",
            search=self.search,
            limits=lambda: self.limits,
            publish=self.topics.publish,
            listeners=self.topics.subscribers,
            claimed=self.claims.__contains__,
            only_looks=lambda caller: caller.agent_id in self.elsewhere,
            erase=self._erase,
        )
        self.bus = Dispatcher(recall=self.committer.events_of_request)
        for method in self.messaging.methods():
            self.bus.add(method)

    async def _erase(self, message_ids: Sequence[str]) -> None:
        if self.erasing_fails:
            raise StoreError(self.erasing_fails)
        self.erased += message_ids

    async def restart(self) -> None:
        """A new start of the daemon: another cache, made from the log; `local.db` stays."""
        await self.committer.close()
        await self.search.close()
        self.cache.close()
        self._open()
        self.project_log()
        self.messaging.rebuilt()

    def project_log(self) -> None:
        for writer, lines in self.log.items():
            items = [self._item(writer, self.daemon, line) for line in lines]
            self.committer.requests.add(item.event for item in items if isinstance(item.event, Event))
            self.projector.apply(items)

    async def close(self) -> None:
        await self.messaging.close()
        await self.committer.close()
        await self.search.close()
        self.cache.close()
        self.local.close()

    async def register(
        self, name: str, role: str = "implementer", *, kind: str = "agent", session: bool = True
    ) -> str:
        """Register an agent and start its session; gives its incarnation."""
        event = self.committer.draft(
            AgentRegister,
            agent_id=name,
            kind=kind,
            role=role,
            module="core",
            hostname=self.daemon.removeprefix("d_").lower(),
        )
        await self.committer.commit(event)
        self.incarnations[name] = event.ulid
        if session:
            await self.start_session(name)
        return event.ulid

    async def start_session(self, name: str) -> str:
        event = self.committer.draft(
            SessionStart, session_id="", agent_id=name, incarnation=self.incarnations[name]
        )
        event.session_id = ids.session_id(event.ulid)
        await self.committer.commit(event)
        self.sessions[name] = event.session_id
        return event.session_id

    async def end_session(self, name: str) -> None:
        await self.committer.commit(
            self.committer.draft(
                SessionEnd,
                session_id=self.sessions.pop(name),
                agent_id=name,
                incarnation=self.incarnations[name],
            )
        )

    async def delete_agent(self, name: str) -> None:
        await self.committer.commit(
            self.committer.draft(AgentCleanup, agent_id=name, incarnation=self.incarnations[name])
        )

    async def call(
        self,
        who: str,
        method: str,
        *,
        request_id: str = "",
        shown: Callable[[Callable[[], None]], None] | None = None,
        subscribe: Callable[[str, str], None] | None = None,
        **params: Any,
    ) -> Any:
        """Call a method as an agent, as ``user:…``, as ``kernel:…`` or as nobody (empty)."""
        return await self.bus.call(
            method, params, caller=caller(who), request_id=request_id, shown=shown, subscribe=subscribe
        )

    async def send(self, who: str, content: str = "hello", **params: Any) -> str:
        """Send a message; gives its id."""
        result = await self.call(who, "message.send", content=content, **params)
        return str(result["message_id"])

    async def texts(self, who: str, **params: Any) -> list[str]:
        """What the inbox of an agent says, newest first; looks only."""
        page = await self.call(who, "message.list", for_agent=who, page_size=100, **params)
        return [message["body"]["content"] for message in page["messages"]]

    def take_from(self, other: World, *, only: Callable[[Event], bool] = lambda event: True) -> None:
        """Receive the log of another daemon, as a sync does; what *only* leaves out comes another time."""
        for writer, lines in other.log.items():
            items = [self._item(writer, other.daemon, line) for line in lines]
            for item in items:
                if not isinstance(item.event, Event) or not only(item.event):
                    continue
                self._ids.observe(item.event.ulid)
                for event in self.projector.apply([item]).events:
                    for listener in self.committer.listeners:
                        listener(event)

    def _item(self, writer: str, daemon: str, line: bytes) -> Projected:
        event = self.types.decode(line)
        assert isinstance(event, Event)
        return Projected(writer, daemon, event.sequence, event, line)


def caller(who: str) -> Caller:
    if not who:
        return Caller(kind="anonymous")
    if who.startswith("user:"):
        return Caller(kind="user", agent_id=who, source="token")
    if who.startswith("kernel:"):
        return Caller(kind="kernel", agent_id=who.removeprefix("kernel:"), source="kernel")
    return Caller(kind="agent", agent_id=who, source="worktree")


def stamp(clock: FakeClock, offset_s: float = 0) -> str:
    return format_us(clock.us + round(offset_s * 1_000_000))

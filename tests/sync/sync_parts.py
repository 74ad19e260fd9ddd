"""A committer on a real journal without projection, and a log in a folder of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from thrum_kernel.clock import SystemClock, format_us
from thrum_kernel.events import Event, EventTypes
from thrum_kernel.events.core import (
    CORE_EVENT_TYPES,
    AgentRef,
    Body,
    GroupCreate,
    MessageCreate,
    MessageDelete,
    Subject,
)
from thrum_kernel.ids import HybridClock, event_id
from thrum_kernel.settings.core import Sync
from thrum_kernel.settings.document import Setting
from thrum_kernel.store.disk import Disk, OsDisk
from thrum_kernel.store.journal import Journal, Previous, recover
from thrum_kernel.store.ranges import Tree, read_log
from thrum_kernel.store.rollup import FAN_IN
from thrum_kernel.sync.cutter import Cutter
from thrum_kernel.sync.exposure import Gate
from thrum_kernel.sync.loop import Travel
from thrum_kernel.sync.process import Runner
from thrum_kernel.sync.publish import Publisher

DAEMON = "d_01JABCDEFGHJKMNPQRSTVWXYZ0"
TYPES = EventTypes(CORE_EVENT_TYPES)
MESSAGE_TYPES = frozenset(kind.name for kind in TYPES if kind.shard == "messages")


class StepClock(SystemClock):
    """The wall clock counts seconds from a fixed time, one for each look."""

    def __init__(self) -> None:
        self.now = 1_790_000_000_000_000

    def now_us(self) -> int:
        self.now += 1_000_000
        return self.now


class Committer:
    """`thrum_kernel.commit.Committer` without projection and group commit."""

    def __init__(self, tree: Tree, previous: Previous | None, *, daemon: str = DAEMON) -> None:
        self.durable = ("", 0)
        self.daemon = daemon
        self.listeners: list[Callable[[Event], None]] = []
        self.clock = StepClock()
        self.ids = HybridClock(self.clock)
        self._tree = tree
        self._previous = previous
        self._journal: Journal | None = None

    def draft(self, cls: type[Any], **fields: Any) -> Any:
        stamp = format_us(self.clock.now_us())
        return cls(
            event_id=event_id(self.ids.next_ulid()), timestamp=stamp, origin_daemon=self.daemon, **fields
        )

    async def commit(self, *events: Event, request_id: str = "") -> None:
        if self._journal is None:
            writer = self.ids.next_ulid()
            self._journal = Journal.open_new(
                self._tree.disk,
                self._tree.journal,
                writer=writer,
                daemon=self.daemon,
                previous=self._previous,
            )
        for sequence, event in enumerate(events, self._journal.last + 1):
            event.sequence = sequence
        await asyncio.to_thread(self._journal.append, [TYPES.encode(event) for event in events])
        self.durable = (self._journal.writer, self._journal.last)
        for event in events:
            for listener in self.listeners:
                listener(event)

    async def rotate(self) -> None:
        if self._journal is not None:
            self._previous, self._journal = self._journal.end(), None

    async def send(self, text: str, agent: str = "alice") -> MessageCreate:
        message: MessageCreate = self.draft(
            MessageCreate, agent_id=agent, incarnation=agent, body=Body(content=text)
        )
        await self.commit(message)
        return message

    async def other(self) -> None:
        await self.commit(self.draft(GroupCreate, group_id="g", name="g", created_by="x"))

    async def delete(self, message: MessageCreate) -> None:
        subject = Subject(
            timestamp=message.timestamp, author=AgentRef(message.agent_id, self.daemon, message.incarnation)
        )
        await self.commit(
            self.draft(
                MessageDelete,
                message_id=f"msg_{message.ulid}",
                agent_id=message.agent_id,
                incarnation=message.incarnation,
                subject=subject,
            )
        )


class House:
    """A log with its committer, cutter and publisher; `House(root)` again is a restart."""

    def __init__(
        self,
        root: Path,
        *,
        disk: Disk | None = None,
        interval_s: float = 60.0,
        daemon: str = DAEMON,
        fan_in: int = FAN_IN,
    ) -> None:
        self.root = root
        self.daemon = daemon
        self.tree = Tree(disk or OsDisk(), root)
        found = recover(self.tree.disk, self.tree.journal, self.tree.quarantine)
        last = found.journals[-1] if found.journals else None
        self.committer = Committer(
            self.tree, Previous(last.header.writer, last.last) if last else None, daemon=daemon
        )
        self.cutter = Cutter(
            self.tree, daemon=daemon, message_types=MESSAGE_TYPES, ended=found.journals, fan_in=fan_in
        )
        self.publisher = Publisher(
            cutter=self.cutter, committer=self.committer, clock=SystemClock(), interval_s=lambda: interval_s
        )
        self.committer.listeners.append(self.publisher.heard)

    def lines(self) -> list[bytes]:
        return [line[3] for batch in read_log(self.tree, message_types=MESSAGE_TYPES) for line in batch]

    def journals(self) -> list[str]:
        return sorted(path.name for path in self.tree.journal.iterdir())

    def holds(self, text: str) -> list[Path]:
        """Every file below the root that has *text* in it."""
        return [
            path for path in self.root.rglob("*") if path.is_file() and text.encode() in path.read_bytes()
        ]


def staying_here(root: Path, publisher: Publisher) -> Travel:
    """What carries a log that the configuration keeps on this machine."""

    def nobody(choice: object) -> NoReturn:
        raise AssertionError("nothing is exchanged")

    gate = Gate(environ={}, clock=SystemClock(), settings=Sync, keep=lambda found, name: None)
    return Travel(
        settings=lambda key: Setting(key, True, "default"),
        place=None,
        runner=Runner(root / "repo.git", root / "a-sync", environ={}),
        gate=gate,
        make=nobody,
        take_over=nobody,
        forget=lambda: None,
        publisher=publisher,
        clock=SystemClock(),
    )

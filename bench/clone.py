"""A clone with a log and without a daemon: the real journal, publisher and exchange, so that a sync alone is measured.

Whoever writes is one of fifty agents of this clone's daemon. What the daemon does beside it (projecting, answering) is
left out; a merge that brings lines only counts them.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.prose import Prose
from thrum_kernel import gitdir
from thrum_kernel.clock import SystemClock, format_us
from thrum_kernel.events import Event, EventTypes, core
from thrum_kernel.ids import HybridClock, event_id
from thrum_kernel.settings.core import Sync
from thrum_kernel.store.disk import OsDisk
from thrum_kernel.store.journal import Journal, Previous, recover
from thrum_kernel.store.tree import Tree
from thrum_kernel.store.units import Unit
from thrum_kernel.sync.cutter import Cutter
from thrum_kernel.sync.exchange import Exchange
from thrum_kernel.sync.history import History
from thrum_kernel.sync.merge import Merger
from thrum_kernel.sync.process import Runner
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.remote import Choice, Remote, choose
from thrum_kernel.sync.repository import Repository

DAEMON = "d_01JZZZZZZZZZZZZZZZZZZZZZZA"
AGENTS = 50
TYPES = EventTypes(core.CORE_EVENT_TYPES)
MESSAGE_TYPES = frozenset(kind.name for kind in TYPES if kind.shard == "messages")


class Writers:
    """Draws the lines of a log: registrations of all agents first, then messages, none of them read."""

    def __init__(self, seed: int = 7) -> None:
        self._clock = SystemClock()
        self._ids = HybridClock(self._clock)
        self._prose = Prose(seed)
        self._random = random.Random(seed)
        self._incarnations: list[str] = []

    def registrations(self) -> Iterator[Event]:
        for number in range(AGENTS):
            event = core.AgentRegister(
                **self._envelope(), agent_id=_name(number), role="tester", module="all"
            )
            self._incarnations.append(event.ulid)
            yield event

    def messages(self, count: int) -> Iterator[Event]:
        """*count* messages; an author is as good as any other."""
        for _ in range(count):
            author, reader = (self._random.randrange(AGENTS) for _ in range(2))
            yield core.MessageCreate(
                **self._envelope(),
                agent_id=_name(author),
                incarnation=self._incarnations[author],
                session_id=f"ses_{self._incarnations[author]}",
                body=core.Body(content=self._prose.message()),
                recipients=[core.Recipient(_name(reader), DAEMON, self._incarnations[reader])],
                audience=[core.Label("agent", _name(reader))],
            )

    def new_writer(self) -> str:
        return self._ids.next_ulid()

    def _envelope(self) -> dict[str, str]:
        stamp = format_us(self._clock.now_us())
        return {"event_id": event_id(self._ids.next_ulid()), "timestamp": stamp, "origin_daemon": DAEMON}


class _Counting(Runner):
    """Counts what it starts."""

    started = 0

    def _start(self, *args: Any) -> subprocess.Popen[bytes]:
        self.started += 1
        return super()._start(*args)


class Clone:
    """One start of a daemon in the user's clone at *repo*; another one is a restart, once this one has ended.

    Args:
        repo: has a remote.
        env: of every git process.
        writers: whose lines are written here.
        daemon: whose files are rolled up here; another one only reads.

    Attributes:
        exchange: with the remote.
        publisher, tree, repository: of this clone.
    """

    def __init__(self, repo: Path, env: Mapping[str, str], writers: Writers, *, daemon: str = DAEMON) -> None:
        self.folder = repo / ".git" / "thrum-sync"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._writers = writers
        self.tree = Tree(OsDisk(), self.folder)
        found = recover(self.tree.disk, self.tree.journal, self.tree.quarantine)
        last = found.journals[-1] if found.journals else None
        self._previous = Previous(last.header.writer, last.last) if last else None
        self._journal: Journal | None = None
        self.durable = ("", 0)
        self.cutter = Cutter(self.tree, daemon=daemon, message_types=MESSAGE_TYPES, ended=found.journals)
        clock = SystemClock()
        self.publisher = Publisher(cutter=self.cutter, committer=self, clock=clock, interval_s=lambda: 60.0)
        published = self.folder / "a-sync"
        self._runner = runner = _Counting(self.folder / "repo.git", published, environ=env)
        choice: Choice = choose(gitdir.locate(repo))
        self.repository = Repository(self.folder / "repo.git", published, runner=runner)
        self.exchange = Exchange(
            remote=Remote(choice, runner=runner, cwd=repo),
            repository=self.repository,
            runner=runner,
            merger=Merger(self.tree, self.repository, daemon=daemon),
            cutter=self.cutter,
            publisher=self.publisher,
            ingest=self,
            history=History(
                self.folder / "history.json", settings=lambda: Sync(reroot_commits=0), clock=clock
            ),
            clock=clock,
            name="bench",
        )
        self.publisher.on_changed.append(self._changed)

    @property
    def started(self) -> int:
        """How many git processes were started."""
        return self._runner.started

    def write(self, events: Iterator[Event]) -> list[bytes]:
        """Make *events* durable, as the committer does; their lines."""
        if self._journal is None:
            self._journal = Journal.open_new(
                self.tree.disk,
                self.tree.journal,
                writer=self._writers.new_writer(),
                daemon=DAEMON,
                previous=self._previous,
            )
        lines = []
        for sequence, event in enumerate(events, self._journal.last + 1):
            event.sequence = sequence
            lines.append(TYPES.encode(event))
        self._journal.append(lines)
        self.durable = (self._journal.writer, self._journal.last)
        return lines

    async def rotate(self) -> None:
        """End the journal; see `publish.Journalling`."""
        if self._journal is not None:
            self._previous, self._journal = self._journal.end(), None

    def end(self) -> None:
        """The daemon stops."""
        if self._journal is not None:
            self._journal.end()

    async def sync(self) -> None:
        """What follows a publish in the background: cut, look, commit, push."""
        await self.publisher.cut_now()
        await self.exchange.run()

    async def collect(self) -> None:
        """What ``sync gc`` does."""
        await self.publisher.cut_now()
        await self.publisher.roll_up_all()
        await self.exchange.run(anew=True)
        await asyncio.to_thread(self.exchange.clear_out)

    async def take(self, units: Sequence[Unit]) -> int:
        return sum(unit.lines for unit in units)

    def _changed(self) -> None:
        self.exchange.has_news = True


def _name(number: int) -> str:
    return f"agent{number}"

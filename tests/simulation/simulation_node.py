"""One daemon of the simulation: the real rooms from journal to messaging, on a disk that forgets what was not synced.

Composed as `daemon.main` does it, less what is no part of this: sockets, commands, plugins, full-text search, git.
"""

from __future__ import annotations

import asyncio
import functools
import random
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulation_loop import InlineFolding, InlineJobs, InlineWriting, SimulatedLoop
from simulation_remote import Hub, MemoryRemote, MemoryRepository, NoProcesses

from thrum_kernel import ids, paths
from thrum_kernel.agents import LOCAL_MIGRATIONS as AGENTS_MIGRATIONS
from thrum_kernel.agents import Agents
from thrum_kernel.agents.telling import nobody_hears
from thrum_kernel.api import Caller
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.clock import format_us
from thrum_kernel.commit import Committer
from thrum_kernel.daemon.projecting import ProjectionKeeper
from thrum_kernel.daemon.recent import recent_requests
from thrum_kernel.daemon.renewing import Doubt, publish_rest
from thrum_kernel.errors import StoreError
from thrum_kernel.events import EventTypes
from thrum_kernel.events.core import CORE_EVENT_TYPES
from thrum_kernel.messaging import LOCAL_MIGRATIONS as MESSAGING_MIGRATIONS
from thrum_kernel.messaging import Messaging
from thrum_kernel.projection import queries
from thrum_kernel.projection.apply import Projector
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.local import LocalDb
from thrum_kernel.settings.core import SecretPattern, Sync
from thrum_kernel.store.journal import Journal, Previous, recover
from thrum_kernel.store.tree import Tree
from thrum_kernel.sync.cutter import Cutter
from thrum_kernel.sync.exchange import Exchange, Exchanged
from thrum_kernel.sync.history import History
from thrum_kernel.sync.ingest import Ingest
from thrum_kernel.sync.merge import Merger
from thrum_kernel.sync.namesake import Namesakes
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.purge import PurgeCounts, Purger
from thrum_kernel.sync.releasing import HeldMethods
from thrum_kernel.sync.secret_scan import SecretScan
from thrum_kernel.testing.disk import FaultDisk

ROOT = Path("/T")
FAN_IN = 3
MOST_COMMITS = 7
"""After about so many commits the history of the branch begins anew."""

SECRETS = Sync(secret_patterns=[SecretPattern(id="story-key", regex="text-[0-9]{5}7")])
"""Every tenth text is a credential."""

MIGRATIONS = (*AGENTS_MIGRATIONS, *MESSAGING_MIGRATIONS)
TYPES = EventTypes(CORE_EVENT_TYPES)
MESSAGE_TYPES = frozenset(kind.name for kind in TYPES if kind.shard == "messages")


@functools.cache
def empty_databases() -> tuple[bytes, bytes]:
    """The files `messages.db` and `local.db` with all their tables, made once: that takes as long as a whole story."""
    with tempfile.TemporaryDirectory() as folder:
        cache_db, local_db = Path(folder, "messages.db"), Path(folder, "local.db")
        Cache(cache_db).close()
        local = LocalDb(local_db, version="simulated", jobs=InlineJobs)
        local.migrate(MIGRATIONS)
        local.close()
        return cache_db.read_bytes(), local_db.read_bytes()


class PowerCut(BaseException):
    """The power goes at this call of the disk; every later one fails likewise."""


class WorldClock:
    """The time that all daemons live in."""

    def __init__(self, us: int) -> None:
        self.us = us

    def pass_s(self, seconds: float) -> None:
        self.us += round(seconds * 1_000_000)


class NodeClock:
    """What one machine believes the time to be; each look takes seven microseconds."""

    def __init__(self, world: WorldClock) -> None:
        self.skew_s = 0.0
        self._world = world

    def now_us(self) -> int:
        self._world.us += 7
        return self._world.us + round(self.skew_s * 1_000_000)

    def monotonic(self) -> float:
        return self._world.us / 1_000_000


class Machine:
    """What outlives a daemon: a disk, a folder for databases and identity files, a clock, and the way to the remote.

    Attributes:
        dies_in: after so many changing calls of the disk the power goes; None for never.
        fails_in: after so many calls of the disk one fails; None for never.
        is_cut: whether the remote cannot be reached.
        refs: of our own repository.
        image: the disk as it is found after that.
    """

    def __init__(self, folder: Path, *, name: str, hub: Hub, clock: NodeClock, rng: random.Random) -> None:
        self.name = name
        self.folder = folder
        self.hub = hub
        self.clock = clock
        self.rng = rng
        self.disk = FaultDisk(ROOT)
        self.daemon = self.new_daemon_id()
        self.dies_in: int | None = None
        self.fails_in: int | None = None
        self.image: FaultDisk | None = None
        self.is_cut = False
        self.refs: dict[str, str] = {}
        (folder / ".thrum").mkdir(parents=True)
        (folder / ".thrum/config.json").write_text("{}")
        self.paths = paths.find(folder, env={})
        for path, content in zip((self.paths.cache_db, self.paths.local_db), empty_databases(), strict=True):
            path.parent.mkdir()
            path.write_bytes(content)

    def copied(self, folder: Path, *, name: str, clock: NodeClock) -> Machine:
        """The same machine once more, as a snapshot of it is started elsewhere: one id, two of them."""
        machine = Machine(folder, name=name, hub=self.hub, clock=clock, rng=self.rng)
        shutil.rmtree(folder)
        shutil.copytree(self.folder, folder)
        machine.disk = self.disk.crashed(self.rng)
        machine.daemon, machine.refs = self.daemon, dict(self.refs)
        return machine

    def new_daemon_id(self) -> str:
        """An id that no daemon has."""
        return ids.daemon_id(ids.encode_ulid(self.clock.now_us() // 1000 << 80 | self.rng.getrandbits(64)))

    def watch(self) -> None:
        """Count the calls of the present disk."""
        self.disk.before_call = self._before_call

    def heal(self) -> None:
        """Nothing fails from now on."""
        self.is_cut, self.dies_in, self.fails_in = False, None, None

    def swap_disk(self) -> None:
        """Go on with what the power cut left."""
        assert self.image is not None
        self.disk, self.image, self.dies_in = self.image, None, None

    def _before_call(self, disk: FaultDisk, verb: str) -> None:
        if self.image is not None:
            raise PowerCut
        if self.fails_in is not None:
            self.fails_in -= 1
            if self.fails_in <= 0:
                self.fails_in = None
                raise StoreError(f"cannot {verb}: Input/output error")
        if self.dies_in is None or verb in ("read", "list", "size"):
            return
        self.dies_in -= 1
        if self.dies_in <= 0:
            self.image = disk.crashed(self.rng if self.rng.random() < 0.8 else None)
            raise PowerCut


class Node:
    """One start of a daemon on a machine; `call` goes through the real dispatcher.

    Raises:
        PowerCut, StoreError: the machine does not let it start.
    """

    def __init__(self, machine: Machine, loop: SimulatedLoop) -> None:
        self.machine = machine
        machine.watch()
        clock, where = machine.clock, machine.paths
        self.tree = Tree(machine.disk, ROOT)
        self.recovered = recover(machine.disk, self.tree.journal, self.tree.quarantine)
        self.ids = ids.HybridClock(clock, random_bytes=machine.rng.randbytes)
        self.local = LocalDb(where.local_db, version="simulated", jobs=InlineJobs)
        self.local.migrate(MIGRATIONS)
        self.cache = Cache(where.cache_db, beside=InlineFolding)
        self.projector = Projector(self.cache, TYPES, clock=self.ids)
        last = self.recovered.journals[-1] if self.recovered.journals else None
        self.committer = Committer(
            daemon_id=machine.daemon,
            clock=clock,
            ids=self.ids,
            types=TYPES,
            projector=self.projector,
            journals=self._open_journal,
            still_ours=lambda: None,
            in_doubt=lambda why: self.keeper.want_rebuild(why),
            previous=(last.header.writer, last.last) if last else None,
            writing=InlineWriting(loop),
        )
        self.keeper = ProjectionKeeper(
            cache=self.cache,
            projector=self.projector,
            tree=self.tree,
            types=TYPES,
            message_types=MESSAGE_TYPES,
            clock=clock,
            durable=lambda: self.committer.durable,
        )
        self._compose_rooms()
        self._compose_sync()
        self.keeper.rebuilt += [self._observe_log, self.messaging.rebuilt, self.agents.world.invalidate]

    def _compose_rooms(self) -> None:
        machine = self.machine
        self.agents = Agents(
            cache=self.cache,
            local=self.local,
            committer=self.committer,
            clock=machine.clock,
            paths=machine.paths,
            hostname=machine.name,
            repo_id="r_SIMULATED",
            start_of=lambda pid: None,
        )
        self.messaging = Messaging(
            cache=self.cache,
            local=self.local,
            committer=self.committer,
            clock=machine.clock,
            archives=machine.folder / "archive",
            erase=self._erase,
        )
        self.committer.listeners.append(self.agents.on_event)
        self.bus = Dispatcher(recall=self.committer.events_of_request, state=self.keeper.refusal)
        for method in (*self.messaging.methods(), *self.agents.methods()):
            self.bus.add(method)

    def _compose_sync(self) -> None:
        machine = self.machine
        self.secrets = secrets = SecretScan(lambda: SECRETS)
        self.doubt = Doubt(lambda: None)
        namesakes = Namesakes(
            self.tree,
            since=format_us(machine.clock.now_us()),
            current=lambda: self.committer.writer,
            found=self.doubt.heed,
        )
        self.cutter = Cutter(
            self.tree,
            daemon=machine.daemon,
            message_types=MESSAGE_TYPES,
            ended=self.recovered.journals,
            fan_in=FAN_IN,
            scan=secrets.matched,
        )
        self.publisher = Publisher(
            cutter=self.cutter,
            committer=self.committer,
            clock=machine.clock,
            interval_s=lambda: 60.0,
            before_cut=(self.messaging.journal_receipts, self.agents.journal_contexts),
        )
        self.publisher.on_changed.append(self._has_news)
        purger = Purger(
            publisher=self.publisher,
            cutter=self.cutter,
            committer=self.committer,
            clock=machine.clock,
            count=self._count_before,
            rebuild_cache=self.keeper.rebuild,
        )
        held = HeldMethods(
            cutter=self.cutter,
            publisher=self.publisher,
            committer=self.committer,
            clock=machine.clock,
            excerpt=secrets.excerpt,
            tell_again=self.messaging.receipts.tell_again,
        )
        self.publisher.before_cut.insert(0, held.let_erased_go)
        for method in (*purger.methods(), *held.methods()):
            self.bus.add(method)
        ingest = Ingest(
            projector=self.projector,
            ids=self.ids,
            types=TYPES,
            tree=self.tree,
            committer=self.committer,
            projected=lambda: queries.projected(self.cache),
            rebuild=self.keeper.rebuild,
            catch_up=self.keeper.catch_up,
            in_doubt=self.keeper.want_rebuild,
            daemon=machine.daemon,
            tell=nobody_hears,
        )
        repository = MemoryRepository(machine.hub, self.tree, machine.refs)
        history = History(
            machine.folder / "history.json",
            settings=lambda: Sync(reroot_commits=MOST_COMMITS),
            clock=machine.clock,
            spread=lambda: machine.rng.uniform(1.0, 1.25),
        )
        self.history = history
        purger.on_done.append(history.owe)
        self.remote = MemoryRemote(machine.hub, repository, machine.rng)
        self.exchange = Exchange(
            remote=self.remote,
            repository=repository,
            runner=NoProcesses(),
            merger=Merger(
                self.tree,
                repository,
                daemon=machine.daemon,
                is_ahead=lambda ulid: not self.ids.observe(ulid),
            ),
            cutter=self.cutter,
            publisher=self.publisher,
            ingest=ingest,
            history=history,
            clock=machine.clock,
            name=machine.name,
            pause=self._pause,
            watch=namesakes.look,
        )

    async def start(self) -> None:
        """Come into step with the log."""
        machine = self.machine
        self.committer.requests.add(
            recent_requests(
                self.tree,
                TYPES,
                daemon_id=machine.daemon,
                now_us=machine.clock.now_us(),
                message_types=MESSAGE_TYPES,
            )
        )
        await self.keeper.start()
        await self.agents.reconcile()
        await self.publisher.cut_now()

    async def stop(self) -> None:
        """End as a daemon does."""
        await self.messaging.close()
        await self.agents.close()
        await self.keeper.close()
        await self.committer.close()
        self.drop()

    async def say_the_rest(self) -> None:
        """What a daemon does before it gives up its id, as `daemon.process` has it."""
        await self.messaging.journal_receipts()
        await self.publisher.cut_now()

    def renew(self) -> None:
        """Give up the id; the daemon has stopped."""
        machine = self.machine
        publish_rest(self.tree, machine.daemon, MESSAGE_TYPES, scan=self.secrets.matched)
        machine.daemon = machine.new_daemon_id()

    def drop(self) -> None:
        """Close the databases; all that is left of a daemon whose power went."""
        self.cache.close()
        self.local.close()

    async def call(self, agent: str, method: str, *, request_id: str = "", **params: Any) -> Any:
        """A method's result, for an agent of this daemon."""
        folder = self.machine.folder
        caller = (
            Caller("agent", agent, "worktree", worktree=folder, cwd=folder)
            if agent
            else Caller("kernel", "daemon", "kernel")
        )
        return await self.bus.call(method, params, caller=caller, request_id=request_id)

    async def publish(self) -> int:
        """What the publish loop does."""
        return await self.publisher.cut_now()

    async def travel(self, *, anew: bool = False) -> Exchanged:
        """What the sync loop does; *anew* as `sync gc` asks for it."""
        self.remote.is_cut = self.machine.is_cut
        return await self.exchange.run(anew=anew)

    def forget_cache(self) -> None:
        """Have the next start make the cache anew."""
        for path in self.cache.path.parent.glob("messages.db*"):
            path.unlink()

    def keep_cache(self, aside: Path) -> None:
        """A copy of the cache as it is, for a power cut that takes it back to this."""
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(self.cache.path.parent, aside)

    def _open_journal(self, writer: str, before: tuple[str, int] | None) -> Journal:
        return Journal.open_new(
            self.tree.disk,
            self.tree.journal,
            writer=writer,
            daemon=self.machine.daemon,
            previous=Previous(*before) if before else None,
        )

    async def _erase(self, message_ids: Sequence[str]) -> None:
        await self.publisher.cut_now()
        self.history.owe()
        await self.cache.scrubbed()

    async def _pause(self, seconds: float) -> None:
        for _ in range(self.machine.rng.randrange(8)):
            await asyncio.sleep(0)

    def _count_before(self, cutoff_us: int) -> PurgeCounts:
        rows = self.cache.read(
            "SELECT session_id FROM session WHERE started_us < ? AND ended_us IS NOT NULL", (cutoff_us,)
        )
        return PurgeCounts(messages=0, sessions=tuple(row[0] for row in rows))

    def _has_news(self) -> None:
        self.exchange.has_news = True

    def _observe_log(self) -> None:
        for ulid in queries.newest_ulids(self.cache):
            self.ids.observe(ulid)

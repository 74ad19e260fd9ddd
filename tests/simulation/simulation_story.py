"""What happens in one simulation: machines, daemons, people, faults, all chosen by one random generator.

A story is a number of steps; each step is one thing somebody does, or several daemons exchanging at once. Whatever a
daemon answers goes into the ledger; what it did not answer since its power went is noted as unsure.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from simulation_ledger import Ledger
from simulation_loop import SimulatedLoop
from simulation_node import Machine, Node, NodeClock, PowerCut, WorldClock
from simulation_remote import Hub

from thrum_kernel.errors import StoreError, ThrumError

START_US = 1_790_000_000_000_000
HOUR_S = 3600.0


class Refusal:
    """What an attempt gives that was refused: nothing happened."""

    def __init__(self, error: ThrumError) -> None:
        self.error = error


class Unknown:
    """What an attempt gives whose answer never came."""


class Story:
    """The world, and what happens in it.

    Attributes:
        machines, nodes: by index; a node is the daemon that runs there now.
        trace: what happened, a line a step; two runs of one seed have the same.
        has_copies: whether a machine was copied.
        faults: what went wrong that must never: a violation each.
    """

    def __init__(self, seed: int, folder: Path, loop: SimulatedLoop, rng: random.Random) -> None:
        self.seed = seed
        self.rng = rng
        self.ledger = Ledger()
        self.clock = WorldClock(START_US)
        self.hub = Hub()
        self.machines: list[Machine] = []
        self.nodes: list[Node] = []
        self.trace: list[str] = []
        self.faults: list[str] = []
        self.has_copies = False
        self._folder = folder
        self.loop = loop
        self._requests = 0

    # machines

    async def add_machine(self) -> int:
        """One more clone with its daemon; its index."""
        number = len(self.machines)
        clock = NodeClock(self.clock)
        clock.skew_s = self.rng.choice((0.0, self.rng.uniform(-HOUR_S, HOUR_S)))
        machine = Machine(
            self._folder / f"m{number}", name=f"m{number}", hub=self.hub, clock=clock, rng=self.rng
        )
        self.machines.append(machine)
        node = Node(machine, self.loop)
        self.nodes.append(node)
        await node.start()
        return number

    async def copy_machine(self, at: int) -> int:
        """A machine is copied as it is, and both go on; the index of the new one."""
        number = len(self.machines)
        self.has_copies = True
        clock = NodeClock(self.clock)
        clock.skew_s = self.machines[at].clock.skew_s
        machine = self.machines[at].copied(self._folder / f"m{number}", name=f"m{number}", clock=clock)
        self.machines.append(machine)
        self.nodes.append(self.nodes[at])  # until its own is there
        await self.start(number)
        return number

    def is_double(self, at: int) -> bool:
        """Whether another machine lives under the same id."""
        return sum(machine.daemon == self.machines[at].daemon for machine in self.machines) > 1

    async def renew(self, at: int) -> None:
        """A daemon that noticed another one under its id goes on under a new one; a power cut on the way leaves the
        old one for now."""
        node = self.nodes[at]
        said = await self.attempt(at, node.say_the_rest())
        stopped = await self.attempt(at, node.stop()) if self.machines[at].image is None else Unknown()
        if isinstance(stopped, Unknown):
            await self.revive(at)
            return
        if not isinstance(said, Refusal | Unknown):
            with contextlib.suppress(PowerCut, StoreError):
                node.renew()
        self.note("renewed", self.machines[at].name)
        if self.machines[at].image is not None:
            self.machines[at].swap_disk()
        await self.start(at)

    async def restart(self, at: int) -> None:
        """Stop a daemon in order and start it again; a power cut on the way is survived, too."""
        node = self.nodes[at]
        if self.machines[at].image is None:
            outcome = await self.attempt(at, node.stop())
            if not isinstance(outcome, Unknown):
                await self.start(at)
                return
        await self.revive(at)

    async def start(self, at: int) -> None:
        """Start a daemon on its machine, again and again until the machine lets it."""
        machine = self.machines[at]
        for _ in range(20):
            node: Node | None = None
            try:
                node = Node(machine, self.loop)
                await node.start()
            except (PowerCut, StoreError):
                if node is not None:
                    await self.abandon(node)
                if machine.image is not None:
                    machine.swap_disk()
                continue
            self.nodes[at] = node
            return
        raise AssertionError(f"{machine.name} starts and fails again and again")

    async def revive(self, at: int) -> None:
        """After a power cut: the disk as it is found, the cache as it was, or as it was earlier, or gone."""
        machine, node = self.machines[at], self.nodes[at]
        if machine.image is None:
            machine.image = machine.disk.crashed(self.rng)
        await self.abandon(node)
        machine.swap_disk()
        kept = self._folder / f"kept-{machine.name}"
        fate = self.rng.random()
        if fate < 0.2:
            node.forget_cache()
        elif fate < 0.5 and kept.exists():
            shutil.rmtree(node.cache.path.parent)
            shutil.copytree(kept, node.cache.path.parent)
        if self.rng.random() < 0.3:
            machine.refs.clear()
        self.note("power", machine.name, len(machine.disk.files()))
        await self.start(at)

    async def abandon(self, node: Node) -> None:
        """A daemon is gone from one moment to the next; what it was about ends here."""
        own = asyncio.current_task()
        others = [task for task in asyncio.all_tasks(self.loop) if task is not own and not task.done()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        node.drop()

    def keep_cache(self, at: int) -> None:
        """Note the cache as it is now: what a later power cut may take it back to."""
        self.nodes[at].keep_cache(self._folder / f"kept-{self.machines[at].name}")

    # doing

    async def attempt(self, at: int, work: Coroutine[Any, Any, Any]) -> Any:
        """What *work* on a daemon came to: its result, a `Refusal`, or `Unknown` when the power went."""
        try:
            result = await work
        except ThrumError as error:
            return Unknown() if isinstance(error, StoreError) else Refusal(error)
        except PowerCut:
            return Unknown()
        return result

    async def settle(self) -> None:
        """Whatever runs in the background comes to its end; daemons whose power went come back."""
        for at, node in enumerate(self.nodes):
            if self.machines[at].image is None:
                await node.keeper.settled()
        for at in range(len(self.nodes)):
            if self.machines[at].image is not None:
                await self.revive(at)
            if self.nodes[at].doubt.has_lost:
                await self.renew(at)

    async def together(self, *works: Callable[[], Awaitable[Any]]) -> None:
        """Do several things at once; each tells the ledger itself."""
        done = await asyncio.gather(*(work() for work in works), return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException):
                raise error

    def request_id(self) -> str:
        """A new one."""
        self._requests += 1
        return f"req-{self.seed}-{self._requests}"

    def note(self, *words: object) -> None:
        """A line of the trace."""
        calls = sum(machine.disk.calls for machine in self.machines)
        self.trace.append(f"{calls} {self.clock.us} {' '.join(map(str, words))}")

    @property
    def fingerprint(self) -> str:
        """Names everything that happened."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


class Unexpected(logging.Handler):
    """Collects what is logged with an exception that no fault of the simulation explains."""

    def __init__(self, story: Story) -> None:
        super().__init__(logging.WARNING)
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, PowerCut | StoreError | asyncio.CancelledError):
            self._story.faults.append(f"{record.name}: {record.getMessage()}: {error!r}")
        # Of a held line that a copy released as well, a cache made anew cannot tell that it is the same: it looks.
        is_explained = self._story.has_copies and "two lines with one event id" in record.getMessage()
        if "the cache is rebuilt" in record.getMessage() and not is_explained:
            self._story.faults.append(record.getMessage())

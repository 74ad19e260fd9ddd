"""The steps a story is made of, how often each comes, and how everything is healed in the end."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from simulation_ledger import SECRET
from simulation_loop import SimulatedLoop
from simulation_people import People
from simulation_story import HOUR_S, Refusal, Story, Unknown

from thrum_kernel.errors import Projecting

STEPS = 60
MOST_MACHINES = 6
ROUNDS = 16
"""So many rounds of exchanges at most until all is quiet."""

WEIGHTS = {
    "send": 16.0,
    "reply": 14.0,
    "retry": 4.0,
    "insist": 4.0,
    "edit": 6.0,
    "delete": 5.0,
    "read": 12.0,
    "register": 6.0,
    "end": 1.5,
    "move": 2.0,
    "adopt": 1.0,
    "group": 3.0,
    "purge": 2.5,
    "release": 3.0,
    "publish": 6.0,
    "travel": 30.0,
    "crowd": 16.0,
    "reroot": 2.0,
    "restart": 3.0,
    "power": 2.0,
    "fuse": 6.0,
    "failure": 2.0,
    "partition": 4.0,
    "flaw": 2.0,
    "skew": 4.0,
    "time": 6.0,
    "keep": 2.0,
    "join": 0.7,
    "copy": 0.7,
}


class Steps(People):
    """Every step by its name; each is given the index of a machine."""

    def __init__(self, story: Story) -> None:
        super().__init__(story)
        rng = story.rng
        self._weights = {name: weight * rng.choice((0.3, 1.0, 1.0, 2.5)) for name, weight in WEIGHTS.items()}

    async def tell(self, steps: int = STEPS) -> None:
        """The whole story: it begins, goes on, and is healed."""
        story = self.story
        for _ in range(self.rng.randint(2, 4)):
            at = await story.add_machine()
            await self.register(at)
            await self.register(at)
        for _ in range(steps):
            (name,) = self.rng.choices(list(self._weights), list(self._weights.values()))
            at = self.rng.randrange(len(story.machines))
            try:
                await getattr(self, name)(at)
            except Projecting:
                story.note("projecting")
            await story.settle()
            story.clock.pass_s(self.rng.choice((0.001, 0.5, 3.0, 20.0)))
            story.note(name, at)
        await self.heal()

    # the log travels

    async def publish(self, at: int) -> None:
        await self.story.attempt(at, self.story.nodes[at].publish())

    async def travel(self, at: int) -> None:
        await self.publish(at)
        if self.story.machines[at].image is None:
            await self.story.attempt(at, self.story.nodes[at].travel())

    async def reroot(self, at: int) -> None:
        """Somebody asks for a new beginning of the branch's history."""
        await self.story.attempt(at, self.story.nodes[at].travel(anew=True))

    async def crowd(self, at: int) -> None:
        """Several daemons exchange at once, while somebody writes."""
        count = len(self.story.machines)
        works: list[Callable[[], Awaitable[None]]] = [
            (lambda each=each: self.travel(each))
            for each in self.rng.sample(range(count), self.rng.randint(1, count))
        ]
        for _ in range(self.rng.randrange(3)):
            step = self.rng.choice((self.send, self.reply, self.read))
            works.append(
                lambda step=step, each=self.rng.randrange(count): self._unless_projecting(step, each)
            )
        await self.story.together(*works)

    async def _unless_projecting(self, step: Callable[[int], Awaitable[None]], at: int) -> None:
        try:
            await step(at)
        except Projecting:
            self.story.note("projecting")

    # what goes wrong

    async def restart(self, at: int) -> None:
        await self.story.restart(at)

    async def power(self, at: int) -> None:
        await self.story.revive(at)

    async def fuse(self, at: int) -> None:
        """The power goes at one of the next calls of the disk."""
        self.story.machines[at].dies_in = self.rng.randint(1, self.rng.choice((4, 20, 80)))

    async def failure(self, at: int) -> None:
        self.story.machines[at].fails_in = self.rng.randint(1, 60)

    async def partition(self, at: int) -> None:
        machine = self.story.machines[at]
        machine.is_cut = not machine.is_cut

    async def flaw(self, at: int) -> None:
        remote = self.story.nodes[at].remote
        remote.flaw = 0.0 if remote.flaw else 0.3

    async def skew(self, at: int) -> None:
        """Somebody sets a clock, back as well."""
        self.story.machines[at].clock.skew_s = self.rng.uniform(-HOUR_S, HOUR_S)

    async def time(self, at: int) -> None:
        self.story.clock.pass_s(self.rng.choice((30.0, 120.0, 900.0)))

    async def keep(self, at: int) -> None:
        self.story.keep_cache(at)

    async def join(self, at: int) -> None:
        """One more clone comes."""
        if len(self.story.machines) < MOST_MACHINES:
            new = await self.story.add_machine()
            await self.travel(new)
            await self.register(new)

    async def copy(self, at: int) -> None:
        """Somebody starts a snapshot of a machine beside it. Its agents are on both, until one takes a new id."""
        if len(self.story.machines) < MOST_MACHINES and self.story.machines[at].image is None:
            self.ledger.moved.update(agent.incarnation for agent in self.locals(at))
            await self.story.copy_machine(at)

    # healing

    async def heal(self) -> None:
        """Nothing fails any more, everybody starts once more, and all exchange until nobody has anything to say."""
        story = self.story
        for at, machine in enumerate(story.machines):
            machine.heal()
            await (story.revive(at) if self.rng.random() < 0.4 else story.restart(at))
        story.faults += kept_back(story)
        for at in range(len(story.nodes)):
            freed = await self.ask(at, "", "sync.release", all=True)
            assert not isinstance(freed, Refusal), f"a release fails though all is healed: {freed.error}"
        await self._quieten()
        if self.doubles():
            await self._part()
            await self._quieten()

    async def _quieten(self) -> None:
        story = self.story
        for _ in range(ROUNDS):
            story.clock.pass_s(120.0)  # what is said once a minute is said
            before = story.hub.pushes
            received = sum([await self._exchanged(at) for at in range(len(story.nodes))])
            if story.hub.pushes == before and not received:
                for (
                    node
                ) in story.nodes:  # somebody else's roll-up is no news, and leaves something to tidy up
                    await node.publish()
                story.note("quiet")
                return
        story.faults.append(f"{ROUNDS} rounds of exchanges, and somebody still has something to say")

    async def _exchanged(self, at: int) -> int:
        """How many lines came."""
        done = await self.story.attempt(at, self.story.nodes[at].publish())
        assert not isinstance(done, Refusal), f"publishing fails though all is healed: {done.error}"
        found = await self.story.attempt(at, self.story.nodes[at].travel())
        assert not isinstance(found, Refusal), f"an exchange fails though all is healed: {found.error}"
        assert not isinstance(found, Unknown), "the disk refuses an exchange though all is healed"
        await self.story.settle()
        return int(found.received)

    def doubles(self) -> list[int]:
        """Machines that share their id with another."""
        return [at for at in range(len(self.story.machines)) if self.story.is_double(at)]

    async def _part(self) -> None:
        """Daemons under one id notice each other as soon as they write and look, if their clocks are right."""
        for at in self.doubles():
            self.story.machines[at].clock.skew_s = 0.0
            await self.story.restart(at)
            await self._exchanged(at)
        for _ in range(MOST_MACHINES):
            for at in self.doubles():
                await self.register(at)
            for at in [*self.doubles(), *self.doubles()]:
                await self._exchanged(at)
        if self.doubles():
            self.story.faults.append(f"{self.doubles()} write under one id, and none of them notices")


def kept_back(story: Story) -> list[str]:
    """What looks like a credential, was never released, and is in anything that the remote ever held."""
    free = {token.encode() for token in story.ledger.released}
    gone = {found for data in story.hub.blobs.values() for found in SECRET.findall(data)} - free
    return [f"{sorted(gone)[:3]} left their machine though nobody released them"] if gone else []


async def tell(
    seed: int, folder: Path, loop: SimulatedLoop, rng: random.Random, *, steps: int = STEPS
) -> Story:
    """A whole story, healed; what it came to is for `simulation_checks`."""
    story = Story(seed, folder, loop, rng)
    await Steps(story).tell(steps)
    return story

"""How many bytes of git trees one publish writes, by how the folders of published files are fanned out.

Builds the trees of `a-sync` as git would, for a daemon with fifty agents, writers that end after a while and the
roll-up of `thrum_kernel.store.rollup`, and adds up the compressed size of every tree object that a publish makes new.

    python -m bench.fan [PUBLISHES]
"""

from __future__ import annotations

import hashlib
import random
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

AGENTS, PER_CUT, CUTS, CUTS_A_WRITER, FAN_IN = 50, 9, int(sys.argv[1]) if len(sys.argv) > 1 else 600, 150, 16


@dataclass(frozen=True)
class Range:
    """A unit: the events *first* to *last* of a writer, and whose messages are among them."""

    writer: str
    first: int
    last: int
    agents: frozenset[int]

    def digits(self, count: int) -> tuple[str, ...]:
        """The fan of the range, so many folders inside each other."""
        return tuple(hashlib.sha256(f"{self.writer}.{self.first}".encode()).hexdigest()[:count])


Fan = Callable[[str, Range], tuple[str, ...]]
"""The folders that the message file of an agent lies in."""

FANS: dict[str, Fan] = {
    "agent": lambda agent, found: (agent,),
    "agent, fan": lambda agent, found: (agent, *found.digits(1)),
    "agent, fan, fan": lambda agent, found: (agent, *found.digits(2)),
    "all in one": lambda agent, found: (),
    "fan": lambda agent, found: found.digits(1),
    "fan, fan": lambda agent, found: found.digits(2),
    "fan, fan, fan": lambda agent, found: found.digits(3),
}


class Trees:
    """The tree objects that exist so far; `write` counts what is new."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        self.written = 0

    def write(self, entries: dict[str, tuple[bytes, bytes]]) -> bytes:
        body = b"".join(
            mode + b" " + name.encode() + b"\0" + sha for name, (mode, sha) in sorted(entries.items())
        )
        sha = hashlib.sha1(b"tree %d\0" % len(body) + body, usedforsecurity=False).digest()
        if sha not in self.known:
            self.known.add(sha)
            self.written += len(zlib.compress(body)) + 12
        return sha

    def of(self, files: set[tuple[str, ...]]) -> bytes:
        folders: dict[str, set[tuple[str, ...]]] = {}
        entries: dict[str, tuple[bytes, bytes]] = {}
        for path in files:
            if len(path) == 1:
                entries[path[0]] = (b"100644", hashlib.sha1(path[0].encode(), usedforsecurity=False).digest())
            else:
                folders.setdefault(path[0], set()).add(path[1:])
        for name, below in folders.items():
            entries[name] = (b"40000", self.of(below))
        return self.write(entries)


def publish_bytes(fan: Fan, *, roll: bool) -> float:
    """Bytes of new trees for each of the last third of the cuts."""
    rng, trees = random.Random(1), Trees()
    ranges: list[Range] = []
    before = 0
    for cut in range(CUTS):
        first = cut % CUTS_A_WRITER * 10 + 1
        agents = frozenset(rng.sample(range(AGENTS), PER_CUT))
        ranges.append(Range(f"01K{cut // CUTS_A_WRITER:023d}", first, first + 9, agents))
        if roll:
            roll_up(ranges)
        if cut == CUTS * 2 // 3:
            before = trees.written
        if cut >= CUTS * 2 // 3 or cut % 50 == 0:
            trees.of({path for found in ranges for path in paths(found, fan)})
    return (trees.written - before) / (CUTS / 3)


def roll_up(ranges: list[Range]) -> None:
    """Join the newest ranges of one size class once there are FAN_IN of them."""
    size = 10
    while len([found for found in ranges[-FAN_IN:] if found.last - found.first < size]) >= FAN_IN:
        run = ranges[-FAN_IN:]
        agents = frozenset[int]().union(*(found.agents for found in run))
        ranges[-FAN_IN:] = [Range(run[0].writer, run[0].first, run[0].first + size * FAN_IN - 1, agents)]
        size *= FAN_IN


def paths(found: Range, fan: Fan) -> Iterator[tuple[str, ...]]:
    """Every file of a range."""
    window = f"{found.writer}.{found.first}-{found.last}"
    yield "events", "daemon", *found.digits(1), f"{window}.{digest(found, '')}.jsonl"
    for agent in (f"agent{number}" for number in found.agents):
        yield "messages", "daemon", *fan(agent, found), f"{window}.{agent}.{digest(found, agent)}.jsonl"


def digest(found: Range, agent: str) -> str:
    named = repr((found.writer, found.first, found.last, agent))
    return hashlib.md5(named.encode(), usedforsecurity=False).hexdigest()


def main() -> None:
    print(f"{'folders of messages':28} {'with roll-up':>14} {'without':>10}   bytes of new trees a publish")
    for name, fan in FANS.items():
        print(f"{name:28} {publish_bytes(fan, roll=True):14.0f} {publish_bytes(fan, roll=False):10.0f}")


if __name__ == "__main__":
    main()

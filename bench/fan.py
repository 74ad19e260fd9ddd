"""How many bytes of git trees one publish writes, by how the folders of published files are fanned out.

Builds the trees of `a-sync` as git would, for a daemon with some agents, writers that end after a while and the
roll-up of `thrum_kernel.store.rollup`, and adds up the compressed size of every tree object that a publish makes new.

    python -m bench.fan [PUBLISHES]     # 3,000 take five minutes
"""

from __future__ import annotations

import hashlib
import random
import sys
import zlib
from collections.abc import Callable

AGENTS, PER_CUT, CUTS, CUTS_A_WRITER, FAN_IN = 20, 3, int(sys.argv[1]) if len(sys.argv) > 1 else 600, 150, 16
Fan = Callable[[str, int], str]

FANS: dict[str, Fan] = {
    "flat": lambda writer, first: "",
    "writer, 1 hex digit": lambda writer, first: hashlib.sha256(writer.encode()).hexdigest()[:1],
    "writer, 2 hex digits": lambda writer, first: hashlib.sha256(writer.encode()).hexdigest()[:2],
    "writer and first, 1 digit": lambda writer, first: hashlib.sha256(
        f"{writer}{first}".encode()
    ).hexdigest()[:1],
    "writer and first, 2 digits": lambda writer, first: hashlib.sha256(
        f"{writer}{first}".encode()
    ).hexdigest()[:2],
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
    ranges: list[list[tuple[str, int, int]]] = []  # by agent: (writer, first, last)
    ranges = [[] for _ in range(AGENTS + 1)]
    before = 0
    for cut in range(CUTS):
        writer = f"{cut // CUTS_A_WRITER:016x}"
        first = cut % CUTS_A_WRITER * 10 + 1
        for shard in [*rng.sample(range(AGENTS), PER_CUT), AGENTS]:
            ranges[shard].append((writer, first, first + 9))
            if roll:
                roll_up(ranges[shard])
        if cut == CUTS * 2 // 3:
            before = trees.written
        if cut >= CUTS * 2 // 3 or cut % 50 == 0:
            trees.of({path(shard, found, fan) for shard, all_ in enumerate(ranges) for found in all_})
    return (trees.written - before) / (CUTS / 3)


def roll_up(found: list[tuple[str, int, int]]) -> None:
    """Merge the newest files of one size class once there are FAN_IN of them."""
    size = 10
    while len([r for r in found[-FAN_IN:] if r[2] - r[1] + 1 <= size]) >= FAN_IN:
        run = found[-FAN_IN:]
        found[-FAN_IN:] = [(run[0][0], run[0][1], run[0][1] + size * FAN_IN - 1)]
        size *= FAN_IN


def path(shard: int, found: tuple[str, int, int], fan: Fan) -> tuple[str, ...]:
    writer, first, last = found
    name = f"{writer}.{first}-{last}.{hashlib.md5(repr((shard, found)).encode(), usedforsecurity=False).hexdigest()}.jsonl"
    folder = ("events", "daemon") if shard == AGENTS else ("messages", "daemon", f"agent{shard}")
    return (*folder, *([fan(writer, first)] if fan(writer, first) else []), name)


def main() -> None:
    print(f"{'fan':28} {'with roll-up':>14} {'without':>10}   bytes of new trees a publish")
    for name, fan in FANS.items():
        print(f"{name:28} {publish_bytes(fan, roll=True):14.0f} {publish_bytes(fan, roll=False):10.0f}")


if __name__ == "__main__":
    main()

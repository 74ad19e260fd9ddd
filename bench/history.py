"""What the history of `a-sync` costs, and what beginning it anew saves: bytes, commits, and the time of a fresh fetch.

Publishes ten lines of twenty agents at a time through the real cutter, exchange and git to a bare repository on the
same disk, then lets the history begin anew.

    python -m bench.history [PUBLISHES]     # 1,000 take three minutes
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

from thrum_kernel import gitdir
from thrum_kernel.clock import SystemClock, format_us
from thrum_kernel.ids import HybridClock, event_id
from thrum_kernel.settings.core import Sync
from thrum_kernel.store.disk import OsDisk
from thrum_kernel.store.journal import Journal
from thrum_kernel.store.tree import Tree
from thrum_kernel.store.units import Unit
from thrum_kernel.sync.cutter import Cutter
from thrum_kernel.sync.exchange import Exchange
from thrum_kernel.sync.history import History
from thrum_kernel.sync.merge import Merger
from thrum_kernel.sync.process import Runner
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.remote import Remote, choose
from thrum_kernel.sync.repository import Repository
from thrum_kernel.sync.usage import part_of

PUBLISHES = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
LINES, AGENTS, WORDS, DAEMON = 10, 20, 25, "d_01JABCDEFGHJKMNPQRSTVWXYZ0"
VOCABULARY = [f"{syllable}{ending}" for syllable in ("mer", "push", "test", "bra", "fix", "plan", "log") for ending in
              ("ge", "ing", "s", "nch", "ed", "ner", "", "able", "out", "er", "list")]  # fmt: skip


class Writing:
    """A journal with messages of random agents in it; what a publisher needs of a committer."""

    def __init__(self, tree: Tree) -> None:
        self._random = random.Random(1)
        self._clock = SystemClock()
        self._ids = HybridClock(self._clock)
        self._journal = Journal.open_new(
            tree.disk, tree.journal, writer=self._ids.next_ulid(), daemon=DAEMON, previous=None
        )
        self.text = bytearray()

    @property
    def durable(self) -> tuple[str, int]:
        return self._journal.writer, self._journal.last

    async def rotate(self) -> None:
        raise AssertionError("nothing is purged")

    def write(self, count: int) -> None:
        lines = [self._line(self._journal.last + 1 + at) for at in range(count)]
        self._journal.append(lines)
        self.text += b"\n".join(lines)

    def _line(self, sequence: int) -> bytes:
        agent = f"agent{self._random.randrange(AGENTS)}"
        said = " ".join(self._random.choices(VOCABULARY, k=WORDS))
        return (
            f'{{"type":"message.create","event_id":"{event_id(self._ids.next_ulid())}",'
            f'"timestamp":"{format_us(self._clock.now_us())}","origin_daemon":"{DAEMON}","sequence":{sequence},'
            f'"agent_id":"{agent}","incarnation":"{agent}","body":{{"content":"{said}"}}}}'
        ).encode()


class Nobody:
    """Nothing comes from the other side."""

    async def take(self, units: Sequence[Unit]) -> int:
        return 0


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def fresh_fetch(root: Path, *words: str) -> str:
    """What a clone downloads that has nothing yet, and how long that takes."""
    with tempfile.TemporaryDirectory(dir=root) as folder:
        git(Path(folder), "init", "-q", "--bare")
        begin = time.perf_counter()
        git(Path(folder), "fetch", "-q", *words, f"file://{root}/origin.git", "+a-sync:refs/heads/a-sync")
        took = time.perf_counter() - begin
        return f"{part_of(Path(folder, 'objects')).bytes / 1e6:.2f} MB in {took:.2f} s"


async def main(root: Path) -> None:
    git(root, "init", "-q", "--bare", "origin.git")
    git(root, "init", "-q", "user")
    git(root / "user", "remote", "add", "origin", str(root / "origin.git"))
    where = root / "user/.git/thrum-sync"
    where.mkdir()
    tree = Tree(OsDisk(), where)
    writing = Writing(tree)
    cutter = Cutter(tree, daemon=DAEMON, message_types=frozenset({"message.create"}))
    clock = SystemClock()
    publisher = Publisher(cutter=cutter, committer=writing, clock=clock, interval_s=lambda: 60.0)
    choice = choose(gitdir.locate(root / "user"))
    runner = Runner(where / "repo.git", tree.published, environ=os.environ)
    repository = Repository(where / "repo.git", tree.published, runner=runner)
    exchange = Exchange(
        remote=Remote(choice, runner=runner, cwd=root / "user"),
        repository=repository,
        runner=runner,
        merger=Merger(tree, repository, daemon=DAEMON),
        cutter=cutter,
        publisher=publisher,
        ingest=Nobody(),
        history=History(where / "history.json", settings=lambda: Sync(reroot_commits=0), clock=clock),
        clock=clock,
        name="bench",
    )

    def tell(what: str) -> None:
        ours, theirs = part_of(where / "repo.git").bytes, part_of(root / "origin.git").bytes
        text = len(writing.text)
        print(
            f"{what}: {exchange.commits} commits, text {text / 1e6:.2f} MB ({len(zlib.compress(writing.text, 6)) / 1e6:.2f}"
            f" compressed), our repository {ours / 1e6:.2f} MB, the remote {theirs / 1e6:.2f} MB;"
            f" a fresh clone fetches {fresh_fetch(root, '--depth=1')}, with all history {fresh_fetch(root)}",
            flush=True,
        )

    for number in range(1, PUBLISHES + 1):
        writing.write(LINES)
        await publisher.cut_now()
        begin = time.perf_counter()
        await exchange.run()
        took = time.perf_counter() - begin
        exchange.has_news = True
        if number in (PUBLISHES // 10, PUBLISHES // 2, PUBLISHES):
            tell(f"after {number} publishes (the last took {took:.2f} s)")
    begin = time.perf_counter()
    await publisher.roll_up_all()
    exchange.has_news = True
    await exchange.run(anew=True)
    print(f"rolling up and beginning anew took {time.perf_counter() - begin:.2f} s")
    tell("begun anew")
    git(root / "origin.git", "gc", "-q", "--prune=now")
    tell("when the remote has collected, too")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="thrum-history-") as folder:
        asyncio.run(main(Path(folder)))

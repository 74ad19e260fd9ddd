"""Three clones that send, delete, purge, restart, lose files, begin anew and exchange in any order come to the same log."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from pathlib import Path

import pytest
from sync_sides import Side, remote_files, remote_text

from thrum_kernel.events.core import MessageCreate, PurgeExecuted
from thrum_kernel.settings.core import Sync
from thrum_kernel.testing.harness import Repo

SEEDS = range(12 if os.environ.get("THRUM_SOAK") == "1" else 2)
STEPS = 30


class Rounds:
    """One run: *seed* says what happens.

    Attributes:
        written: every text with its timestamp.
        deleted: texts that were deleted.
        cutoff: the latest of all purges.
    """

    def __init__(self, folder: Path, env: dict[str, str], seed: int) -> None:
        self.random = random.Random(seed)
        host = Repo(folder, folder, env)
        host.git("init", "-q", "--bare", "origin.git")
        self.origin = Repo(folder / "origin.git", folder / "origin.git", env)
        self.repos = []
        for number in range(3):
            path = folder / f"clone{number}"
            host.git("init", "-q", str(path))
            repo = Repo(path, path, env)
            repo.git("remote", "add", "origin", str(self.origin.path))
            self.repos.append(repo)
        self.sides = [self.opened(number) for number in range(3)]
        self.sent: list[list[MessageCreate]] = [[], [], []]
        self.deleted: set[str] = set()
        self.written: dict[str, str] = {}
        self.cutoff = ""

    def opened(self, number: int) -> Side:
        settings = Sync(reroot_commits=4 if number else 0)
        side = Side(self.repos[number], f"d_01JABCDEFGHJKMNPQRSTVWXYZ{number}", settings=settings)
        side.house.cutter._fan_in = 3
        return side

    async def step(self, count: int) -> None:
        number = self.random.randrange(3)
        side = self.sides[number]
        what = self.random.choices(
            ["send", "delete", "sync", "publish", "restart", "lose", "purge"], [16, 4, 16, 6, 4, 2, 1]
        )[0]
        if what == "send":
            text = f"text {count} of {number};"
            message = await side.house.committer.send(text, agent=f"agent{number}")
            self.sent[number].append(message)
            self.written[text] = message.timestamp
        elif what == "delete" and self.sent[number]:
            message = self.sent[number].pop(self.random.randrange(len(self.sent[number])))
            await side.house.committer.delete(message)
            self.deleted.add(message.body.content)
        elif what == "purge" and self.sent[number]:
            cutoff = self.random.choice(self.sent[number]).timestamp
            purge = side.house.committer.draft(PurgeExecuted, cutoff=cutoff, by="x")
            await side.house.committer.commit(purge)
            # A restart sets the clock of this test back, and no purge reaches past its own time.
            self.cutoff = max(self.cutoff, min(cutoff, purge.timestamp))
        elif what == "sync":
            await side.sync()
        elif what == "publish":
            await side.house.publisher.cut_now()
        elif what == "restart":
            await side.house.committer.rotate()
            self.sides[number] = self.opened(number)
        elif what == "lose":
            await side.sync()  # what only this clone has is lost with it
            shutil.rmtree(side.folder / self.random.choice(["a-sync", "repo.git"]))
            await side.sync()

    @property
    def gone(self) -> set[str]:
        """The texts that must be nowhere."""
        return self.deleted | {text for text, timestamp in self.written.items() if timestamp < self.cutoff}

    async def heal(self) -> None:
        """Everybody exchanges until nobody has anything to say."""
        for _ in range(6):
            done = [await side.sync() for side in self.sides]
            if not any(each.is_pushed or each.received for each in done):
                return
        raise AssertionError("they never come to rest")


@pytest.mark.parametrize("seed", SEEDS)
def test_clones_come_to_the_same_log(tmp_path: Path, isolated_home: dict[str, str], seed: int) -> None:
    async def main() -> None:
        rounds = Rounds(tmp_path, isolated_home, seed)
        for count in range(STEPS):
            await rounds.step(count)
        await rounds.heal()
        first = rounds.sides[0]
        for side in rounds.sides:
            assert side.lines() == first.lines()
            assert side.files() == remote_files(rounds.origin) - {"FORMAT"}
            assert all(not side.house.holds(text) for text in rounds.gone)
        everything = remote_text(rounds.origin)
        assert {text for text in rounds.written if text in everything} == set(rounds.written) - rounds.gone

    asyncio.run(main())

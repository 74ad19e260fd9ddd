from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sync_parts import House

from thrum_kernel.api import Caller
from thrum_kernel.clock import format_us
from thrum_kernel.errors import UsageError
from thrum_kernel.events.core import PurgeExecuted
from thrum_kernel.store.check import check
from thrum_kernel.sync.purge import PurgeCounts, PurgeParams, Purger


class Call:
    caller = Caller(kind="agent", agent_id="alice", source="process")
    request_id = ""


class Purging:
    """A purger that counts nothing and notes what it was asked to rebuild."""

    def __init__(self, house: House) -> None:
        self.rebuilt = 0
        self.purger = Purger(
            publisher=house.publisher,
            cutter=house.cutter,
            committer=house.committer,
            clock=house.committer.clock,
            count=lambda cutoff_us: PurgeCounts(messages=2, sessions=("ses_x",)),
            rebuild_cache=self._rebuild,
        )

    async def _rebuild(self) -> None:
        self.rebuilt += 1

    async def call(self, before: str, *, dry_run: bool = False) -> dict[str, Any]:
        (method,) = self.purger.methods()
        result = await method.handler(Call(), PurgeParams(before=before, dry_run=dry_run))
        found: dict[str, Any] = msgspec.to_builtins(result)
        return found


def test_a_purge_leaves_the_text_in_no_file(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        purging = Purging(house)
        await house.committer.send("published secret")
        await house.publisher.cut_now()
        await house.committer.send("journalled secret")
        cutoff = format_us(house.committer.clock.now_us())
        await house.committer.send("kept text")
        preview = await purging.call(cutoff, dry_run=True)
        assert preview["sync_message_files"] == 1 and preview["dry_run"] and house.holds("published secret")
        done = await purging.call(cutoff)
        assert (done["messages_deleted"], done["sessions_deleted"]) == (2, 1)
        assert house.holds("secret") == []
        assert len(house.holds("kept text")) == 1
        assert purging.rebuilt == 1
        assert check(house.tree, daemon="d", current=house.committer.durable).problems == []
        await house.committer.send("later")
        await house.publisher.cut_now()
        assert len(house.lines()) == 3

    asyncio.run(main())


def test_a_purge_that_was_interrupted_is_made_good_by_the_next_start(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        await house.committer.send("secret")
        await house.publisher.cut_now()
        await house.committer.commit(
            house.committer.draft(PurgeExecuted, cutoff=format_us(house.committer.clock.now_us()))
        )
        again = House(tmp_path)
        purging = Purging(again)
        await again.publisher.cut_now()
        assert again.holds("secret") == []
        assert purging.rebuilt == 1

    asyncio.run(main())


@pytest.mark.parametrize("published", [True, False])
def test_a_deleted_message_loses_its_text_with_the_next_publish(tmp_path: Path, published: bool) -> None:
    async def main() -> None:
        house = House(tmp_path)
        purging = Purging(house)
        message = await house.committer.send("secret")
        if published:
            await house.publisher.cut_now()
        await house.committer.delete(message)
        await house.publisher.cut_now()
        assert house.holds("secret") == []
        assert len(house.lines()) == 2, "a tombstone keeps its place"
        assert purging.rebuilt == 0

    asyncio.run(main())


def test_bad_cutoffs_are_refused_and_change_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        purging = Purging(House(tmp_path))
        for before in ("", "yesterday", "2099-01-01T00:00:00Z", "2026-01-01"):
            with pytest.raises(UsageError):
                await purging.call(before)

    asyncio.run(main())

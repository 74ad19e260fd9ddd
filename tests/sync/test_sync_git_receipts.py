"""What was read in one clone is told in the other, though nobody says anything else."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sync_clones import Clone, bare, clone_of, serving

from thrum_kernel.testing.waiting import until_on_loop as until


async def _is_read(clone: Clone, sender: str) -> bool:
    sent = await clone.call("message.outbox", sender)
    return bool(sent["messages"][0]["recipients"][0].get("read_at"))


def test_a_read_mark_travels_by_the_loop_alone(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with (
            serving(clone_of(origin, "one", sync_interval=1)) as one,
            serving(clone_of(origin, "two", sync_interval=1)) as two,
        ):
            await one.register("alice")
            await two.register("bob")
            await until(lambda: one.knows("bob"))
            message = await one.send("alice", "@bob", "please look")

            async def arrived() -> bool:
                return await two.texts("bob") == ["please look"]

            await until(arrived)
            await until(lambda: not two.daemon.publisher.has_waiting and not two.daemon.travel.has_news)
            await two.call("message.markRead", "bob", message_ids=[message])

            await until(lambda: _is_read(one, "alice"))

    asyncio.run(story())

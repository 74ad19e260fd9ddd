"""Two clones of one bare repository exchange messages through it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sync_clones import bare, clone_of, serving, until


def test_a_message_reaches_the_other_clone_when_both_force(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await one.register("alice")
            await two.register("bob")
            await one.force()
            assert (await two.force())["received"] > 0
            await two.send("bob", "@alice", "from two")
            assert (await two.force())["pushed"]
            assert (await one.force())["received"] > 0
            assert await one.texts("alice") == ["from two"]
            await one.send("alice", "@bob", "back")
            done = await one.force()
            assert done["pushed"] and done["sync_state"] == "synced" and done["remote"] == "origin"
            await two.force()
            assert await two.texts("bob") == ["back"]
            assert one.files() == two.files()
            status = await two.status()
            assert (
                status["sync_state"] == "synced" and not status["local_only"] and "last_error" not in status
            )

    asyncio.run(story())


def test_a_message_reaches_the_other_clone_by_the_loop_alone(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with (
            serving(clone_of(origin, "one", sync_interval=1)) as one,
            serving(clone_of(origin, "two", sync_interval=1)) as two,
        ):
            await one.register("alice")
            await two.register("bob")
            await until(lambda: two.knows("alice"))
            await two.send("bob", "@alice", "hello")

            async def arrived() -> bool:
                return await one.texts("alice") == ["hello"]

            await until(arrived)

    asyncio.run(story())

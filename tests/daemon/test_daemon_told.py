"""What a start made good is a warning for as long as there is something to look at, and for a day where there is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sync_clones import Clone, bare, clone_of, serving

from thrum_kernel.testing.clock import SettableClock


async def warnings(clone: Clone) -> str:
    return "\n".join((await clone.call("daemon.status"))["warnings"])


def test_what_was_made_good_is_no_warning_for_ever(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    repo = clone_of(bare(tmp_path / "host", isolated_home), "one", local_only=True)

    async def story() -> None:
        async with serving(repo) as one:
            await one.register("alice")
            journal = next((one.sync / "journal").iterdir())
        with journal.open("ab") as stream:
            stream.write(b'{"type":"message.create","event_id":"evt_01J')
        (repo.path / ".thrum/config.json").unlink()
        clock = SettableClock("2030-01-01T00:00:00Z")
        async with serving(repo, clock=clock) as one:
            before = await warnings(one)
            assert "written back" in before and "never acknowledged" in before
            clock.advance(86_401)
            later = await warnings(one)
            assert "written back" not in later and "never acknowledged" in later
            for path in (one.sync / "quarantine").iterdir():
                path.unlink()
            assert await warnings(one) == ""

    asyncio.run(story())

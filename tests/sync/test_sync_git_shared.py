"""Texts that agents share travel through a real remote with the log, and leave it when they are taken back."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from sync_clones import Clone, bare, clone_of, serving
from sync_sides import remote_files

from thrum_kernel.clock import format_us
from thrum_kernel.context.sharing import PROJECT_STATE
from thrum_kernel.errors import Refused
from thrum_kernel.ids import ulid_ms
from thrum_kernel.store.shared import copies_in
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.waiting import until_on_loop as until


@pytest.fixture
def origin(tmp_path: Path, isolated_home: dict[str, str]) -> Repo:
    return bare(tmp_path / "host", isolated_home)


async def save(clone: Clone, agent: str, text: str) -> None:
    await clone.call(
        "context.save", agent, agent_name=agent, content=base64.b64encode(text.encode()).decode()
    )


async def sync(clone: Clone, agent: str, **rest: Any) -> str:
    return str((await clone.call("context.sync", agent, agent_name=agent, **rest))["message"])


async def text(clone: Clone, address: str, key: str = "content", **rest: Any) -> str | None:
    found = (await clone.call("context.show", agent_name=address, **rest)).get(key)
    return base64.b64decode(found).decode() if found is not None else None


def tip(origin: Repo) -> str:
    return origin.git("rev-parse", "a-sync").strip()


def copies(origin: Repo) -> list[str]:
    return [copy.path for copy in copies_in(remote_files(origin))]


def test_a_saved_context_is_shown_in_the_other_clone_until_it_is_taken_back(origin: Repo) -> None:
    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await one.register("alice")
            await two.register("bob")
            await two.force()
            await save(two, "bob", "first")
            assert await sync(two, "bob") == "Context synced for bob."
            await save(two, "bob", "half of it is done ✓")
            assert await sync(two, "bob") == "Context synced for bob."
            await one.force()
            assert await text(one, "bob") == "half of it is done ✓"
            assert await text(one, f"bob@{two.daemon.opened.daemon_id}") == "half of it is done ✓"
            assert len(copies(origin)) == 1

            before = tip(origin)
            assert await sync(two, "bob") == "Context synced for bob."
            assert tip(origin) == before

            await two.call("context.clear", "bob", agent_name="bob")
            await sync(two, "bob")
            await one.force()
            assert await text(one, "bob") is None
            assert not one.holding(b"half of it") and not two.holding(b"half of it")

    asyncio.run(story())


def test_what_a_deleted_agent_shared_goes_everywhere(origin: Repo) -> None:
    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await one.register("alice")
            await two.register("bob")
            await two.register("carol")
            await save(two, "bob", "plans of bob")
            await sync(two, "bob")
            await one.force()
            assert await text(one, "bob") == "plans of bob"
            await two.call("agent.delete", "carol", name="bob", force=True)
            await until(lambda: not two.holding(b"plans of bob"))
            await two.force()
            await one.force()
            await until(lambda: not one.holding(b"plans of bob"))
            await one.force()
            await two.force()
            assert len(copies(origin)) == 1 and one.holding(b"plans of bob") == []

    asyncio.run(story())


def test_a_purge_takes_shared_contexts_out_of_the_branch(origin: Repo) -> None:
    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await one.register("alice")
            await two.register("bob")
            await save(two, "bob", "old plans")
            await sync(two, "bob")
            await one.force()
            (copy,) = copies_in(copies(origin))
            cutoff = format_us((ulid_ms(copy.ulid) + 1) * 1000)
            await one.call("purge.execute", "alice", before=cutoff)
            await one.force()
            await two.force()
            await until(lambda: copies(origin) == [])
            await two.force()
            shared = [path for path in two.holding(b"old plans") if two.sync in path.parents]
            assert shared == [] and one.holding(b"old plans") == []
            assert await text(two, "bob") == "old plans"  # what the agent saved for itself is its own

    asyncio.run(story())


def test_the_projects_state_follows_until_it_is_edited(origin: Repo) -> None:
    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await one.register("alice")
            await two.register("bob")
            mine = one.repo.path / ".thrum/context" / PROJECT_STATE
            theirs = two.repo.path / ".thrum/context" / PROJECT_STATE
            mine.parent.mkdir(exist_ok=True)
            mine.write_text("# State\nv1\n")
            assert await sync(one, "alice", project=True) == "Project state synced."
            await two.force()
            assert theirs.read_text() == "# State\nv1\n"
            theirs.write_text("# State\nedited by two\n")
            mine.write_text("# State\nv2\n")
            await sync(one, "alice", project=True)
            with pytest.raises(Refused):  # it is asked for before, and does not depend on who looked last
                await sync(two, "bob", project=True)
            assert theirs.read_text() == "# State\nedited by two\n"
            shared = await text(two, "bob", "project_state", include_project=True, shared=True)
            assert shared == "# State\nv2\n"

    asyncio.run(story())


def test_a_clone_that_keeps_its_log_to_itself_says_so(origin: Repo) -> None:
    async def story() -> None:
        async with serving(clone_of(origin, "one", local_only=True)) as one:
            await one.register("alice")
            await save(one, "alice", "notes")
            assert (await sync(one, "alice")).startswith("Context synced locally for alice (local-only: ")
            one.repo.git("remote", "remove", "origin")
            said = await sync(one, "alice")
            assert said == "Context synced locally for alice (no remote configured)."

    asyncio.run(story())


def test_a_context_with_a_secret_in_it_stays_here(origin: Repo) -> None:
    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await one.register("alice")
            await save(one, "alice", "the deploy user is AKIA" + "QX7TL5PZ2WGK4MNB")
            with pytest.raises(Refused, match=r"looks like a secret \(aws-access-key"):
                await sync(one, "alice")
            await one.force()
            assert copies(origin) == []
            await save(one, "alice", "the deploy user is in the vault")
            assert await sync(one, "alice") == "Context synced for alice."

    asyncio.run(story())

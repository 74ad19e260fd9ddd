"""Two clones of one bare repository exchange messages through it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from sync_clones import acquainted, bare, clone_of, serving

from thrum_kernel.clock import format_us
from thrum_kernel.sync import ingest
from thrum_kernel.testing.waiting import until_on_loop as until


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


def test_a_purge_and_a_deletion_reach_the_other_clone(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with acquainted(origin) as (one, two):
            await two.send("bob", "@alice", "the old word")
            deleted = await two.send("bob", "@alice", "the deleted word")
            await two.force()
            await one.force()
            assert len(await one.texts("alice")) == 2
            await two.call("message.delete", "bob", message_id=deleted)
            await two.force()
            await one.force()
            assert await one.texts("alice") == ["the old word", ""]
            await two.call("purge.execute", "bob", before=format_us(time.time_ns() // 1000))
            await two.send("bob", "@alice", "what stays")
            await two.force()
            await one.force()

            async def is_purged() -> bool:
                return one.daemon.keeper.refusal() is None and await one.texts("alice") == ["what stays"]

            await until(is_purged)
            words = (b"the old word", b"the deleted word")
            await until(lambda: not one.holding(*words) and not two.holding(*words))

    asyncio.run(story())


def test_who_wrote_what_another_clone_purges_unread_is_told(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with acquainted(origin) as (one, two):
            read = await two.send("bob", "@alice", "read")
            await two.force()
            await one.force()
            await one.call("message.markRead", "alice", message_ids=[read])
            await one.force()
            await two.force()
            await two.send("bob", "@alice", "never seen elsewhere")
            await one.call("purge.execute", "alice", before=format_us(time.time_ns() // 1000))
            await one.force()
            await two.force()

            async def told() -> list[str]:
                return await two.texts("bob")

            (text,) = await until(told)
            assert "took away 1 message of yours" in text and "to @alice" in text
            assert await one.texts("alice") == []

    asyncio.run(story())


def test_a_fresh_clone_projects_all_of_the_branch(
    tmp_path: Path, isolated_home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = bare(tmp_path / "host", isolated_home)
    monkeypatch.setattr(ingest, "MANY", 20)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await one.register("alice")
            for number in range(30):
                await one.send("alice", "@alice", f"message {number}")
            await one.force()
        repo = clone_of(origin, "two")
        async with serving(repo) as two:
            assert two.knows("alice") and two.daemon.keeper.rebuilds >= 1
            ((messages,),) = two.daemon.cache.read("SELECT count(*) FROM message")
            assert messages == 30
            newest = max(two.daemon.cache.read("SELECT max(ulid) FROM event_seen"))[0]
            await two.register("bob")  # our events are numbered above all that came
            assert two.daemon.agents.roster.local("bob").incarnation > newest
            await two.force()
        async with serving(repo) as again:
            assert again.knows("alice") and again.knows("bob")
            assert (await again.status())["sync_state"] == "synced"

    asyncio.run(story())


def test_where_the_log_stays_here_nothing_is_asked_of_git(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one", local_only=True)) as one:
            await one.register("alice")
            done = await one.force()
            assert done["published"] and done["local_only"] and done["sync_state"] == "local-only"
            assert done["local_only_reason"] == "local-only: daemon.local_only is true (config.json)"
            assert not (one.sync / "repo.git").exists() and "a-sync" not in origin.git("branch")
            health = await one.call("health")
            assert health["local_only"] and health["sync_state"] == "local-only"

            one.daemon.opened.settings.set("daemon.local_only", False)
            await one.call("config.show")
            await until(lambda: "a-sync" in origin.git("branch"))
            assert not (await one.status())["local_only"]

            one.repo.git("remote", "remove", "origin")
            done = await one.force()
            assert done["local_only"] and done["reason"] == "the repository has no remote"

    asyncio.run(story())


def test_an_unreachable_remote_is_an_error_that_is_told_and_passes(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await one.register("alice")
            away = origin.path.with_name("away.git")
            origin.path.rename(away)
            done = await one.force()
            assert done["sync_state"] == "error" and "cannot reach origin" in done["last_error"]
            assert done["triggered"] and not done["local_only"]
            warnings = (await one.call("daemon.status"))["warnings"]
            assert any("cannot reach origin" in warning for warning in warnings)
            away.rename(origin.path)
            done = await one.force()
            assert done["sync_state"] == "synced" and "last_error" not in done and done["pushed"]

    asyncio.run(story())


def test_who_waits_in_another_clone_is_told_at_once(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with acquainted(origin) as (one, two):
            places: list[tuple[str, str, int]] = []
            two.daemon.committer.hearers.append(lambda event, *place: places.append((event.type, *place)))
            waiting = asyncio.create_task(two.call("message.wait", "bob", timeout_ms=15000))
            await asyncio.sleep(0)
            await one.send("alice", "@bob", "wake up")
            await one.force()
            await two.force()
            found = await waiting
            assert [each["body"]["content"] for each in found["messages"]] == ["wake up"]
            ((writer, sequence),) = [place[1:] for place in places if place[0] == "message.create"]
            assert (writer, sequence) == (one.daemon.committer.writer, sequence) and sequence > 0

    asyncio.run(story())


def test_what_comes_while_the_cache_is_made_anew_is_not_missed(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with acquainted(origin) as (one, two):
            for number in range(5):
                await one.send("alice", "@bob", f"message {number}")
                await one.daemon.publisher.cut_now()
                await one.daemon.travel.force()
                await asyncio.gather(two.daemon.keeper.rebuild(), two.daemon.travel.force())
            assert await two.texts("bob") == [f"message {number}" for number in range(5)]

    asyncio.run(story())


def test_a_daemon_stops_while_the_remote_does_not_answer(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)
    ssh, pids = tmp_path / "ssh", tmp_path / "pids"
    ssh.write_text(f"#!/bin/sh\necho $$ > {pids}.new\nmv {pids}.new {pids}\nexec sleep 60\n")
    ssh.chmod(0o755)

    async def story() -> None:
        sync = {"public_exposure_override": "host/team/project"}
        repo = clone_of(origin, "one", sync=sync)
        repo.git("remote", "set-url", "origin", "git@host:team/project.git")
        repo.git("config", "core.sshCommand", str(ssh))
        async with serving(repo, settle=False) as one:
            await until(pids.exists)
            assert (await one.status())["sync_state"] == "idle"
            await one.register("alice")  # everything else goes on
        process = Path(f"/proc/{pids.read_text().strip()}/stat")
        await until(lambda: not process.exists() or process.read_text().rpartition(")")[2].split()[0] == "Z")

    asyncio.run(story())


def test_a_public_remote_gets_nothing_until_it_is_named(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        sync = {"detected_visibility": "public", "detected_remote": "127.0.0.1/team/project"}
        repo = clone_of(origin, "one", sync=sync)
        address = "http://127.0.0.1:1/team/project.git"  # nobody answers there: what was found before holds
        repo.git("remote", "set-url", "--push", "origin", address)
        async with serving(repo) as one:
            await one.register("alice")
            done = await one.force()
            assert done["sync_state"] == "local-only" and "public repo detected" in done["reason"]
            assert "127.0.0.1/team/project" in done["reason"] and "a-sync" not in origin.git("branch")
            repo.git("remote", "set-url", "--push", "origin", str(origin.path))
            done = await one.force()
            assert done["pushed"] and "a-sync" in origin.git("branch")

    asyncio.run(story())

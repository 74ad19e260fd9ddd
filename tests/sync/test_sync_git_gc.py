"""`sync.gc` and retention with daemons: what is let go is gone, what stays stays, and it is told honestly."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from sync_clones import Clone, bare, clone_of, serving

from thrum_kernel.clock import SystemClock, format_us
from thrum_kernel.errors import AnonymousCaller
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.waiting import until_on_loop as until

DAY_US = 86_400 * 1_000_000


class Later(SystemClock):
    """The wall clock, some days ahead or behind."""

    days = 0

    def now_us(self) -> int:
        return super().now_us() + self.days * DAY_US


def everything_in(repository: Path, env: Mapping[str, str], *words: str) -> bytes:
    """Every object of a git repository, decompressed: all there are, or those that `rev-list` names."""
    at = ["git", f"--git-dir={repository}"]
    full = {**os.environ, **env}
    if not words:
        batch = [*at, "cat-file", "--batch", "--batch-all-objects", "--unordered"]
        return subprocess.run(batch, env=full, capture_output=True, check=True).stdout
    told = subprocess.run([*at, "rev-list", "--objects", *words], env=full, capture_output=True, check=True)
    ids = b"\n".join(line.split(b" ")[0] for line in told.stdout.splitlines()) + b"\n"
    return subprocess.run(
        [*at, "cat-file", "--batch"], env=full, input=ids, capture_output=True, check=True
    ).stdout


def found_in(clone: Clone, *words: bytes) -> list[str]:
    """Where of all that thrum owns in a clone one of *words* is, byte by byte, objects of git decompressed."""
    found = [str(path) for path in clone.holding(*words)]
    for repository in clone.sync.glob("repo.git*"):
        data = everything_in(repository, clone.repo.env)
        found += [repository.name for word in words if word in data]
    return found


def on_branch(origin: Repo, *words: bytes) -> list[bytes]:
    """Which of *words* the branch of the remote can be asked for, its whole history included."""
    data = everything_in(origin.path, origin.env, "a-sync")
    return [word for word in words if word in data]


async def settled(clone: Clone) -> None:
    await until(lambda: clone.daemon.keeper.refusal() is None)


def test_what_is_purged_is_nowhere_and_does_not_come_back_with_an_old_clone(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)
    words = (b"the purged word", b"the deleted word", b"the word of who was away")

    async def story() -> None:
        old = clone_of(origin, "two")
        async with serving(clone_of(origin, "one")) as one, serving(old) as two:
            await one.register("alice")
            await two.register("bob")
            await two.send("bob", "@bob", "the word of who was away")
            for number in range(3):
                await one.send("alice", "@alice", f"the purged word {number}")
                deleted = await one.send("alice", "@alice", f"the deleted word {number}")
                await one.call("message.delete", "alice", message_id=deleted)
                await one.force()
                await two.force()
        away = tmp_path / "away"
        shutil.copytree(old.path, away, symlinks=True)  # as a clone that lay on a shelf

        async with serving(Repo(one.repo.path, one.repo.path, one.repo.env)) as again:
            again.callers = one.callers
            await again.call("purge.execute", "alice", before=format_us(time.time_ns() // 1000))
            await again.send("alice", "@alice", "what stays")
            done = await again.call("sync.gc", "alice")
            assert done["rerooted"] or done["reason"] == "the branch has a single commit", done
            assert done["after"]["commits"] == 1 and done["after"]["files"] < done["before"]["files"]
            await settled(again)
            await until(lambda: not found_in(again, *words))
            assert not on_branch(origin, *words)

        shutil.rmtree(old.path)
        away.rename(old.path)
        async with serving(old) as back:
            back.callers = two.callers
            await back.send("bob", "@bob", "back again")
            await back.force()
            await settled(back)
            await until(lambda: not found_in(back, *words))
            assert not on_branch(origin, *words) and on_branch(origin, b"what stays", b"back again")
            assert await back.texts("bob") == ["back again"]
        async with serving(Repo(one.repo.path, one.repo.path, one.repo.env)) as last:
            last.callers = one.callers
            await last.force()
            await settled(last)
            assert not found_in(last, *words) and await last.texts("alice") == ["what stays"]

    asyncio.run(story())


def test_a_purge_alone_lets_the_history_begin_anew(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await one.register("alice")
            for number in range(3):
                await one.send("alice", "@alice", f"the purged word {number}")
                await one.force()
            assert on_branch(origin, b"the purged word") and (await one.status())["commits"] == 3
            await one.call("purge.execute", "alice", before=format_us(time.time_ns() // 1000))
            await one.force()
            await settled(one)

            async def is_gone() -> bool:
                return not on_branch(origin, b"the purged word") and not found_in(one, b"the purged word")

            await until(is_gone)
            assert (await one.status())["commits"] == 1

    asyncio.run(story())


def test_gc_tells_what_there_is_to_do_and_does_it(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await one.register("alice")
            for number in range(5):
                await one.send("alice", "@alice", f"message {number}")
                await one.force()
            await one.send("alice", "@alice", "not published yet")
            tip, files = origin.git("rev-parse", "a-sync"), one.files()
            told = await one.call("sync.gc", "alice", dry_run=True)
            assert told["published"] >= 1
            assert told["dry_run"] and told["rolled_up"] and not told["rerooted"]
            assert told["before"] == told["after"] and told["before"]["commits"] == 5
            assert origin.git("rev-parse", "a-sync") == tip and one.files() == files

            await one.force()
            told = await one.call("sync.gc", "alice", dry_run=True)
            done = await one.call("sync.gc", "alice")
            assert told["published"] == 0 and told["rolled_up"] == done["rolled_up"] > 1
            assert done["rerooted"] and "reason" not in done
            assert (done["before"]["commits"], done["after"]["commits"]) == (6, 1)
            assert done["after"]["bytes"] < done["before"]["bytes"]
            assert origin.git("rev-list", "--count", "a-sync") == "1"
            assert len(await one.texts("alice")) == 6 and (await one.call("log.verify"))["ok"]
            again = await one.call("sync.gc", "alice")
            assert not again["rerooted"] and again["reason"] == "the branch has a single commit"
            with pytest.raises(AnonymousCaller):
                await one.call("sync.gc")

    asyncio.run(story())


def test_gc_where_the_log_stays_here_does_its_own_part(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        repo = clone_of(origin, "one")
        async with serving(repo) as one:
            await one.register("alice")
            await one.send("alice", "@alice", "the first")
            await one.force()
            assert (one.sync / "repo.git").exists()
            one.daemon.opened.settings.set("daemon.local_only", True)
            await one.send("alice", "@alice", "the second")
            done = await one.call("sync.gc", "alice")
            assert done["local_only"] and not done["rerooted"] and "daemon.local_only" in done["reason"]
            assert done["published"] and not (one.sync / "repo.git").exists()
            assert "the second" not in origin.git("log", "-p", "a-sync")

            one.daemon.opened.settings.set("daemon.local_only", False)  # what was let go comes back by itself
            assert (await one.force())["pushed"]
            assert on_branch(origin, b"the first", b"the second")
            assert (await one.call("log.verify"))["ok"]

    asyncio.run(story())


def test_gc_without_the_remote_says_so_and_does_the_rest(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await one.register("alice")
            for number in range(3):
                await one.send("alice", "@alice", f"message {number}")
                await one.force()
            origin.path.rename(tmp_path / "elsewhere")
            done = await one.call("sync.gc", "alice")
            assert not done["rerooted"] and done["reason"].startswith("cannot reach origin")
            assert done["rolled_up"] and not done["local_only"]

    asyncio.run(story())


def test_status_tells_sizes_lag_and_what_is_held_back(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await one.register("alice")
            await two.register("bob")
            await one.force()
            await two.force()
            await one.force()
            status = await one.status()
            assert status["bytes"] > 0 and status["files"] >= 3 and status["commits"] == 2
            assert (
                status["usage"]["published"]["files"] == len(one.files()) + 2
            )  # FORMAT, and the link to repo.git
            assert {each["daemon_id"] for each in status["daemons"]} == {
                one.daemon.opened.daemon_id,
                two.daemon.opened.daemon_id,
            }
            assert [each["is_local"] for each in status["daemons"] if "is_local" in each] == [True]
            assert all(each["name"] and 0 <= each["lag_s"] < 60 for each in status["daemons"])
            assert not status.get("held_back") and not status.get("warnings")

            one.daemon.opened.settings.set("daemon.sync.budget_mb", 1)
            with (one.sync / "journal/large").open("wb") as stream:
                stream.truncate(2 << 20)
            (warning,) = (await one.status())["warnings"]
            assert "more than daemon.sync.budget_mb allows (1.0 MiB)" in warning
            assert f"sync: {warning}" in (await one.call("daemon.status"))["warnings"]
            (one.sync / "journal/large").unlink()

    asyncio.run(story())


def test_a_refused_beginning_shows_in_the_status(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    origin = bare(tmp_path / "host", isolated_home)
    origin.git("config", "receive.denyNonFastForwards", "true")

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await one.register("alice")
            for number in range(2):
                await one.send("alice", "@alice", f"message {number}")
                await one.force()
            done = await one.call("sync.gc", "alice")
            assert not done["rerooted"] and "origin does not take the branch" in done["reason"]
            status = await one.status()
            assert status["sync_state"] == "synced" and "may not begin anew" in status["history_kept"]
            assert status["history_kept"] in status["warnings"]

    asyncio.run(story())


def test_retention_purges_a_day_at_a_time_and_only_where_something_is_old(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)
    clock = Later()

    async def story() -> None:
        repo = clone_of(origin, "one", retention_days=7)
        async with serving(repo, clock=clock) as one:
            await one.register("alice")
            retention = one.daemon.retention
            await one.send("alice", "@alice", "the old word")
            assert not await retention.look()
            clock.days = 6
            await one.send("alice", "@alice", "the new word")
            assert not await retention.look()
            clock.days = 8
            assert await retention.look() and not await retention.look()
            await settled(one)
            assert await one.texts("alice") == ["the new word"] and not one.holding(b"the old word")
            status = await one.status()
            assert status["retention_days"] == 7 and status["purged_before"] < format_us(clock.now_us())
            (event,) = (await one.call("log.show", type="purge.executed"))["events"]
            assert event["event"]["by"] == "daemon"

            clock.days = 12  # a day later and more, but nothing is old enough: nothing is written
            assert not await retention.look()
            clock.days = 20
            one.daemon.opened.settings.set("daemon.retention_days", 0)
            assert not await retention.look()
            assert await one.texts("alice") == ["the new word"]
            one.daemon.opened.settings.set(
                "daemon.retention_days", 7
            )  # heard by the loop, which does it itself
            await one.call("config.show")

            async def is_purged() -> bool:
                return one.daemon.keeper.refusal() is None and not await one.texts("alice")

            await until(is_purged)

    asyncio.run(story())

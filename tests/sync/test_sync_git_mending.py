"""Published files that are damaged or destroyed here: made good from git where they can be, told where they cannot."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from sync_clones import Clone, bare, clone_of, serving

from thrum_kernel.api import Caller
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.waiting import until_on_loop as until


def message_files(clone: Clone) -> list[Path]:
    return sorted(clone.published.glob("messages/**/*.jsonl"))


def damage(path: Path) -> bytes:
    """Flip a byte in the middle, as a bad sector does; what it was."""
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[: len(data) // 2] + b"#" + data[len(data) // 2 + 1 :])
    return data


async def talked(origin: Repo, clone: Clone) -> None:
    await clone.register("alice")
    for number in range(3):
        await clone.send("alice", "@alice", f"message {number}")
        await clone.force()


def test_damaged_and_missing_files_come_back_from_our_own_commits(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await talked(origin, one)
            (first, second, third) = message_files(one)
            (head, *_) = sorted(one.published.glob("events/**/*.jsonl"))
            before = damage(first), second.read_bytes(), damage(head)
            second.unlink()
            assert sorted(await one.daemon.mender.look()) == sorted(
                str(path.relative_to(one.published)) for path in (first, second, head)
            )
            assert (first.read_bytes(), second.read_bytes(), head.read_bytes()) == before
            assert await one.daemon.mender.look() == [] and one.daemon.mender.problems == []
            found = await one.call("log.verify")
            assert found["ok"], found["problems"]

            damage(third)  # whoever looks has it mended
            assert not (await one.call("log.verify"))["ok"]
            await until(lambda: one.daemon.mender.problems == [] and b"#" not in third.read_bytes())
            assert (await one.call("log.verify"))["ok"]

    asyncio.run(story())


def test_gc_where_nothing_travels_mends_before_it_lets_the_last_whole_copy_go(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await talked(origin, one)
            one.daemon.opened.settings.set("daemon.local_only", True)
            await one.force()
            path = message_files(one)[0]
            damage(path)
            done = await one.call("sync.gc", "alice")
            assert done["local_only"] and done["after"]["repository"]["bytes"] == 0
            assert (await one.call("log.verify"))["ok"]

    asyncio.run(story())


def test_what_a_rebuild_could_not_read_counts_once_it_is_mended(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await talked(origin, one)
            damage(message_files(one)[1])
            await one.daemon.keeper.rebuild()  # notices

            async def is_whole() -> bool:
                return len(await one.texts("alice")) == 3

            await until(is_whole)
            assert one.daemon.keeper.problems == {}

    asyncio.run(story())


def test_what_is_whole_nowhere_is_told_and_waits_until_somebody_gives_it_up(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        here, there = clone_of(origin, "one"), clone_of(origin, "two")
        async with serving(here) as one:
            await talked(origin, one)
            async with serving(there) as two:
                await two.register("bob")
                await two.force()
            victim = message_files(one)[1]
            name = str(victim.relative_to(one.published))
        kept = victim.read_bytes()
        lose(origin, here, name)
        async with serving(here) as one:
            one.callers.update(caller_of(one, "alice"))
            assert await one.daemon.mender.look() == []
            assert name in one.daemon.mender.problems[0]
            assert any(name in problem for problem in (await one.status())["problems"])
            told = await one.call("sync.gc", "alice")
            assert not told["rerooted"] and name in told["reason"]
            assert told["lost"] == [{"path": name, "events": 1}]
            done = await one.call("sync.gc", "alice", forget_lost=True)
            assert done["rerooted"] and done["lost"] == told["lost"] and "reason" not in done
            assert origin.git("rev-list", "--count", "a-sync") == "1"
            verified = await one.call("log.verify")  # it is told of as ever
            assert name in [problem["path"] for problem in verified["problems"]]

            async with serving(there) as two:  # who has it brings it back
                two.callers.update(caller_of(two, "bob"))
                assert (two.published / name).read_bytes() == kept
                await two.register("carl")
                await two.force()
            await one.force()
            assert (one.published / name).read_bytes() == kept
            assert (await one.call("log.verify"))["ok"]

    asyncio.run(story())


def caller_of(clone: Clone, name: str) -> dict[str, Caller]:
    return {name: Caller("agent", name, worktree=clone.repo.path, cwd=clone.repo.path)}


def lose(origin: Repo, here: Repo, name: str) -> None:
    """Destroy every copy of a published file but those in other clones: as a host that lost objects, a disk that went."""
    work = origin.path.parent / "surgery"
    origin.git("clone", "-q", "--branch", "a-sync", str(origin.path), str(work))
    surgery = Repo(work, work, origin.env)
    for key, value in (("user.name", "host"), ("user.email", "host@example.org")):
        surgery.git("config", key, value)
    surgery.git("checkout", "-q", "--orphan", "fresh")
    surgery.git("rm", "-q", "--cached", name)
    surgery.git("commit", "-q", "-m", "Thrum-History: 3")
    surgery.git("push", "-q", "--force", "origin", "fresh:a-sync")
    sync = here.path / ".git/thrum-sync"
    (sync / "a-sync" / name).unlink()
    shutil.rmtree(sync / "repo.git")


def objects(clone: Clone, kind: str) -> list[Path]:
    """Files of our own repository that hold objects: loose ones, or packs."""
    folder = clone.sync / "repo.git/objects"
    return sorted(folder.glob("pack/*.pack" if kind == "pack" else "[0-9a-f][0-9a-f]/*"))


@pytest.mark.parametrize("kind", ["loose", "pack", "gone"])
def test_damaged_objects_of_our_own_repository_are_noticed_before_anybody_needs_them(
    tmp_path: Path, isolated_home: dict[str, str], kind: str
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await talked(origin, one)
            assert await one.daemon.mender.is_repository_sound()
            if kind == "pack":
                await one.call("sync.gc", "alice")
            path = max(objects(one, kind), key=lambda path: path.stat().st_size)
            if kind == "gone":
                path.unlink()
            else:
                damage(path)
            pushes = one.daemon.travel.pushes

            found = await one.call("log.verify")

            assert [problem["kind"] for problem in found["problems"]] == ["repository"] and not found["ok"]
            assert (one.sync / "repo.git.damaged").is_dir()
            await until(lambda: (one.sync / "repo.git/HEAD").exists() and not one.daemon.travel.has_news)
            assert (await one.call("log.verify"))["ok"]
            await one.send("alice", "@alice", "afterwards")
            await one.force()
            assert one.daemon.travel.pushes > pushes and not one.daemon.travel.last_error
            async with serving(clone_of(origin, "fresh")) as fresh:
                assert len(fresh.files()) == len(one.files())
            await one.call("sync.gc", "alice")
            assert not (one.sync / "repo.git.damaged").exists()

    asyncio.run(story())


def test_a_repository_that_an_exchange_is_changing_is_no_damaged_one(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await one.register("alice")
            looks = []
            for number in range(4):
                await one.send("alice", "@alice", f"message {number}")
                look = asyncio.ensure_future(one.daemon.mender.is_repository_sound())
                await one.call("sync.gc", "alice")
                looks.append(await look)
            assert all(looks) and not (one.sync / "repo.git.damaged").exists()

    asyncio.run(story())


def test_a_repository_that_let_go_of_commits_is_no_damaged_one(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        settings = Path(isolated_home["GIT_CONFIG_GLOBAL"])
        settings.write_text(
            f"{settings.read_text() if settings.exists() else ''}[fsck]\n\tskipList = /nowhere\n"
        )
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await talked(origin, one)
            await two.register("bob")
            await one.call("sync.gc", "alice")
            for number in range(2):
                await two.send("bob", "@bob", f"message {number}")
                await two.force()
                await one.force()
                await one.call("sync.gc", "alice")
            origin.git("update-ref", "-d", "refs/heads/a-sync")
            for clone in (two, one, two):
                await clone.force()
                await clone.call("sync.gc", next(iter(clone.callers)))
                assert (await clone.call("log.verify"))["ok"]
                assert not (clone.sync / "repo.git.damaged").exists()

    asyncio.run(story())

"""The history of the branch begins anew: who was away comes along, who is refused goes on, nothing is lost with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sync_sides import Side, remote_files, remote_text

from thrum_kernel.clock import SystemClock
from thrum_kernel.settings.core import Sync
from thrum_kernel.sync.history import ASK_AGAIN_US, History, number_in, numbered
from thrum_kernel.sync.remote import Remote
from thrum_kernel.sync.repository import BRANCH
from thrum_kernel.testing.harness import Repo

ONE = "d_01JABCDEFGHJKMNPQRSTVWXYZ1"
TWO = "d_01JABCDEFGHJKMNPQRSTVWXYZ2"
OFTEN = Sync(reroot_commits=3)

Story = Callable[[Side, Side], Awaitable[None]]


@pytest.fixture
def origin(tmp_path: Path, isolated_home: dict[str, str]) -> Repo:
    path = tmp_path / "host/origin.git"
    path.mkdir(parents=True)
    repo = Repo(path, path, isolated_home)
    repo.git("init", "-q", "--bare")
    return repo


def cloned(origin: Repo, name: str) -> Repo:
    path = origin.path.parent / name
    path.mkdir()
    repo = Repo(path, path, origin.env)
    repo.git("init", "-q")
    repo.git("remote", "add", "origin", str(origin.path))
    return repo


def tell(origin: Repo, story: Story, settings: Sync | None = None) -> None:
    async def main() -> None:
        one = Side(cloned(origin, "one"), ONE, settings=settings)
        await story(one, Side(cloned(origin, "two"), TWO, settings=settings))

    asyncio.run(main())


def commits(origin: Repo) -> int:
    return int(origin.git("rev-list", "--count", "a-sync"))


def objects(side: Side) -> set[str]:
    """Every object in our repository, in packs or not."""
    own = Repo(side.folder, side.folder, side.repo.env)
    told = own.git(
        "--git-dir=repo.git", "cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"
    )
    return {line.split()[0] for line in told.splitlines()}


def reachable(side: Side) -> set[str]:
    """The objects that the branch needs."""
    own = Repo(side.folder, side.folder, side.repo.env)
    told = own.git("--git-dir=repo.git", "rev-list", "--objects", "refs/heads/a-sync")
    return {line.split()[0] for line in told.splitlines()}


async def agree(origin: Repo, *sides: Side) -> None:
    """Exchange until nobody has anything to say; then all have the same."""
    for _ in range(4):
        for side in sides:
            await side.sync()
    assert all(side.lines() == sides[0].lines() for side in sides)
    assert all(side.files() == remote_files(origin) - {"FORMAT"} for side in sides)


def test_the_branch_never_has_many_more_commits_than_wanted(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        for number in range(8):
            await one.house.committer.send(f"one {number}")
            await one.sync()
            await two.house.committer.send(f"two {number}", agent="bob")
            await two.sync()
            assert commits(origin) <= 3
        await agree(origin, one, two)
        assert len(one.lines()) == 16
        for side in (one, two):  # the commits that were let go are not on the disk any more
            await side.house.committer.send("more")
            await side.exchange.run(anew=True)
            assert objects(side) == reachable(side)

    tell(origin, story, OFTEN)


def test_a_fresh_clone_does_not_download_the_history(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        for number in range(6):
            await one.house.committer.send(f"one {number}")
            await one.sync()
        await two.exchange.run()
        own = Repo(two.folder, two.folder, two.repo.env)
        assert commits(origin) == 6
        assert own.git("--git-dir=repo.git", "rev-list", "--count", "refs/heads/a-sync") == "1"
        await two.house.committer.send(
            "on top", agent="bob"
        )  # the number goes on though nobody here can count
        await two.sync()
        assert number_in(origin.git("log", "-1", "--format=%B", "a-sync")) == commits(origin) == 7
        await agree(origin, one, two)

    tell(origin, story)


def test_who_was_away_comes_back_from_an_old_base_with_what_was_never_pushed(origin: Repo) -> None:
    class Unreachable(Remote):
        def push(self, commit: str, *, branch: str = BRANCH) -> None:
            raise InterruptedError

    async def story(one: Side, two: Side) -> None:
        for number in range(3):
            await one.house.committer.send(f"one {number}")
            await one.sync()
            await two.sync()
        for number in range(2):  # commits of its own that nobody gets to see
            await two.house.committer.send(f"unpushed {number}", agent="bob")
            await two.house.publisher.cut_now()
            lost = two.with_remote(Unreachable(two.choice, runner=two.runner, cwd=two.repo.path))
            with pytest.raises(InterruptedError):
                await lost.run()
        for number in range(3):
            await one.house.committer.send(f"meanwhile {number}")
            await one.house.publisher.cut_now()
            assert (await one.exchange.run(anew=True)).has_begun_anew
        assert commits(origin) == 1
        back = Side(two.repo, TWO)
        done = await back.sync()
        assert done.received == 3 and done.is_pushed and commits(origin) == 2
        await agree(origin, one, back)
        text = remote_text(origin)
        assert len(one.lines()) == 8 and "unpushed 1" in text and "meanwhile 2" in text
        assert objects(back) == reachable(back)

    tell(origin, story)


def test_two_who_begin_anew_at_once_lose_nothing(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        for side, agent in ((one, "alice"), (two, "bob")):
            side.exchange._pause = asyncio.sleep
            await side.house.committer.send(f"first of {agent}", agent=agent)
            await side.sync()
        for number in range(4):
            await one.house.committer.send(f"one {number}")
            await two.house.committer.send(f"two {number}", agent="bob")
            await asyncio.gather(one.house.publisher.cut_now(), two.house.publisher.cut_now())
            await asyncio.gather(one.exchange.run(anew=True), two.exchange.run(anew=True))
        await agree(origin, one, two)
        assert len(one.lines()) == 10 and commits(origin) <= 2

    tell(origin, story)


def test_who_is_outrun_while_it_begins_anew_takes_that_first(origin: Repo) -> None:
    class Outrun(Remote):
        """Somebody else pushes, or begins anew, before we do."""

        tries = 0

        def begin_anew(self, commit: str, tip: str) -> None:
            self.tries += 1
            if self.tries == 1:
                asyncio.run_coroutine_threadsafe(other(), loop).result(20)
            super().begin_anew(commit, tip)

    loop: asyncio.AbstractEventLoop
    other: Callable[[], Coroutine[Any, Any, object]]

    async def story(one: Side, two: Side) -> None:
        nonlocal loop, other
        loop = asyncio.get_running_loop()
        await one.house.committer.send("from one")
        await one.sync()
        for number, anew in enumerate((False, True)):
            await two.house.committer.send(f"from two {number}", agent="bob")
            await two.house.publisher.cut_now()
            await one.house.committer.send(f"from one {number}")
            await one.house.publisher.cut_now()

            async def outrun(anew: bool = anew) -> object:
                return await two.exchange.run(anew=anew)

            other = outrun
            remote = Outrun(one.choice, runner=one.runner, cwd=one.repo.path)
            done = await one.with_remote(remote).run(anew=True)
            assert done.has_begun_anew and remote.tries == 2 and commits(origin) == 1
        await agree(origin, one, Side(two.repo, TWO))
        assert len(one.lines()) == 5

    tell(origin, story)


@pytest.mark.parametrize("how", ["config", "hook"])
def test_where_the_remote_forbids_it_the_branch_grows_and_that_is_told(origin: Repo, how: str) -> None:
    if how == "config":
        origin.git("config", "receive.denyNonFastForwards", "true")
    else:
        hook = origin.path / "hooks/update"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(
            "#!/bin/sh\n"
            "case $2 in *[!0]*) ;; *) exit 0;; esac\n"
            "git merge-base --is-ancestor $2 $3 && exit 0\n"
            "echo 'Cannot force-push to this branch' >&2; exit 1\n"
        )
        hook.chmod(0o755)

    async def story(one: Side, two: Side) -> None:
        for number in range(6):
            await one.house.committer.send(f"one {number}")
            assert (await one.sync()).is_pushed
        assert commits(origin) == 6
        assert "origin does not take the branch a-sync" in one.exchange.refusal
        again = Side(one.repo, ONE, settings=OFTEN)  # a restart does not ask again
        asked = again.runner.words.count("push")
        await again.house.committer.send("again")
        await again.sync()
        assert again.runner.words.count("push") == asked + 1 and again.exchange.refusal
        done = await again.exchange.run(anew=True)  # but a person may
        assert not done.has_begun_anew and done.kept == again.exchange.refusal
        await agree(origin, again, two)

    tell(origin, story, OFTEN)


def test_a_remote_that_refused_is_asked_again_after_a_week(tmp_path: Path) -> None:
    class Later(SystemClock):
        ahead_us = 0

        def now_us(self) -> int:
            return super().now_us() + self.ahead_us

    clock = Later()

    def known() -> History:
        return History(tmp_path / "history.json", settings=lambda: OFTEN, clock=clock, spread=lambda: 1.0)

    history = known()
    assert not history.why("origin", 2) and "3 commits" in history.why("origin", 3)
    history.refused("origin", "no")
    assert known().refusal("origin") == "no" and not known().why("origin", 100)
    assert known().why("upstream", 100) and not known().refusal("upstream")
    clock.ahead_us = ASK_AGAIN_US
    assert not known().refusal("origin") and known().why("origin", 100)
    (tmp_path / "history.json").write_text("torn")
    assert known().why("origin", 100)


def test_a_purge_lets_the_history_begin_anew_once_an_hour(tmp_path: Path) -> None:
    class Later(SystemClock):
        ahead_us = 0

        def now_us(self) -> int:
            return super().now_us() + self.ahead_us

    clock, settings = Later(), Sync(reroot_commits=0)
    history = History(tmp_path / "history.json", settings=lambda: settings, clock=clock)
    assert not history.why("origin", 9)
    history.owe()
    assert history.why("origin", 9) == "something was purged"
    history.begun()
    history.owe()
    within_the_hour = history.is_owed
    clock.ahead_us = 3_600_000_001
    assert history.is_owed and not within_the_hour
    settings = Sync(reroot_after_purge=False)
    assert not history.is_owed


def test_clones_do_not_begin_anew_in_step(tmp_path: Path) -> None:
    many = Sync(reroot_commits=1000)
    histories = [
        History(tmp_path / f"{number}.json", settings=lambda: many, clock=SystemClock())
        for number in range(30)
    ]
    first = [
        next(count for count in range(1000, 1300) if history.why("origin", count)) for history in histories
    ]
    assert len(set(first)) > 10 and min(first) >= 1000 and max(first) <= 1250


def test_what_could_not_be_taken_keeps_its_history(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        for number in range(2):
            await two.house.committer.send(f"two {number}", agent="bob")
            await two.sync()
        victim = next(path for path in sorted(remote_files(origin)) if path.startswith("messages/"))
        later = origin.path.parent / "later"
        origin.git("clone", "-q", "-b", "a-sync", str(origin.path), str(later))
        clone = Repo(later, later, origin.env)
        (later / victim).write_bytes(b"overwritten\n")
        (later / "later/kind").mkdir(parents=True)
        (later / "later/kind/of.bin").write_bytes(b"\0of a later version")
        clone.git("add", "--all")
        clone.git("-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "-m", "meddled")
        clone.git("push", "-q", "origin", "a-sync")
        done = await one.exchange.run(anew=True)
        assert not done.has_begun_anew and victim in done.kept and commits(origin) == 3

        await two.sync()  # who has the sound file mends the branch, and then it may begin anew
        done = await one.exchange.run(anew=True)
        assert done.has_begun_anew and commits(origin) == 1
        assert origin.git("cat-file", "blob", "a-sync:later/kind/of.bin") == "\0of a later version"
        await two.sync()
        assert one.lines() == two.lines() and len(one.lines()) == 2

    tell(origin, story)


def test_a_listed_file_that_is_nowhere_keeps_the_history(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        await two.house.committer.send("two", agent="bob")
        await two.sync()
        victim = next(path for path in sorted(remote_files(origin)) if path.startswith("messages/"))
        later = origin.path.parent / "later"
        origin.git("clone", "-q", "-b", "a-sync", str(origin.path), str(later))
        clone = Repo(later, later, origin.env)
        clone.git("rm", "-q", victim)
        clone.git("-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "-m", "meddled")
        clone.git("push", "-q", "origin", "a-sync")
        done = await one.exchange.run(anew=True)
        assert not done.has_begun_anew and victim in done.kept
        await two.sync()
        assert (await one.exchange.run(anew=True)).has_begun_anew
        await agree(origin, one, two)

    tell(origin, story)


def test_what_a_killed_git_left_keeps_nothing(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        for number in range(3):
            await one.house.committer.send(f"one {number}")
            await one.sync()
        own = Repo(one.folder, one.folder, one.repo.env)
        own.git("--git-dir=repo.git", "repack", "-q", "-a", "-d")
        pack = next((one.folder / "repo.git/objects/pack").glob("*.pack"))
        left = [pack.with_suffix(".keep"), pack.with_name("tmp_pack_left"), one.folder / "repo.git/gc.pid"]
        for path in left:
            path.write_text("1 elsewhere")
        await one.exchange.run(anew=True)
        assert objects(one) == reachable(one) and not any(path.exists() for path in left)

    tell(origin, story)


def test_the_number_of_a_commit_is_read_from_its_last_line() -> None:
    assert number_in(numbered("sync: 1 files\n\n[skip ci]\n", 12)) == 12
    assert number_in("sync: 1 files\n\n[skip ci]\n") is None
    assert number_in("Thrum-History: none\n") is None

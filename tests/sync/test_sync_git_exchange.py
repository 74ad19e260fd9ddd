"""One exchange after another between two logs and a bare repository: what travels, what does not, what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sync_clones import fingerprint
from sync_sides import Side, at_once, remote_files, remote_text

from thrum_kernel.errors import FormatTooNew, GitFailed
from thrum_kernel.store.files import digest
from thrum_kernel.sync.branch_format import ForeignBranch
from thrum_kernel.sync.remote import Raced, Remote, RemoteFailed
from thrum_kernel.sync.repository import BRANCH, Repository
from thrum_kernel.testing.harness import Repo

ONE = "d_01JABCDEFGHJKMNPQRSTVWXYZ1"
TWO = "d_01JABCDEFGHJKMNPQRSTVWXYZ2"

Story = Callable[[Side, Side], Awaitable[None]]


@pytest.fixture
def origin(tmp_path: Path, isolated_home: dict[str, str]) -> Repo:
    """A host's empty repository."""
    path = tmp_path / "host/origin.git"
    path.mkdir(parents=True)
    repo = Repo(path, path, isolated_home)
    repo.git("init", "-q", "--bare")
    return repo


class Counting(Repository):
    """Counts the blobs that are read."""

    read = 0

    @contextlib.contextmanager
    def blobs(self) -> Iterator[Any]:
        with super().blobs() as found:
            yield SimpleNamespace(expect=found.expect, read=lambda blob: self._counted(found.read(blob)))

    def _counted(self, data: bytes) -> bytes:
        self.read += 1
        return data


def cloned(origin: Repo, name: str) -> Repo:
    """A user's repository with that remote."""
    path = origin.path.parent / name
    path.mkdir()
    repo = Repo(path, path, origin.env)
    repo.git("init", "-q")
    with (path / ".git/config").open("a") as config:
        config.write(f'[remote "origin"]\n\turl = {origin.path}\n')
    return repo


def tell(origin: Repo, story: Story) -> None:
    """Run *story* with two clones of *origin*."""

    async def main() -> None:
        await story(Side(cloned(origin, "one"), ONE), Side(cloned(origin, "two"), TWO))

    asyncio.run(main())


def test_two_logs_become_one_and_nothing_is_written_when_there_is_nothing_to_say(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        await one.house.committer.send("from one")
        await two.house.committer.send("from two", agent="bob")
        assert (await one.sync()).is_pushed
        done = await two.sync()
        assert done.is_pushed and done.received == 1 and b"from one" in two.heard.lines[0]
        await one.sync()
        assert one.lines() == two.lines() and one.files() == two.files() == remote_files(origin) - {"FORMAT"}

        tip = origin.git("rev-parse", "a-sync")
        before = fingerprint(one.folder)
        one.runner.words.clear()
        done = await one.exchange.run()
        assert one.runner.words == ["ls-remote"] and not done.is_pushed and not done.received
        assert fingerprint(one.folder) == before and origin.git("rev-parse", "a-sync") == tip

        await one.house.committer.send("more")
        one.runner.words.clear()
        assert (await one.sync()).is_pushed
        assert one.runner.words == ["fast-import", "push"]

    tell(origin, story)


def test_a_push_without_a_look_goes_on_top_of_what_is_known_only(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        async def alone() -> None:
            await one.house.committer.send("at first", agent="carol")
            await one.sync()
            await one.exchange.run()
            await one.house.committer.send("from one", agent="carol")
            one.runner.words.clear()

        await alone()
        await two.house.committer.send("from two", agent="bob")
        await two.sync()
        done = await one.sync()
        words = one.runner.words
        assert words.index("fast-import") < words.index("push") < words.index("ls-remote")
        assert done.is_pushed and done.received == 1

        await two.house.committer.send("again", agent="bob")
        await two.sync()
        await one.house.committer.send("more")
        one.runner.words.clear()
        assert (await one.sync()).received == 1
        assert one.runner.words[0] == "ls-remote"  # somebody else pushes, so it is looked before

        await alone()
        await two.house.publisher.cut_now()
        assert (await two.exchange.run(anew=True)).has_begun_anew
        assert (await one.sync()).is_pushed and commits_on(origin) == 2

        await alone()
        origin.git("update-ref", "-d", "refs/heads/a-sync")
        assert (await one.sync()).is_pushed and commits_on(origin) == 1
        assert remote_files(origin) - {"FORMAT"} == one.files()

        await alone()
        origin.git("update-ref", "-d", "refs/heads/a-sync")
        forge(origin, "events.jsonl", b"{}\n")
        tip = origin.git("rev-parse", "a-sync")
        with pytest.raises(ForeignBranch):
            await one.sync()
        assert origin.git("rev-parse", "a-sync") == tip and one.exchange.has_news

    tell(origin, story)


def commits_on(origin: Repo) -> int:
    return int(origin.git("rev-list", "--count", "a-sync"))


def test_what_an_earlier_start_merged_is_not_read_again(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        for number in range(20):
            await one.house.committer.send(f"message {number}")
            await one.sync()
        again = Side(one.repo, ONE)
        again.repository = counting = Counting(
            again.folder / "repo.git", again.published, runner=again.runner
        )
        done = await again.with_remote(Remote(again.choice, runner=again.runner, cwd=one.repo.path)).run()
        assert not done.is_pushed and counting.read == 1  # FORMAT

    tell(origin, story)


def test_a_log_without_an_event_makes_no_branch(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        assert not (await one.sync()).is_pushed
        assert "a-sync" not in origin.git("branch")

    tell(origin, story)


def test_history_is_a_line_of_commits_of_our_own(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        for number in range(3):
            await one.house.committer.send(f"one {number}")
            await two.house.committer.send(f"two {number}")
            await one.sync()
            await two.sync()
        shown = origin.git("log", "--format=%P|%an|%ae|%G?|%B%x00", "a-sync").split("\0")[:-1]
        assert len(shown) == 6
        for entry in shown:
            parents, author, email, signed, message = entry.strip().split("|", 4)
            assert len(parents.split()) <= 1 and (author, email, signed) == ("Thrum", "thrum@local", "N")
            assert "[skip ci]" in message

    tell(origin, story)


def test_who_is_outrun_fetches_and_pushes_again(origin: Repo) -> None:
    class Outrun(Remote):
        """Somebody else pushes before our first push."""

        pushes = 0

        def push(self, commit: str, *, branch: str = BRANCH) -> None:
            self.pushes += 1
            if self.pushes == 1:
                asyncio.run_coroutine_threadsafe(other.sync(), loop).result(20)
            super().push(commit, branch=branch)

    loop: asyncio.AbstractEventLoop
    other: Side

    async def story(one: Side, two: Side) -> None:
        nonlocal loop, other
        loop, other = asyncio.get_running_loop(), two
        await one.house.committer.send("from one")
        await two.house.committer.send("from two", agent="bob")
        remote = Outrun(one.choice, runner=one.runner, cwd=one.repo.path)
        one.exchange = one.with_remote(remote)
        done = await one.sync()
        assert remote.pushes == 2 and done.is_pushed and done.received == 1
        await two.sync()
        assert one.lines() == two.lines() and len(one.lines()) == 2
        assert origin.git("rev-list", "--count", "a-sync") == "2"

    tell(origin, story)


def test_many_who_push_at_once_lose_nothing(origin: Repo) -> None:
    async def main() -> None:
        sides = [Side(cloned(origin, f"side{n}"), f"d_01JABCDEFGHJKMNPQRSTVWXYZ{n}") for n in range(3)]
        for side in sides:
            side.exchange._pause = asyncio.sleep
        for number in range(3):
            for at, side in enumerate(sides):
                await side.house.committer.send(f"{at} {number}", agent=f"agent{at}")
            await asyncio.gather(*(side.sync() for side in sides))
        for side in sides:
            await side.sync()
        assert all(side.lines() == sides[0].lines() for side in sides) and len(sides[0].lines()) == 9
        assert origin.git("rev-list", "--merges", "a-sync") == ""

    asyncio.run(main())


def test_rolled_up_files_replace_the_small_ones_everywhere(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        one.house.cutter._fan_in = 3
        await two.house.committer.send("beside", agent="bob")
        await two.sync()
        counts = []
        for number in range(7):
            await one.house.committer.send(f"message {number}")
            await one.sync()
            await two.sync()
            counts.append(len(remote_files(origin)))
            assert one.files() == two.files() == remote_files(origin) - {"FORMAT"}
        assert counts[2] < counts[1] and counts[5] < counts[4] and max(counts) <= 1 + 2 + 2 * 4
        assert one.lines() == two.lines() and len(two.lines()) == 8

    tell(origin, story)


def test_what_a_merge_left_behind_that_never_ended_goes_at_the_next_start(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        await one.house.committer.send("first")
        await one.sync()
        await two.sync()
        (whole,) = (two.published / "messages").rglob("*.jsonl")
        data = b"other bytes of the same window\n"
        stray = whole.with_name(f"{whole.name.rsplit('.', 2)[0]}.{digest(data)}.jsonl")
        stray.write_bytes(data)
        again = Side(two.repo, TWO)
        await one.house.committer.send("second")
        await one.sync()
        await again.sync()
        assert not stray.exists() and again.files() == one.files()

    tell(origin, story)


def test_a_deleted_text_goes_from_every_clone_and_never_comes_back(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        secret = await one.house.committer.send("the secret word")
        await one.sync()
        await two.sync()
        old = two.published.with_name("kept")
        shutil.copytree(two.published, old)
        await one.house.committer.delete(secret)
        await one.sync()
        assert "secret word" not in remote_text(origin)
        await two.sync()
        await two.sync()
        assert [path for path in two.house.holds("secret word") if "kept" not in path.parts] == []

        for path in old.rglob("*.jsonl"):  # a clone that was away for long brings its old files
            target = two.published / path.relative_to(old)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        shutil.rmtree(old)
        two.exchange.has_news = True
        await two.sync()
        one.exchange.has_news = True
        await one.sync()
        assert "secret word" not in remote_text(origin)
        assert one.house.holds("secret word") == []
        await two.sync()
        assert one.files() == remote_files(origin) - {"FORMAT"}

    tell(origin, story)


@pytest.mark.parametrize("lost", ["a-sync", "repo.git", "both", "file"])
def test_what_is_taken_away_comes_back(origin: Repo, lost: str) -> None:
    async def story(one: Side, two: Side) -> None:
        for number in range(3):
            await one.house.committer.send(f"one {number}")
            await one.sync()
        await two.sync()
        before, lines = two.files(), two.lines()
        if lost in ("a-sync", "both"):
            shutil.rmtree(two.published)
        if lost in ("repo.git", "both"):
            shutil.rmtree(two.folder / "repo.git")
        if lost == "file":
            (two.published / sorted(before)[-1]).unlink()
            two.exchange.tip = ""
        await two.house.publisher.cut_now()
        await two.exchange.run()
        assert two.files() == before and two.lines() == lines
        await two.house.committer.send("still works", agent="bob")
        assert (await two.sync()).is_pushed
        assert remote_files(origin) >= before

    tell(origin, story)


def test_a_damaged_repository_of_ours_is_put_aside_and_made_anew(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        await one.house.committer.send("one")
        await one.sync()
        for path in (one.folder / "repo.git/objects").rglob("*"):
            if path.is_file():
                path.chmod(0o600)
                path.write_bytes(b"rubbish")
        await one.house.committer.send("two")
        with pytest.raises(Exception, match="git"):
            await one.sync()
        assert (await one.sync()).is_pushed
        assert (one.folder / "repo.git.damaged").is_dir()
        await two.sync()
        assert two.lines() == one.lines() and len(one.lines()) == 2

    tell(origin, story)


@pytest.mark.parametrize("content", [b"", b"rubbish\n"])
def test_a_list_that_cannot_be_read_here_is_taken_from_the_remote_after_a_start(
    origin: Repo, content: bytes
) -> None:
    async def story(one: Side, two: Side) -> None:
        await one.house.committer.send("one")
        await one.sync()
        await two.house.committer.send("two", agent="bob")
        await two.sync()
        before, lines = two.files(), two.lines()
        for path in sorted(path for path in before if path.startswith("events")):
            (two.published / path).write_bytes(content)
        again = Side(two.repo, TWO)
        await again.sync()
        assert again.files() == before and again.lines() == lines

    tell(origin, story)


@pytest.mark.parametrize("name", ["HEAD", "config", "refs/heads/a-sync"])
def test_a_repository_of_ours_that_git_does_not_know_any_more_is_made_anew_also_before_the_remote_is_asked(
    origin: Repo, name: str
) -> None:
    async def story(one: Side, two: Side) -> None:
        await one.house.committer.send("one")
        await one.sync()
        await two.house.committer.send("two", agent="bob")
        await two.sync()
        (one.folder / "repo.git" / name).write_text("rubbish\n")
        with contextlib.suppress(GitFailed, RemoteFailed):
            await one.sync()
        await one.sync()
        assert one.lines() == two.lines() and len(one.lines()) == 2

    tell(origin, story)


def test_two_contents_of_one_name_are_told_and_ours_stays_and_mends_the_branch(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        await one.house.committer.send("the truth")
        await one.sync()
        await two.sync()
        path = next(path for path in sorted(one.files()) if path.startswith("messages"))
        content = (one.published / path).read_bytes()
        forge(origin, path, b"a lie\n")
        done = await two.sync()
        assert [(problem.kind, problem.path) for problem in done.problems] == [("conflict", path)]
        assert (two.published / path).read_bytes() == content and done.is_pushed
        assert two.exchange.problems == []
        assert "the truth" in remote_text(origin) and "a lie" not in remote_text(origin)

    tell(origin, story)


def test_a_file_that_is_not_what_its_name_tells_is_not_taken(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        await one.house.committer.send("the truth")
        await one.sync()
        path = next(path for path in sorted(one.files()) if path.startswith("messages"))
        forge(origin, path, b"a lie\n")
        done = await two.sync()
        assert [problem.kind for problem in done.problems] == ["damaged"]
        assert path not in two.files() and (await two.sync()).problems == []
        assert [problem.path for problem in two.exchange.problems] == [path]
        await one.sync()  # who has the file mends the branch, and it is taken
        assert (await two.sync()).received and two.lines() == one.lines() and two.exchange.problems == []

    tell(origin, story)


def test_names_that_are_not_of_the_log_are_neither_written_nor_removed(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        await one.house.committer.send("one")
        await one.sync()
        strange = [
            "README.md",
            "context/d_1/alice/evt_1.md",
            "events/x/y.jsonl",
            f"messages/{ONE}/a/0/.hidden",
            f"messages/{ONE}/alice/0/W.1-1.{'0' * 32}.jsonl",
        ]
        for path in strange:
            forge(origin, path, b"of a later version\n")
        await two.house.committer.send("two")
        await two.sync()
        assert set(strange) <= remote_files(origin)
        assert not any((two.published / path).exists() for path in strange)

    tell(origin, story)


def test_another_program_s_branch_is_left_alone(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        forge(origin, "events.jsonl", b"{}\n")
        tip = origin.git("rev-parse", "a-sync")
        await one.house.committer.send("one")
        with pytest.raises(ForeignBranch, match="a-sync of origin"):
            await one.sync()
        assert origin.git("rev-parse", "a-sync") == tip

    tell(origin, story)


def test_a_later_format_stops_the_exchange_and_nothing_else(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        await one.house.committer.send("one")
        await one.sync()
        forge(origin, "FORMAT", b'{"reader":99,"format":"thrum"}\n')
        tip = origin.git("rev-parse", "a-sync")
        await two.house.committer.send("two")
        with pytest.raises(FormatTooNew, match="reader version 99"):
            await two.sync()
        assert origin.git("rev-parse", "a-sync") == tip and len(two.lines()) == 1

    tell(origin, story)


def test_a_branch_that_was_deleted_or_begun_anew_is_filled_again(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        await one.house.committer.send("one")
        await two.house.committer.send("two", agent="bob")
        for side in (one, two, one):
            await side.sync()
        origin.git("branch", "-D", "a-sync")
        await two.house.committer.send("after", agent="bob")
        await two.sync()
        assert remote_files(origin) - {"FORMAT"} == two.files()
        tree = origin.git("rev-parse", "a-sync^{tree}")  # somebody re-roots
        commit = origin.git("-c", "user.name=x", "-c", "user.email=x@y", "commit-tree", tree, "-m", "anew")
        origin.git("update-ref", "refs/heads/a-sync", commit)
        await one.house.committer.send("on top")
        await one.sync()
        await two.sync()
        assert one.lines() == two.lines() and len(one.lines()) == 4
        assert origin.git("rev-list", "--count", "a-sync") == "2"

    tell(origin, story)


def test_what_came_before_a_crash_counts_after_it(origin: Repo) -> None:
    async def story(one: Side, two: Side) -> None:
        await one.house.committer.send("one")
        await one.sync()
        take = two.heard.take

        async def fails(units: object) -> int:
            raise OSError("lost power")

        two.heard.take = fails  # type: ignore[method-assign]
        with pytest.raises(OSError, match="lost power"):
            await two.sync()
        two.heard.take = take  # type: ignore[method-assign]
        await two.sync()
        assert len(two.heard.lines) == 1

    tell(origin, story)


def test_a_remote_that_always_outruns_us_is_given_up_for_now(origin: Repo) -> None:
    class Always(Remote):
        def push(self, commit: str, *, branch: str = BRANCH) -> None:
            raise Raced

    async def story(one: Side, two: Side) -> None:
        await one.house.committer.send("one")
        one.exchange = one.with_remote(Always(one.choice, runner=one.runner, cwd=one.repo.path))
        one.exchange._pause = at_once
        with pytest.raises(Exception, match="somebody else pushed first"):
            await one.sync()
        assert one.exchange.has_news

    tell(origin, story)


def forge(origin: Repo, path: str, data: bytes) -> None:
    """Put *data* at *path* of the remote's branch, as anybody who may push can."""
    work = origin.path.parent / "forger"
    if not work.exists():
        origin.git("clone", "-q", "--no-checkout", str(origin.path), str(work))
    clone = Repo(work, work, origin.env)
    clone.git("fetch", "-q", "origin")
    if "origin/a-sync" in clone.git("branch", "-r"):
        clone.git("checkout", "-q", "-B", "a-sync", "origin/a-sync")
    else:
        clone.git("checkout", "-q", "--orphan", "a-sync")
        clone.git("rm", "-rfq", "--ignore-unmatch", ".")
    (work / path).parent.mkdir(parents=True, exist_ok=True)
    (work / path).write_bytes(data)
    clone.git("add", "-f", path)
    clone.git("-c", "user.name=x", "-c", "user.email=x@y", "commit", "-q", "-m", "forged")
    clone.git("push", "-q", "origin", "a-sync")

"""What an earlier layout holds and looks like a secret: held back and released by name, unless the remote has it anyway."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace
from pathlib import Path

import migrate_layouts as layouts
import pytest
from migrate_house import deliveries, messages, migrate, numbers, preview, project, published, served
from migrate_team import Team
from sync_clones import Clone, bare, clone_of, configure, serving

from thrum_kernel import paths
from thrum_kernel.cli.texts.migrate import report_lines
from thrum_kernel.errors import Refused
from thrum_kernel.paths import Paths
from thrum_kernel.testing.harness import Repo

SECRET = "AKIA" + "IOSFODNN7EXAMPLE"


def told(*, edited: bool = False) -> tuple[Team, str]:
    """A team one of whom wrote a secret, which another one read; the message's id."""
    team = Team(messages=4)
    text = "the key follows" if edited else f"the key is {SECRET}, keep it"
    message = team.send("coord", text, to=["impl_api"], refs=[])
    if edited:
        body = {"format": "markdown", "content": f"it is {SECRET}"}
        team.write("message.edit", message_id=message, session_id="ses_coord", body=body)
    team.write("message.receipt", message_id=message, agent_id="impl_api", receipt_type="read")
    return team, message


def cloned(origin: Repo, name: str, **daemon: bool) -> Repo:
    """A clone in which somebody may commit."""
    repo = clone_of(origin, name, **daemon)
    repo.git("config", "user.name", "Ada")
    repo.git("config", "user.email", "ada@example.com")
    return repo


def prepared(origin: Repo, name: str, team: Team) -> Paths:
    """A clone with what the team wrote on a branch that was never pushed, migrated."""
    repo = cloned(origin, name)
    layouts.flat_branch(repo, team)
    where = paths.find(repo.path, env=repo.env)
    assert migrate(where).new > 0
    return where


def leaves(origin: Repo) -> bool:
    """Whether the secret is in any object of the remote."""
    objects = subprocess.run(
        ["git", "-C", str(origin.path), "cat-file", "--batch-all-objects", "--batch", "--unordered"],
        capture_output=True,
        check=True,
        env=origin.env,
    )
    return SECRET.encode() in objects.stdout


async def held(clone: Clone) -> list[str]:
    return [each["name"] for each in (await clone.call("sync.held"))["held"]]


def found(clone: Clone, message: str) -> list[tuple[str | None, bool]]:
    """The message as a clone has it: its text, and whether its recipient read it."""
    rows = clone.daemon.cache.read(
        "SELECT m.body, d.read_us IS NOT NULL FROM message m JOIN delivery d ON d.message = m.id"
        " WHERE 'msg_' || m.ulid = ?",
        (message,),
    )
    return [(text, bool(read)) for text, read in rows]


def test_what_looks_like_a_secret_is_told_before_and_held_back(repo: Repo) -> None:
    team, message = told()
    layouts.flat_branch(repo, team)
    where = project(repo)

    before = preview(where)
    done = migrate(where)
    files = published(where)
    kept = sorted((where.sync / "held").iterdir())
    again = migrate(where)

    assert before.held == done.held == [message] and again.held == []
    assert any(message in line and "would stay" in line for line in report_lines(before))
    assert numbers(before, "after") == numbers(done, "after") == numbers(again, "after")
    assert again.new == 0 and published(where) == files and sorted((where.sync / "held").iterdir()) == kept
    assert not any(SECRET.encode() in path.read_bytes() for path in where.published.rglob("*.jsonl"))
    with served(repo) as kernel:
        assert SECRET in messages(kernel)[message][1]
        assert {at is not None for name, _, _, at in deliveries(kernel) if name == message} == {True}
        assert kernel.call("log.verify")["held"] == 1


def test_a_release_lets_it_travel_with_who_read_it_and_once(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)
    team, message = told()
    one_at, two_at = prepared(origin, "one", team), prepared(origin, "two", team)
    assert published(one_at) == published(two_at)

    async def story() -> None:
        one_repo, two_repo = (replace(origin, path=where.repo) for where in (one_at, two_at))
        async with (
            serving(one_repo) as one,
            serving(two_repo) as two,
            serving(clone_of(origin, "fresh")) as fresh,
        ):
            for clone in (one, two, fresh):
                await clone.register(clone.repo.path.name)
            for clone in (one, two, fresh):
                await clone.force()
            assert not leaves(origin) and found(fresh, message) == []
            assert await held(one) == await held(two) == [message] and await held(fresh) == []

            with pytest.raises(Refused, match="only a person may release"):
                agent = replace(one.callers["one"], runtime_pid=4711)
                params = {"names": [message]}
                await one.daemon.dispatcher.call("sync.release", params, caller=agent)
            released = await one.call("sync.release", "one", names=[message])
            assert released["released"] == [f"evt_{message[4:]}"]
            for clone in (one, fresh, two):
                await clone.force()

            text = f"the key is {SECRET}, keep it"
            assert found(one, message) == found(two, message) == found(fresh, message) == [(text, True)]
            assert await held(one) == await held(two) == []
            again = await two.call("sync.release", "two", names=[message])
            assert again == {"released": [], "already": [message], "names": []}
            pushes = two.daemon.travel.pushes
            await two.force()
            assert two.daemon.travel.pushes == pushes
            for clone in (one, two, fresh):
                checked = await clone.call("log.verify")
                assert checked["ok"] and checked["held"] == 0, checked
            assert one.files() >= published(one_at).keys()

    asyncio.run(story())
    assert migrate(one_at).new == migrate(two_at).new == 0
    assert published(one_at).keys() >= published(two_at).keys() - {"FORMAT"}


def test_an_edit_alone_is_held_back_and_released_with_its_message(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)
    team, message = told(edited=True)
    where = prepared(origin, "one", team)

    async def story() -> None:
        async with (
            serving(replace(origin, path=where.repo)) as one,
            serving(clone_of(origin, "fresh")) as fresh,
        ):
            await one.register("one")
            await fresh.register("fresh")
            await one.force()
            await fresh.force()
            assert found(fresh, message) == [("the key follows", True)] and not leaves(origin)
            await one.call("sync.release", "one", all=True)
            await one.force()
            await fresh.force()
            assert found(fresh, message) == [(f"it is {SECRET}", True)]

    asyncio.run(story())


def test_a_held_one_that_is_deleted_travels_without_its_text(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)
    team, message = told()
    where = prepared(origin, "one", team)

    async def story() -> None:
        async with (
            serving(replace(origin, path=where.repo)) as one,
            serving(clone_of(origin, "fresh")) as fresh,
        ):
            await fresh.register("fresh")
            await one.register("one")
            await one.call("agent.adopt", "one", name="coord@lap", force=True)
            one.callers["coord"] = replace(one.callers["one"], agent_id="coord")
            await one.call("message.delete", "coord", message_id=message)
            await one.force()
            await fresh.force()
            assert await held(one) == [] and not leaves(origin)
            assert all("a-sync.before-thrum" in str(path) for path in one.holding(SECRET.encode()))
            assert [text for text, _ in found(fresh, message)] == [None]

    asyncio.run(story())


def test_what_the_remote_has_for_long_is_told_and_not_held_back(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)
    repo = cloned(origin, "one", local_only=True)
    team, message = told()
    layouts.flat_branch(repo, team)
    repo.git("push", "-q", "origin", "a-sync")
    later = team.send("coord", f"the next one is {SECRET}", to=["rev"], refs=[])
    layouts.write_flat(repo.path / ".git/thrum-sync/a-sync", team)
    where = paths.find(repo.path, env=repo.env)

    report = migrate(where)

    assert report.left_before == [message] and report.held == [later]
    assert any("origin has had them for long" in line and message in line for line in report_lines(report))
    files = b"".join(path.read_bytes() for path in where.published.rglob("*.jsonl"))
    assert files.count(SECRET.encode()) == 1


def test_another_remote_that_has_it_lets_nothing_through(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)
    repo = cloned(origin, "one", local_only=True)
    team, message = told()
    layouts.monolith(repo, team)
    repo.git("clone", "-q", "--bare", ".", str(tmp_path / "mine.git"))
    repo.git("remote", "add", "mine", str(tmp_path / "mine.git"))
    repo.git("fetch", "-q", "mine")
    where = paths.find(repo.path, env=repo.env)

    assert preview(where).held == [message]
    configure(repo.path, local_only=True, sync={"remote": "mine"})
    assert preview(where).left_before == [message]

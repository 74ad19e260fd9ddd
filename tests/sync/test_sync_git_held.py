"""What looks like a secret stays on its machine until it is released by name, and then travels once."""

from __future__ import annotations

import asyncio
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sync_clones import Clone, bare, clone_of, configure, serving

from thrum_kernel.api import Caller
from thrum_kernel.clock import format_us
from thrum_kernel.errors import NotFound, Refused, UsageError
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.waiting import until_on_loop as until

SECRET = "AKIA" + "IOSFODNN7EXAMPLE"
TEXT = f"the key is {SECRET}, keep it"


def leaves(origin: Repo) -> bool:
    """Whether the secret is in any object of the remote, reachable or not."""
    objects = subprocess.run(
        ["git", "-C", str(origin.path), "cat-file", "--batch-all-objects", "--batch", "--unordered"],
        capture_output=True,
        check=True,
        env=origin.env,
    )
    return SECRET.encode() in objects.stdout


async def acquainted(one: Clone, two: Clone) -> None:
    """Alice on one and bob on two know each other."""
    await one.register("alice")
    await two.register("bob")
    await meet(one, two)
    await one.force()


async def meet(one: Clone, two: Clone) -> None:
    await one.force()
    await two.force()


async def names(clone: Clone) -> list[str]:
    return [each["name"] for each in (await clone.call("sync.held"))["held"]]


async def sound(clone: Clone) -> None:
    found = await clone.call("log.verify")
    assert found["ok"], found["problems"]


def test_a_secret_stays_here_until_it_is_released_and_then_arrives_once(
    tmp_path: Path, isolated_home: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await acquainted(one, two)
            await one.register("carol")
            sent = await one.call("message.send", "alice", content=TEXT, to=["@bob", "@carol"])
            message = sent["message_id"]
            event = f"evt_{message[4:]}"
            assert sent["held"] == {
                "event_id": event,
                "patterns": ["aws-access-key"],
                "release": f"thrum sync release {message}",
            }
            assert await names(one) == [message]  # at once, as the sender was told
            after = await one.send("alice", "@bob", "and this is no secret")
            assert "held" not in await one.call("message.edit", "alice", message_id=after, content="indeed")
            await meet(one, two)
            assert await two.texts("bob") == ["indeed"] and await one.texts("carol") == [TEXT]
            assert not leaves(origin) and not two.holding(SECRET.encode())
            assert (await one.status())["held"] == [message] and "held" not in await two.status()
            (held,) = (await one.call("sync.held"))["held"]
            assert held["excerpt"] == "the key is [aws-access-key]…" and held["agent_id"] == "alice"
            assert (held["type"], held["message_id"], held["event_id"]) == ("message.create", message, event)
            await sound(one)
            await sound(two)
            assert (await one.call("log.verify"))["held"] == 1 and "held" in told_of_windows(two)

            before = await one.call("message.list", "carol", for_agent="carol")
            done = await one.call("sync.release", "alice", names=[message])
            assert done == {"released": [event], "already": [], "names": [message]}
            await meet(one, two)
            assert await two.texts("bob") == [TEXT, "indeed"]
            assert await one.texts("carol") == [TEXT] and await names(one) == []
            assert (await one.call("log.verify"))["held"] == 0
            assert await one.call("message.list", "carol", for_agent="carol") == before
            assert leaves(origin)
            again = await one.call("sync.release", "alice", names=[message])
            assert again == {"released": [], "already": [message], "names": []}
            await meet(one, two)
            assert await two.texts("bob") == [TEXT, "indeed"]
            await sound(one)
            await sound(two)

    asyncio.run(story())
    assert SECRET not in caplog.text and "aws-access-key" in caplog.text


def told_of_windows(clone: Clone) -> str:
    """The first lines of all events files."""
    return "\n".join(p.read_text().partition("\n")[0] for p in clone.published.glob("events/**/*.jsonl"))


def test_what_is_held_back_outlives_restarts_rebuilds_and_the_cache(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        here, there = clone_of(origin, "one"), clone_of(origin, "two")
        async with serving(here) as one, serving(there) as two:
            await acquainted(one, two)
            await one.register("carol")
            message = await one.send("alice", "@carol", TEXT)
            await one.call("message.edit", "alice", message_id=message, content=f"{TEXT}!")
            await one.send("carol", "@alice", "thanks")
            await one.force()
            await one.daemon.keeper.rebuild()
            assert await one.texts("carol") == [f"{TEXT}!"]
            callers = one.callers
        (here.path / ".thrum/var/messages.db").unlink()
        async with serving(here) as one:
            one.callers = callers
            assert await one.texts("carol") == [f"{TEXT}!"] and await one.texts("alice") == ["thanks"]
            held = (await one.call("sync.held"))["held"]
            assert [(each["name"], each["type"]) for each in held] == [
                (message, "message.create"),
                (held[1]["event_id"], "message.edit"),
            ]
            await one.force()
            assert not leaves(origin)
            assert len((await one.call("sync.release", "alice", names=[message]))["released"]) == 2
            await one.daemon.keeper.rebuild()
            assert await one.texts("carol") == [f"{TEXT}!"] and await names(one) == []
            await sound(one)
        async with serving(here) as one:
            one.callers = callers
            assert await one.texts("carol") == [f"{TEXT}!"] and await names(one) == []
            await sound(one)

    asyncio.run(story())


@pytest.mark.parametrize("how", ["delete", "purge"])
def test_deleting_and_purging_reach_what_is_held_back(
    tmp_path: Path, isolated_home: dict[str, str], how: str
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await acquainted(one, two)
            message = await one.send("alice", "@bob", TEXT)
            await one.force()
            assert one.holding(SECRET.encode())
            if how == "delete":
                await one.call("message.delete", "alice", message_id=message)
            else:
                await one.call("purge.execute", "alice", before=format_us(time.time_ns() // 1000))
            await until(lambda: not one.holding(SECRET.encode()))
            assert await names(one) == []
            with pytest.raises(NotFound, match="nothing is held back under the name"):
                await one.call("sync.release", "alice", names=[message])
            await meet(one, two)
            assert await two.texts("bob") == ([""] if how == "delete" else []) and not leaves(origin)
            await one.daemon.keeper.rebuild()
            await sound(one)
            await sound(two)

    asyncio.run(story())


def test_what_was_deleted_while_it_was_held_back_keeps_nothing_waiting_elsewhere(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await acquainted(one, two)
            await one.register("carol")
            sent = await one.call("message.send", "alice", content=TEXT, to=["@bob", "@carol"])
            message = sent["message_id"]
            await one.call("message.markRead", "carol", message_ids=[message])
            await one.call("message.edit", "alice", message_id=message, content="taken out")
            await meet(one, two)
            assert waiting(two) == ["message"] and await two.texts("bob") == []
            before = one.daemon.cache.birth
            await one.call("message.delete", "alice", message_id=message)
            await meet(one, two)
            assert waiting(one) == waiting(two) == [] and not leaves(origin)
            (shown,) = (await two.call("message.list", "bob", for_agent="bob"))["messages"]
            assert shown["deleted"] and shown["message_id"] == message and not shown["body"]["content"]
            assert (await two.call("message.list", "bob", for_agent="bob"))["unread"] == 0
            assert receipts_of(one, message) == receipts_of(two, message)
            assert before == one.daemon.cache.birth  # nothing had to be made anew
            for clone in (one, two):
                await clone.daemon.keeper.rebuild()
                assert waiting(clone) == []
                await sound(clone)

    asyncio.run(story())


def test_a_retry_of_what_is_held_back_finds_it_after_any_number_of_restarts(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        here = clone_of(origin, "one")
        told = []
        callers: dict[str, Caller] = {}
        for start in range(
            3
        ):  # the second start publishes the rest of the journal, the third reads it no more
            async with serving(here) as one:
                if start == 0:
                    await one.register("alice")
                    callers = one.callers
                done = await one.daemon.dispatcher.call(
                    "message.send",
                    {"content": TEXT, "to": ["@alice"]},
                    caller=callers["alice"],
                    request_id="again",
                )
                told.append(done["message_id"])
                await one.call("sync.held")
        assert len(set(told)) == 1

    asyncio.run(story())


def waiting(clone: Clone) -> list[str]:
    """For what lines wait that do not count yet."""
    return [row[0] for row in clone.daemon.cache.read("SELECT kind FROM held")]


def receipts_of(clone: Clone, message: str) -> list[tuple[Any, ...]]:
    return clone.daemon.cache.read(
        "SELECT a.name, d.read_us FROM delivery d JOIN agent a ON a.id = d.agent JOIN message m ON m.id = d.message"
        " WHERE m.ulid = ? ORDER BY a.name",
        (message[4:],),
    )


def test_an_edit_that_adds_a_secret_is_held_back_and_one_that_waits_applies_after_the_release(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await acquainted(one, two)
            plain = await one.send("alice", "@bob", "plain")
            edited = await one.call("message.edit", "alice", message_id=plain, content=TEXT)
            assert edited["held"]["release"] == f"thrum sync release {edited['held']['event_id']}"
            secret = await one.send("alice", "@bob", TEXT)
            harmless = await one.call("message.edit", "alice", message_id=secret, content="taken out")
            assert "held" not in harmless
            await meet(one, two)
            assert await two.texts("bob") == ["plain"]  # the second edit waits there for its message
            await one.call("sync.release", "alice", names=[edited["held"]["event_id"]])
            await meet(one, two)
            assert await two.texts("bob") == [TEXT]
            await one.call("sync.release", "alice", names=[secret])
            await meet(one, two)
            assert await two.texts("bob") == [TEXT, "taken out"] == (await sent_texts(one))
            await sound(two)

    asyncio.run(story())


async def sent_texts(clone: Clone) -> list[str]:
    found = await clone.call("message.list", "alice", author_id="alice")
    return [each["body"]["content"] for each in reversed(found["messages"])]


def test_a_reply_that_came_before_its_message_follows_it_after_the_release(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await acquainted(one, two)
            await one.register("carol")
            asked = await one.call("message.send", "alice", content=TEXT, to=["@bob", "@carol"])
            root = asked["message_id"]
            answer = await one.call("message.send", "carol", content="an answer", reply_to=root)
            await meet(one, two)
            assert await two.texts("bob") == ["an answer"]
            await one.call("sync.release", "alice", names=[root])
            await meet(one, two)
            assert await two.texts("bob") == [TEXT, "an answer"]
            threads: list[Any] = []
            for clone, agent in ((one, "alice"), (two, "bob")):
                found = await clone.call("message.list", agent, thread_id=answer["thread_id"])
                threads.append([(m["message_id"], m["body"]["content"]) for m in found["messages"]])
            assert threads[0] == threads[1] and len(threads[0]) == 2

    asyncio.run(story())


def test_what_was_read_here_before_the_release_is_known_there_after_it(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
            await acquainted(one, two)
            await one.register("carol")
            sent = await one.call("message.send", "alice", content=TEXT, to=["@bob", "@carol"])
            message = sent["message_id"]
            await one.call("message.markRead", "carol", message_ids=[message])
            await meet(one, two)  # the receipt is journalled and travels, about a place that did not
            await one.call("sync.release", "alice", names=[message])
            await meet(one, two)
            await two.call("message.markRead", "bob", message_ids=[message])
            await two.force()
            await one.force()
            for clone, agent in ((one, "alice"), (two, "bob")):
                detail = (await clone.call("message.get", agent, message_id=message))["message"]
                assert all(each.get("read_at") for each in detail["recipients"]), clone.repo.path
            await one.daemon.keeper.rebuild()
            detail = (await one.call("message.get", "alice", message_id=message))["message"]
            assert all(each.get("read_at") for each in detail["recipients"])

    asyncio.run(story())


def test_who_may_release(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await one.register("alice")
            await one.register("carol")
            message = await one.send("alice", "@carol", TEXT)
            person = one.callers["carol"]
            one.callers["carol"] = replace(person, runtime_pid=4711, runtime="claude")
            with pytest.raises(Refused, match="only its author or a person may release"):
                await one.call("sync.release", "carol", names=[message])
            with pytest.raises(Refused, match="only its author or a person may release"):
                await one.call("sync.release", "carol", all=True)
            with pytest.raises(UsageError):
                await one.call("sync.release", "carol", names=[message], all=True)
            with pytest.raises(NotFound, match="nothing is held back under the name msg_x"):
                await one.call("sync.release", "carol", names=["msg_x"])
            assert await names(one) == [message]
            one.callers["carol"] = person
            assert len((await one.call("sync.release", "carol", all=True))["released"]) == 1

    asyncio.run(story())


def test_a_project_that_gets_a_remote_later_sends_no_secret_of_before(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        here = clone_of(origin, "one", local_only=True)
        async with serving(here) as one:
            await one.register("alice")
            sent = await one.call("message.send", "alice", content=TEXT, to="@alice")
            assert "held" not in sent  # nothing travels anyway: there is nothing to be told of
            await one.force()
            assert await names(one) == [sent["message_id"]]
            callers = one.callers
        configure(here.path, local_only=False)
        async with serving(here) as one:
            one.callers = callers
            assert (await one.force())["sync_state"] == "synced"
            assert not leaves(origin) and await names(one) == [sent["message_id"]]

    asyncio.run(story())


def test_a_team_has_its_own_patterns_and_may_switch_the_scan_off(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)
    sync = {
        "secret_patterns": [{"id": "acme", "regex": "ACME-[0-9]{6}"}],
        "secret_allow": ["EXAMPLE$"],
    }

    async def story() -> None:
        here = clone_of(origin, "one", sync=sync)
        async with serving(here) as one:
            await one.register("alice")
            held = await one.call("message.send", "alice", content="ACME-123456", to="@alice")
            assert held["held"]["patterns"] == ["acme"]
            assert "held" not in await one.call("message.send", "alice", content=TEXT, to="@alice")
            configure(here.path, local_only=False, sync={"secret_scan": False})
            await until(lambda: not one.daemon.opened.settings.daemon.sync.secret_scan)
            sent = await one.call("message.send", "alice", content="ACME-654321", to="@alice")
            assert "held" not in sent
            await one.force()
            assert await names(one) == []  # nobody looked when it was cut

    asyncio.run(story())


def test_a_mistake_in_the_configuration_lets_nothing_out(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        here = clone_of(origin, "one")
        async with serving(here) as one:
            await one.register("alice")
            message = await one.send("alice", "@alice", TEXT)
            configure(here.path, local_only=False, sync={"secret_patterns": [{"id": "x", "regex": "(a+)+"}]})
            await until(lambda: one.daemon.opened.settings.problems())
            await one.daemon.publisher.cut_now()
            assert await names(one) == [message]
            (problem,) = one.daemon.opened.settings.problems()
            assert problem.subject.startswith("daemon.sync.secret_patterns[0].regex")
            assert "repeats without a bound" in problem.text

    asyncio.run(story())


def test_the_caller_of_a_release_must_be_known(tmp_path: Path, isolated_home: dict[str, str]) -> None:
    origin = bare(tmp_path / "host", isolated_home)

    async def story() -> None:
        async with serving(clone_of(origin, "one")) as one:
            await one.register("alice")
            message = await one.send("alice", "@alice", TEXT)
            nobody = Caller("anonymous", "", cwd=one.repo.path, worktree=one.repo.path)
            with pytest.raises(Exception, match="anonymous caller cannot invoke"):
                await one.daemon.dispatcher.call("sync.release", {"names": [message]}, caller=nobody)
            assert await names(one) in ([], [message])  # cut or not: nothing was released
            assert not (one.sync / "released").exists()

    asyncio.run(story())

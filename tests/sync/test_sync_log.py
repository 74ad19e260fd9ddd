from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sync_parts import DAEMON, MESSAGE_TYPES, TYPES, House, staying_here

from thrum_kernel.errors import NotFound, ThrumError, UsageError
from thrum_kernel.events import Event
from thrum_kernel.events.core import AgentRegister, Body, MessageCreate, Recipient, SessionStart
from thrum_kernel.paths import Paths
from thrum_kernel.projection.apply import Projected, Projector
from thrum_kernel.projection.db import Cache
from thrum_kernel.settings.core import Daemon
from thrum_kernel.store.ranges import LogLine
from thrum_kernel.sync.log import LogMethods
from thrum_kernel.sync.status import SyncMethods

FAR = "d_01JABCDEFGHJKMNPQRSTVWXYZ1"


class Logs:
    """The methods over a log in which alice and bob registered and alice wrote to bob, twice."""

    def __init__(self, root: Path, *, force_s: float = 8.0) -> None:
        self.house = House(root / "T")
        self.root = root
        self.from_afar: list[Event] = []
        publisher = self.house.publisher
        self.methods = {
            method.name: method
            for method in (
                *LogMethods(
                    tree=self.house.tree,
                    daemon=DAEMON,
                    durable=lambda: self.house.committer.durable,
                    message_types=MESSAGE_TYPES,
                    rebuild=self.rebuild,
                    quiet=self.house.publisher.quiet,
                ).methods(),
                *SyncMethods(
                    publisher=publisher,
                    travel=staying_here(root, publisher),
                    paths=Paths(worktree=root, here=root, thrum=root, repo=root, sync=self.house.root),
                    tree=self.house.tree,
                    clock=self.house.committer.clock,
                    daemon=DAEMON,
                    settings=Daemon,
                    names=dict,
                    held=list,
                    held_back=list,
                    purged_before=str,
                    force_s=force_s,
                ).methods(),
            )
        }

    async def fill(self) -> list[Event]:
        committer = self.house.committer
        agents = [
            committer.draft(AgentRegister, agent_id=name, role="worker", module="m", hostname="h")
            for name in ("alice", "bob")
        ]
        session = committer.draft(
            SessionStart, session_id="ses_1", agent_id="alice", incarnation=agents[0].ulid
        )
        events: list[Event] = [*agents, session]
        for text in ("first", "second"):
            recipients = [Recipient("bob", DAEMON, agents[1].ulid)]
            events.append(
                committer.draft(
                    MessageCreate,
                    agent_id="alice",
                    incarnation=agents[0].ulid,
                    body=Body(content=text),
                    recipients=recipients,
                )
            )
        for event in events:
            await committer.commit(event)
        return events

    def rebuild(self, batches: Iterable[Sequence[LogLine]]) -> sqlite3.Connection:
        path = self.root / "replay.db"
        path.unlink(missing_ok=True)
        cache = Cache(path)
        projector = Projector(cache, TYPES)
        for number, event in enumerate(self.from_afar, start=1):
            projector.apply([Projected("w_far", FAR, number, event, TYPES.encode(event))])
        for batch in batches:
            projector.apply([Projected(w, d, s, TYPES.decode(line), line) for w, d, s, line in batch])
        cache.close()
        return sqlite3.connect(path)

    async def call(self, name: str, **params: Any) -> dict[str, Any]:
        method = self.methods[name]
        result = method.handler(None, msgspec.convert(params, method.params))
        if asyncio.iscoroutine(result):
            result = await result
        return msgspec.to_builtins(result)  # type: ignore[no-any-return]


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    (tmp_path / "T").mkdir()
    return Logs(tmp_path)


@pytest.mark.parametrize("published", [True, False])
def test_show_filters_and_gives_the_newest_oldest_first(logs: Logs, published: bool) -> None:
    async def main() -> None:
        events = await logs.fill()
        if published:
            await logs.house.publisher.cut_now()

        async def shown(**params: Any) -> list[str]:
            return [item["event"]["event_id"] for item in (await logs.call("log.show", **params))["events"]]

        ids = [event.event_id for event in events]
        assert await shown() == ids
        assert await shown(limit=2) == ids[-2:]
        assert await shown(type="agent.register,agent.session.start") == ids[:3]
        assert await shown(agent="bob") == [ids[1], *ids[3:]]
        assert await shown(message_id=f"msg_{events[3].ulid}") == [ids[3]]
        assert await shown(since=events[3].timestamp) == ids[3:]
        assert await shown(until=events[1].timestamp) == ids[:2]
        assert await shown(writer="nobody") == []

    asyncio.run(main())


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 10_001}, {"since": "soon"}, {"until": "2026-01-01"}]
)
def test_show_refuses_what_makes_no_sense(logs: Logs, params: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        asyncio.run(logs.call("log.show", **params))


def test_verify_is_content_with_a_sound_log_and_not_with_a_damaged_one(logs: Logs) -> None:
    async def main() -> None:
        await logs.fill()
        assert (await logs.call("log.verify"))["journal_events"] == 5
        await logs.house.publisher.cut_now()
        sound = await logs.call("log.verify")
        assert sound["ok"] and sound["problems"] == [] and (sound["files"], sound["events"]) == (2, 5)
        path = next(path for path in (logs.house.tree.published / "messages").rglob("*.jsonl"))
        path.write_bytes(path.read_bytes().replace(b"first", b"worst"))
        damaged = await logs.call("log.verify")
        assert not damaged["ok"] and [problem["kind"] for problem in damaged["problems"]] == ["damaged"]

    asyncio.run(main())


@pytest.mark.parametrize("by", ["event_id", "timestamp"])
def test_replay_shows_how_things_stood(logs: Logs, by: str) -> None:
    async def main() -> None:
        events = await logs.fill()
        then = await logs.call("log.replay", to=getattr(events[3], by))
        assert (then["agents"], then["open_sessions"], then["messages"], then["unread"]) == (2, 1, 1, 1)
        assert [message["content"] for message in then["recent"]] == ["first"]
        assert then["recent"][0]["unread_by"] == ["bob"]
        assert [(m["agent_id"], m["sent"], m["unread"]) for m in then["team"]] == [
            ("alice", 1, 0),
            ("bob", 0, 1),
        ]
        assert (then["last_event"], then["at"]) == (events[3].event_id, events[3].timestamp)
        early = await logs.call("log.replay", to=getattr(events[0], by))
        assert (early["agents"], early["messages"], early["log_events"]) == (1, 0, 1)
        assert len((await logs.call("log.replay", to=events[-1].event_id, agent="bob"))["recent"]) == 2

    asyncio.run(main())


def test_replay_tells_namesakes_of_two_daemons_apart(logs: Logs) -> None:
    async def main() -> None:
        events = await logs.fill()
        committer = logs.house.committer
        away = committer.draft(AgentRegister, agent_id="alice", role="worker", module="m", hostname="laptop")
        away.origin_daemon = FAR
        logs.from_afar.append(away)
        sent = committer.draft(
            MessageCreate,
            agent_id="bob",
            incarnation=events[1].event_id.removeprefix("evt_"),
            body=Body(content="third"),
            recipients=[Recipient("alice", FAR, away.ulid)],
        )
        await committer.commit(sent)
        then = await logs.call("log.replay", to=sent.event_id)
        assert [agent["agent_id"] for agent in then["team"]] == ["alice", "alice@laptop", "bob"]
        assert then["recent"][-1]["unread_by"] == ["alice@laptop"]
        inbox = await logs.call("log.replay", to=sent.event_id, agent="alice@laptop")
        assert [message["content"] for message in inbox["recent"]] == ["third"]

    asyncio.run(main())


def test_replay_refuses_a_point_that_is_none(logs: Logs) -> None:
    async def main() -> None:
        events = await logs.fill()
        for params, error in (
            ({"to": "evt_01J00000000000000000000000"}, NotFound),
            ({"to": "long ago"}, UsageError),
            ({"to": events[0].event_id, "agent": "bob"}, NotFound),
        ):
            with pytest.raises(ThrumError) as caught:
                await logs.call("log.replay", **params)
            assert isinstance(caught.value, error)

    asyncio.run(main())


def test_sync_says_honestly_that_it_stays_here(logs: Logs) -> None:
    async def main() -> None:
        await logs.fill()
        before = await logs.call("sync.status")
        assert before["last_sync_at"] == "" and before["sync_state"] == "local-only" and before["local_only"]
        assert before["local_only_reason"] and "last_error" not in before
        done = await logs.call("sync.force")
        assert done["triggered"] and done["published"] == 5 and done["last_sync_at"].endswith("Z")
        assert (await logs.call("sync.status"))["last_sync_at"] == done["last_sync_at"]

    asyncio.run(main())


def test_a_force_that_outlasts_its_caller_is_not_told_as_done(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "T").mkdir()
        logs = Logs(tmp_path, force_s=0.0)
        await logs.fill()
        done = await logs.call("sync.force")
        assert done["going_on"] and done["published"] == 5 and "failed" not in done

    asyncio.run(main())

"""Each earlier layout comes over whole, with its ids, times, threads, deliveries and read state."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import migrate_layouts as layouts
import pytest
from migrate_house import (
    deliveries,
    lines_of,
    messages,
    migrate,
    numbers,
    preview,
    project,
    published,
    served,
    tree_hash,
)
from migrate_team import MACHINE, Team

from thrum_kernel.clock import parse_us
from thrum_kernel.ids import EARLIER_DAEMON
from thrum_kernel.projection import queries
from thrum_kernel.testing.harness import Repo

WITH_EVENTS = (layouts.monolith, layouts.sync_folder, layouts.flat_branch)
ALL = (*WITH_EVENTS, layouts.last_version)
Layout = Callable[[Repo, Team], Any]


@pytest.mark.parametrize("layout", WITH_EVENTS)
def test_counts_before_and_after_are_equal_where_every_event_was_kept(layout: Layout, repo: Repo) -> None:
    team = Team()
    layout(repo, team)

    report = migrate(project(repo))

    wrote = team.counts()
    assert numbers(report, "after") == numbers(report, "found") == numbers(report, "new")
    assert numbers(report) == {
        "messages": wrote["message.create"],
        "edits": wrote["message.edit"],
        "deletions": wrote["message.delete"],
        "receipts": wrote["message.receipt"],
        "threads": 1,
        "agents": wrote["agent.register"],
        "registrations": wrote["agent.register"],
        "deletions of agents": wrote["agent.cleanup"],
        "sessions": wrote["agent.session.start"],
        "ends of sessions": wrote["agent.session.end"],
        "work contexts": wrote["agent.update"],
        "groups": wrote["group.create"],
        "members of groups": wrote["group.member.add"] + wrote["group.member.remove"],
        "changes of groups": wrote["group.update"],
        "deletions of groups": wrote["group.delete"],
    }
    assert report.damaged == [] and report.others == {}


def test_the_last_version_comes_over_with_what_its_database_holds(repo: Repo) -> None:
    team = Team()
    layouts.last_version(repo, team)
    where = project(repo)

    report = migrate(where)

    after, wrote = numbers(report, "after"), team.counts()
    assert after == numbers(report)
    assert after["messages"] == wrote["message.create"] and after["receipts"] == wrote["message.receipt"]
    assert (after["groups"], after["members of groups"]) == (1, 2)  # the reference drops what is deleted
    assert report.others == layouts.KEPT_ROWS
    kept = [json.loads(line) for line in Path(report.kept_in).read_text().splitlines()]
    rows = {row["table"]: row["row"] for row in (json.loads(item["text"]) for item in kept)}
    assert rows["command_queue"]["command_text"] == "make test"
    assert rows["permission_nudges"]["last_pane_hash"] == {"base64": "AP8Q"}


@pytest.mark.parametrize("layout", ALL)
def test_every_message_is_what_it_was(layout: Layout, repo: Repo) -> None:
    team = Team()
    layout(repo, team)
    migrate(project(repo))

    with served(repo) as kernel:
        found, delivered = messages(kernel), deliveries(kernel)
        held = kernel.daemon.cache.read("SELECT kind, note FROM held")
        labels = queries.labels(
            kernel.daemon.cache, [row[0] for row in kernel.daemon.cache.read("SELECT id FROM message")]
        )

    edited = {event["message_id"]: event["body"]["content"] for event in team.of("message.edit")}
    deleted = {event["message_id"] for event in team.of("message.delete")}
    for event in team.of("message.create"):
        message = event["message_id"]
        author, body, created, thread, reply_to, is_deleted, form, structured, is_edited = found.pop(message)
        assert (author, created) == (event["agent_id"], parse_us(event["timestamp"]))
        assert body == (None if message in deleted else edited.get(message, event["body"]["content"]))
        assert (is_deleted, is_edited) == (message in deleted, message in edited)
        assert form == ("markdown", "plain", "json").index(event["body"]["format"])
        assert structured == event["body"].get("structured")
        answered = [ref["value"] for ref in event.get("refs", ()) if ref["type"] == "reply_to"]
        assert ([f"msg_{reply_to}"] if reply_to else []) == answered
        if "thread_id" in event:
            assert thread == event["thread_id"]
    assert found == {} and held == []
    assert {(message, name) for message, name, _, _ in delivered} == {
        (event["message_id"], name)
        for event in team.of("message.create")
        for name in event["recipients"]
        if name != event["agent_id"]
    }
    assert {(message, name, read) for message, name, _, read in delivered if read} == {
        (event["message_id"], event["agent_id"], parse_us(event["timestamp"]))
        for event in team.of("message.receipt")
        if event["receipt_type"] == "read"
    }
    assert any(seen and not read for _, _, seen, read in delivered)
    audiences = {(label.type, label.value) for found_ in labels.values() for label in found_.audience}
    assert audiences == {
        ("agent", "coord"), ("agent", "impl_api"), ("role", "reviewer"), ("group", "backend"), ("broadcast", "everyone")
    }  # fmt: skip


@pytest.mark.parametrize("layout", ALL)
def test_the_answered_message_is_in_the_thread_that_its_answer_made(layout: Layout, repo: Repo) -> None:
    team = Team()
    layout(repo, team)
    migrate(project(repo))

    first = team.of("message.create")[0]["message_id"]
    (thread,) = {event["thread_id"] for event in team.events if "thread_id" in event}
    with served(repo) as kernel:
        inside = {message for message, row in messages(kernel).items() if row[3] == thread}
        assert len(kernel.daemon.cache.read("SELECT 1 FROM thread WHERE created_us IS NOT NULL")) == 1
    assert len(inside) == 3 and first in inside


@pytest.mark.parametrize("layout", ALL)
def test_people_are_who_they_were(layout: Layout, repo: Repo) -> None:
    team = Team()
    layout(repo, team)
    migrate(project(repo))

    with served(repo) as kernel:
        agents = {agent.name: agent for agent in queries.live_agents(kernel.daemon.cache)}
        sessions = kernel.daemon.cache.read(
            "SELECT s.session_id, a.name, s.end_reason FROM session s JOIN agent a ON a.id = s.agent"
            " WHERE s.started_us IS NOT NULL"
        )
        work = kernel.daemon.cache.read("SELECT context FROM work_context")
        members = kernel.daemon.cache.read(
            "SELECT m.member_type, m.member_value FROM group_member m JOIN grp g ON g.id = m.grp"
            " WHERE g.name = 'backend' AND m.present"
        )
        (description,) = kernel.daemon.cache.read("SELECT description FROM grp WHERE name = 'backend'")[0]
    registered = {event["agent_id"]: event for event in team.of("agent.register")}
    assert agents.keys() == registered.keys() - {"old_bot"}
    for name, agent in agents.items():
        told = registered[name]
        assert (agent.role, agent.module, agent.kind) == (told["role"], told["module"], told["kind"])
        assert agent.registered_us == parse_us(told["timestamp"])
        assert agent.home == EARLIER_DAEMON and agent.hostname == told.get("hostname", "")
    assert set(sessions) == {
        ("ses_coord", "coord", None),
        ("ses_impl_api", "impl_api", None),
        ("ses_rev", "rev", "normal"),
        ("ses_old_bot", "old_bot", "crash"),
    }
    context = json.loads(work[0][0])
    assert context["intent"] == "carts" and context["unmerged_commits"][0]["message"] == "Add <cart>"
    assert set(members) == {("agent", "impl_api"), ("role", "reviewer")}
    assert description == ("b" if layout is layouts.last_version else "the back end")


@pytest.mark.parametrize("layout", ALL)
def test_a_dry_run_counts_the_same_and_changes_nothing(layout: Layout, repo: Repo) -> None:
    layout(repo, Team())
    where = project(repo)
    before = tree_hash(repo.path)

    planned = preview(where)

    assert tree_hash(repo.path) == before
    done = migrate(where)
    assert planned.rows == done.rows and planned.others == done.others


@pytest.mark.parametrize("layout", ALL)
def test_a_second_time_nothing_is_new(layout: Layout, repo: Repo) -> None:
    layout(repo, Team())
    where = project(repo)
    first = migrate(where)
    files = published(where)
    kept = Path(first.kept_in).read_bytes() if first.kept_in else b""

    second = migrate(where)

    assert second.new == 0 and numbers(second, "after") == numbers(first, "after")
    assert published(where) == files
    assert (Path(second.kept_in).read_bytes() if second.kept_in else b"") == kept
    assert not (where.sync / "migrated" / "begun.json").exists()


def test_what_was_written_later_comes_over_alone(repo: Repo) -> None:
    team = Team()
    worktree = layouts.flat_branch(repo, team)
    where = project(repo)
    migrate(where)
    aside = where.sync / "a-sync.before-thrum"
    team.send("coord", "later", to=["impl_api"], refs=[{"type": "mention", "value": "impl_api"}])
    team.write(
        "message.receipt", message_id=team.events[-1]["message_id"], agent_id="impl_api", receipt_type="read"
    )
    layouts.write_flat(aside, team)

    report = migrate(where)

    assert report.new == 2 and not (worktree / "events.jsonl").exists()
    assert all(len(lines) == 1 for lines in lines_of(where).values())
    with served(repo) as kernel:
        assert len(messages(kernel)) == team.counts()["message.create"]


def test_events_and_the_database_tell_the_same_messages_byte_for_byte(
    tmp_path: Path, isolated_home: dict[str, str]
) -> None:
    found = []
    for layout in (layouts.flat_branch, layouts.last_version):
        repo = Repo.make(tmp_path / layout.__name__, isolated_home)
        layout(repo, Team())
        where = project(repo)
        migrate(where)
        found.append(
            {key: lines for key, lines in lines_of(where).items() if b'"message.create"' in lines[0]}
        )

    assert found[0] == found[1] and len(found[0]) == Team().counts()["message.create"]


def test_damaged_lines_are_told_by_file_and_line_and_kept(repo: Repo) -> None:
    team = Team(messages=4)
    worktree = layouts.flat_branch(repo, team)
    shard = worktree / "messages" / "coord.jsonl"
    lines = shard.read_bytes().splitlines()
    bad = [
        b'{"type":"message.create","torn',
        b"\xff\xfe no text",
        b'{"type":"message.create","message_id":7}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ]
    shard.write_bytes(b"\n".join([lines[0], *bad, *lines[1:]]) + b"\n")
    strange = {"type": "reaction.add", "timestamp": "2026-03-01T09:00:00Z", "event_id": "evt_X"}
    with (worktree / "events.jsonl").open("ab") as file:
        file.write(Team.line(strange))

    report = migrate(project(repo))

    assert [spot.line for spot in report.damaged] == [2, 3, 4, 5]
    assert all(spot.source.endswith("messages/coord.jsonl") for spot in report.damaged)
    assert report.others == {"reaction.add": 1}
    assert numbers(report, "after")["messages"] == team.counts()["message.create"]
    kept = [json.loads(line) for line in Path(report.kept_in).read_text().splitlines()]
    texts = {item.get("text") or item["base64"] for item in kept}
    assert {
        bad[0].decode(),
        bad[2].decode(),
        "//4gbm8gdGV4dA==",
        Team.line(strange).decode().strip(),
    } <= texts


def test_a_row_that_nests_without_end_is_told_and_kept(repo: Repo) -> None:
    team = Team(messages=4)
    layouts.last_version(repo, team)
    deep = '{"a":' * 5000 + "1" + "}" * 5000
    with contextlib.closing(sqlite3.connect(repo.path / ".thrum/var/messages.db")) as db:
        db.execute(
            "INSERT INTO agent_work_contexts (session_id, agent_id, file_changes, git_updated_at)"
            " VALUES ('ses_deep', 'coord', ?, '2026-03-01T09:00:00Z')",
            (deep,),
        )
        db.commit()

    report = migrate(project(repo))

    assert [spot.why for spot in report.damaged] == [
        "is not of its shape: DecodeError('is nested too deeply')"
    ]
    assert numbers(report, "after")["messages"] == team.counts()["message.create"]


def test_what_was_purged_or_deleted_does_not_come_back(repo: Repo) -> None:
    team = Team(messages=6)
    team.write("purge.executed", cutoff=team.of("message.create")[1]["timestamp"])
    layouts.flat_branch(repo, team)
    where = project(repo)

    report = migrate(where)

    gone = next(row for row in report.rows if row.kind == "messages")
    assert (gone.purged, gone.after) == (1, gone.found - 1)
    text = b"".join(line for lines in lines_of(where).values() for line in lines)
    deleted = team.of("message.delete")[0]["message_id"]
    (content,) = [
        event["body"]["content"] for event in team.of("message.create") if event["message_id"] == deleted
    ]
    assert b"message 0:" not in text and content.split(":")[0].encode() + b":" not in text


def test_messages_of_other_clones_that_are_only_snapshots_are_left_to_them_unless_asked_for(
    repo: Repo,
) -> None:
    team = Team()
    worktree = layouts.last_version(repo, team)
    row = {"message_id": team.message_id("far"), "author_id": "rev", "body": "elsewhere", "v": 1}
    row |= {"created_at": "2026-03-05T00:00:00Z", "deleted": False}
    layouts._write(worktree / "messages-v2" / "rev.jsonl", [row])
    receipt = {
        "message_id": row["message_id"],
        "agent_id": "coord",
        "read_at": "2026-03-05T01:00:00Z",
        "v": 1,
    }
    layouts._write(worktree / "receipts" / "coord.jsonl", [receipt])
    where = project(repo)

    report = migrate(where)
    assert report.left == 1 and numbers(report, "after")["messages"] == team.counts()["message.create"]

    report = migrate(where, snapshots=True)
    assert report.left == 0 and report.new == 2
    with served(repo) as kernel:
        assert messages(kernel)[str(row["message_id"])][1] == "elsewhere"
        assert {
            name for message, name, _, read in deliveries(kernel) if message == row["message_id"] and read
        } == {"coord"}


def test_an_agent_of_this_machine_goes_on_with_its_unread_mail(repo: Repo) -> None:
    team = Team()
    layouts.last_version(repo, team)
    identities = repo.path / ".thrum" / "identities"
    identities.mkdir()
    old_form = {
        "version": 5,
        "repo_id": "project",
        "agent": {"Kind": "agent", "Name": "coord", "Role": "coordinator", "Module": "shop", "Display": ""},
        "worktree": str(repo.path),
        "claude_pid": 4711,
        "updated_at": "2026-03-01T09:00:00Z",
    }
    (identities / "coord.json").write_text(json.dumps(old_form))
    where = project(repo, daemon_id=MACHINE)
    with served(repo) as kernel:  # somebody started the new program before migrating
        assert kernel.daemon.agents.roster.find_local("coord") is not None
    report = migrate(where)
    unread = {
        event["message_id"] for event in team.of("message.create")
        if "coord" in event["recipients"] and event["agent_id"] != "coord"
    } - {event["message_id"] for event in team.of("message.receipt", "message.delete") if event.get("receipt_type") != "seen"}  # fmt: skip

    with served(repo) as kernel:
        agent = kernel.daemon.agents.roster.find_local("coord")
        assert (
            agent is not None and agent.daemon == EARLIER_DAEMON and agent.home == MACHINE and agent.adopted
        )
        assert len(queries.agents_named(kernel.daemon.cache, "coord")) == 1
        rows = kernel.daemon.cache.read(
            "SELECT 'msg_' || m.ulid FROM delivery d JOIN message m ON m.id = d.message"
            " WHERE d.agent = ? AND d.read_us IS NULL AND d.hidden = 0", (agent.id,)
        )  # fmt: skip
        assert {message for (message,) in rows} == unread and unread
    assert report.new > 0


def test_saved_contexts_are_taken_over(repo: Repo) -> None:
    layouts.flat_branch(repo, Team(messages=4))
    context = repo.path / ".thrum" / "context"
    context.mkdir(parents=True)
    (context / "coord.md").write_text("where I was")
    (context / "coord_preamble.md").write_text("who I am")
    (context / "empty.md").write_text("")

    report = migrate(project(repo))

    assert report.contexts == [str(context / "coord_session.md")]
    assert (context / "coord_session.md").read_text() == (context / "coord.md").read_text() == "where I was"


def test_contexts_that_were_shared_on_the_branch_are_kept_and_told(repo: Repo) -> None:
    worktree = layouts.flat_branch(repo, Team(messages=4))
    (worktree / "context").mkdir()
    (worktree / "context" / "far.md").write_text("what far was at")
    (worktree / "context" / "near.md").write_text("what far was at")
    (repo.path / "context").mkdir()
    (repo.path / "context" / "mine.md").write_text("a file of the project")
    where = project(repo)
    assert preview(where).others == {"shared contexts": 2}  # equal ones of two agents
    report = migrate(where)
    assert report.others == {"shared contexts": 2}
    kept = Path(report.kept_in).read_text()
    assert (
        kept.count("what far was at") == 2
        and "context/far.md" in kept
        and "context/near.md" in kept
        and "of the project" not in kept
    )

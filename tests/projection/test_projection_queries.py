"""Questions that rooms ask: pages, counts, addresses; and that none of the hot ones scans a table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from projection_log import START_US, LogMaker, project

from thrum_kernel.errors import AmbiguousName, UnknownAgent
from thrum_kernel.events import core
from thrum_kernel.projection import queries, views
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.queries import AgentRow, Filter
from thrum_kernel.projection.queries.inbox import inbox_sql


class Team:
    """Alice and bob, and twenty messages between them."""

    def __init__(self, path: Path) -> None:
        log = LogMaker()
        self.log = log
        self.alice, self.bob = (
            log.agent("alice", hostname="here"),
            log.agent("bob", daemon="d_B", hostname="there"),
        )
        self.made = []
        for number in range(20):
            author, reader = (self.alice, self.bob) if number % 4 else (self.bob, self.alice)
            self.made.append(
                log.message(
                    author,
                    [reader],
                    f"m{number}",
                    scopes=[core.Label("module", "m" if number % 3 else "n")],
                    refs=[core.Label("issue", str(number % 5))],
                    thread_id="thr_1" if number % 2 else "",
                    audience=[
                        core.Label("role", "tester") if number % 5 == 0 else core.Label("agent", reader.name)
                    ],
                )
            )
        log.receipt(self.bob, "WA", [(1, 8)])
        log.delete(self.made[19])
        self.cache = project(path, log.lines)

    def key(self, ref: core.AgentRef) -> int:
        agent = queries.agent_by_incarnation(self.cache, ref.incarnation)
        assert agent is not None
        return agent.id

    def texts(self, rows: list[queries.PageRow]) -> list[str]:
        return [message.body for message in queries.messages(self.cache, [row.key for row in rows])]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    made = Team(tmp_path_factory.mktemp("team") / "messages.db")
    yield made
    made.cache.close()


def test_inbox_page_is_newest_first_and_shows_tombstones_without_text(team: Team) -> None:
    rows = queries.inbox_page(team.cache, team.key(team.bob), limit=4)
    assert team.texts(rows) == ["", "m18", "m17", "m15"]


def test_unread_page_and_count_leave_out_what_is_read_or_deleted(team: Team) -> None:
    bob = team.key(team.bob)
    rows = queries.inbox_page(team.cache, bob, unread=True, limit=100)
    assert team.texts(rows) == [f"m{number}" for number in (18, 17, 15, 14, 13, 11, 10)]
    assert queries.unread_count(team.cache, bob) == 7
    assert queries.inbox_count(team.cache, bob) == 15


def test_pages_by_offset_and_by_key_are_the_same(team: Team) -> None:
    bob = team.key(team.bob)
    whole = queries.inbox_page(team.cache, bob, limit=100)
    by_offset = [queries.inbox_page(team.cache, bob, limit=4, offset=at) for at in range(0, 15, 4)]
    by_key, before = [], None
    while rows := queries.inbox_page(team.cache, bob, limit=4, before_key=before):
        by_key.append(rows)
        before = rows[-1].key
    assert list(itertools.chain(*by_offset)) == list(itertools.chain(*by_key)) == whole
    oldest = queries.inbox_page(team.cache, bob, limit=100, order="oldest")
    assert oldest == whole[::-1]


@pytest.mark.parametrize(
    "conditions, expected",
    [
        ({"scope": ("module", "n")}, ["m18", "m15", "m9", "m6", "m3"]),
        ({"scope": ("module", "none")}, []),
        ({"ref": ("issue", "1")}, ["m11", "m6", "m1"]),
        ({"mention": ["tester"]}, ["m15", "m10", "m5"]),
        ({"mention": ["bob"], "scope": ("module", "n")}, ["m18", "m9", "m6", "m3"]),
        ({"thread": "thr_1", "ref": ("issue", "3")}, ["m13", "m3"]),
        ({"thread": "thr_none"}, []),
        ({"after_us": START_US + 19_000}, ["", "m18", "m17"]),
    ],
)
def test_conditions_narrow_page_and_count_alike(
    team: Team, conditions: dict[str, Any], expected: list[str]
) -> None:
    bob = team.key(team.bob)
    assert team.texts(queries.inbox_page(team.cache, bob, limit=100, **conditions)) == expected
    assert queries.inbox_count(team.cache, bob, Filter(**conditions)) == len(expected)
    unread = queries.inbox_page(team.cache, bob, unread=True, limit=100, **conditions)
    assert queries.unread_count(team.cache, bob, Filter(**conditions)) == len(unread)


def test_author_can_be_chosen_or_left_out(team: Team) -> None:
    alice, bob = team.key(team.alice), team.key(team.bob)
    assert len(queries.inbox_page(team.cache, bob, author=alice, limit=100)) == 15
    assert queries.inbox_page(team.cache, bob, not_author=alice) == []
    rows = queries.messages_page(team.cache, Filter(not_author=bob), reader=bob, limit=100)
    assert len(rows) == 15 and queries.messages_count(team.cache, Filter(not_author=bob)) == 15
    assert rows[-1].read_us is not None and rows[0].read_us is None
    assert queries.messages_count(team.cache) == 20


def test_chronological_page_keeps_replies_behind_what_they_answer(tmp_path: Path) -> None:
    log = LogMaker()
    alice = log.agent("alice")
    first, second = log.message(alice, [alice], "first"), log.message(alice, [alice], "second")
    log.message(alice, [alice], "to first", reply_to=f"msg_{first.ulid}")
    log.message(alice, [alice], "to second", reply_to=f"msg_{second.ulid}")
    cache = project(tmp_path / "a.db", log.lines)
    rows = queries.inbox_page(cache, queries.live_agents(cache)[0].id, order="chronological")
    texts = [message.body for message in queries.messages(cache, [row.key for row in rows])]
    assert texts == ["first", "to first", "second", "to second"]
    cache.close()


def test_outbox_pages_and_narrows_by_recipient_and_reading(team: Team) -> None:
    alice = team.key(team.alice)
    keys = queries.outbox_page(team.cache, alice, limit=3)
    assert [message.body for message in queries.messages(team.cache, keys)] == ["", "m18", "m17"]
    assert queries.outbox_count(team.cache, alice) == 15
    assert queries.outbox_count(team.cache, alice, unread=True) == 7
    assert queries.outbox_count(team.cache, alice, to="bob") == 15
    assert queries.outbox_count(team.cache, alice, to="tester") == 3
    assert queries.outbox_count(team.cache, alice, to="everyone") == 0
    assert queries.outbox_page(team.cache, alice, before_key=keys[-1], limit=1) < keys


def test_mark_tells_what_was_new_and_ignores_what_is_not_for_the_reader(tmp_path: Path) -> None:
    team = Team(tmp_path / "messages.db")
    bob = team.key(team.bob)
    rows = queries.inbox_page(team.cache, bob, unread=True, limit=2)
    foreign = queries.inbox_page(team.cache, team.key(team.alice), limit=1)
    keys = [row.key for row in [*rows, *foreign]]
    assert queries.mark(team.cache, bob, keys, "seen", START_US) == sorted(row.key for row in rows)
    assert queries.unread_count(team.cache, bob) == 7
    assert queries.mark(team.cache, bob, keys, "read", START_US + 1) == sorted(row.key for row in rows)
    assert queries.mark(team.cache, bob, keys, "read", START_US + 2) == []
    assert queries.unread_count(team.cache, bob) == 5
    assert queries.deliveries(team.cache, bob, keys) == {row.key: (START_US + 1, START_US) for row in rows}
    team.cache.close()


def _plan(cache: Cache, sql: str, params: list[Any]) -> list[str]:
    return [row[3] for row in cache.read(f"EXPLAIN QUERY PLAN {sql}", params)]


@pytest.mark.parametrize("unread", [True, False])
@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"before_key": 5},
        {"author": 1},
        {"scope": ("module", "m")},
        {"mention": ["bob", "tester"]},
        {"thread": "thr_1"},
        {"after_us": START_US},
    ],
)
def test_inbox_is_found_in_its_index_without_scan_or_sort(
    team: Team, unread: bool, conditions: dict[str, Any]
) -> None:
    sql, params = inbox_sql(team.key(team.bob), Filter(**conditions), unread=unread, order="newest")
    plan = _plan(team.cache, sql, [*params, 10, 0])
    index = "delivery_unread" if unread else "delivery_inbox"
    assert any("SEARCH d USING" in step and index in step for step in plan), plan
    tables = ("message", "delivery", "label", "thread", "agent", " d", " m", " x")
    assert not [
        step for step in plan if step.startswith("SCAN") and step.removeprefix("SCAN").startswith(tables)
    ]
    assert not [step for step in plan if "TEMP B-TREE" in step], plan


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT total, unread FROM tally WHERE agent = ?",
        "SELECT m.id FROM message m INDEXED BY message_author WHERE m.author = ? ORDER BY m.id DESC LIMIT 10",
        "SELECT id FROM message WHERE writer = 1 AND sequence BETWEEN ? AND 5",
        "SELECT id, ulid FROM message WHERE id >= ? ORDER BY id",
        "SELECT max(m.id) FROM message m WHERE m.thread = ?",
        "SELECT x.message FROM message_label x WHERE x.label = ?",
        "SELECT session_id FROM session WHERE agent = ? AND ended_us IS NULL AND started_us IS NOT NULL AND purged = 0",
    ],
)
def test_other_hot_questions_scan_nothing(team: Team, sql: str) -> None:
    assert not [step for step in _plan(team.cache, sql, [1]) if step.startswith("SCAN") or "TEMP" in step]


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    log = LogMaker()
    for name, daemon, host in (
        ("alice", "d_A111", "mill"),
        ("bob", "d_A111", "mill"),
        ("bob", "d_B222", "barn"),
        ("carol", "d_B222", "barn"),
        ("dora", "d_B222", "barn"),
        ("dora", "d_C333", "barn"),
    ):
        log.agent(name, daemon=daemon, hostname=host)
    made = project(tmp_path_factory.mktemp("addresses") / "messages.db", log.lines)
    yield made
    made.close()


def resolved(cache: Cache, address: str) -> AgentRow:
    return queries.resolve_address(cache, address, "d_A111", queries.daemon_names(cache))


def test_daemons_are_shown_by_host_and_told_apart_where_two_share_it(cache: Cache) -> None:
    assert queries.daemon_names(cache) == {"d_A111": "mill", "d_B222": "barn-B222", "d_C333": "barn-C333"}


@pytest.mark.parametrize(
    "address, home",
    [
        ("@bob", "d_A111"),
        ("bob", "d_A111"),
        ("@bob@barn-B222", "d_B222"),
        ("@bob@d_B222", "d_B222"),
        ("carol", "d_B222"),
        ("dora@barn-C333", "d_C333"),
    ],
)
def test_address_means_the_local_agent_else_the_only_one(cache: Cache, address: str, home: str) -> None:
    assert resolved(cache, address).home == home


def test_bare_name_of_several_others_is_ambiguous(cache: Cache) -> None:
    with pytest.raises(AmbiguousName) as refused:
        resolved(cache, "dora")
    assert refused.value.candidates == ("dora@barn-B222", "dora@barn-C333")


@pytest.mark.parametrize("address", ["carl", "carol@mill", "b_b", "%", ""])
def test_unknown_address_names_those_nearest(cache: Cache, address: str) -> None:
    with pytest.raises(UnknownAgent) as refused:
        resolved(cache, address)
    if address.startswith("carl"):
        assert "carol" in refused.value.near
    if address == "carol@mill":
        assert refused.value.near and all(name.startswith("carol@") for name in refused.value.near)
    assert "sent" not in f"{refused.value} {refused.value.hint}", "not only who sends looks for agents"


def test_live_agents_are_newest_registered_first(cache: Cache) -> None:
    assert [row.name for row in queries.live_agents(cache)] == [
        "dora",
        "dora",
        "carol",
        "bob",
        "bob",
        "alice",
    ]
    assert queries.agent_by_key(cache, 1).name == "alice"
    with pytest.raises(LookupError):
        queries.agent_by_key(cache, 99)


def test_views_have_the_columns_that_scripts_know(team: Team) -> None:
    expected = {
        "messages": "message_id thread_id agent_id session_id created_at updated_at body_format body_content "
        "body_structured deleted deleted_at delete_reason authored_by disclosed priority",
        "message_scopes": "message_id scope_type scope_value",
        "message_refs": "message_id ref_type ref_value",
        "message_deliveries": "message_id recipient_agent_id delivered_at seen_at read_at addressed_via",
        "message_edits": "message_id edited_at edited_by old_content new_content old_structured new_structured",
        "threads": "thread_id title created_at created_by",
        "agents": "agent_id kind role module display hostname agent_pid registered_at origin_daemon",
        "sessions": "session_id agent_id started_at ended_at end_reason",
        "agent_work_contexts": "session_id agent_id branch worktree_path unmerged_commits uncommitted_files "
        "changed_files file_changes git_updated_at current_task task_updated_at intent intent_updated_at",
        "groups": "group_id name description created_at created_by updated_at",
        "group_members": "group_id member_type member_value added_at added_by",
    }
    assert set(expected) == set(views.NAMES)
    for name, columns in expected.items():
        have = {
            column[0] for column in team.cache.connection.execute(f"SELECT * FROM {name} LIMIT 0").description
        }
        assert set(columns.split()) <= have, name


def test_views_show_times_and_mentions_as_people_know_them(team: Team) -> None:
    first = team.made[1]
    shown = team.cache.read(
        "SELECT agent_id, created_at, priority FROM messages WHERE message_id = ?", (f"msg_{first.ulid}",)
    )
    assert shown == [("alice", first.timestamp, "normal")]
    refs = team.cache.read(
        "SELECT ref_type, ref_value FROM message_refs WHERE message_id = ? ORDER BY 1", (f"msg_{first.ulid}",)
    )
    assert refs == [("issue", "1"), ("mention", "bob")]

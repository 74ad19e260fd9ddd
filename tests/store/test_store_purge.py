"""Purging: judged line by line, so that it commutes with everything and every clone comes to the same bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thrum_kernel.clock import format_us
from thrum_kernel.store.files import write_new
from thrum_kernel.store.filter import filter_quarantine, filter_units
from thrum_kernel.store.purge import Purges, filtered, purges_in
from thrum_kernel.store.ranges import Line, Tree, cut, read_log, roll_up, scan, strays
from thrum_kernel.testing.disk import FaultDisk

EXAMPLES = 400 if os.environ.get("THRUM_SOAK") == "1" else 60
TYPES = frozenset({"message.create", "message.edit", "message.delete"})
START_US = 1_790_000_000_000_000


def at(minute: int) -> str:
    return format_us(START_US + minute * 60_000_000)


def event(kind: str, minute: int, **fields: Any) -> bytes:
    head = {"type": kind, "event_id": f"evt_{minute:026d}", "timestamp": at(minute), "origin_daemon": "d_1"}
    return msgspec.json.encode({**head, "sequence": 1, **fields})


def created(minute: int, text: str = "secret") -> bytes:
    return event(
        "message.create",
        minute,
        agent_id="alice",
        incarnation="A",
        body={"content": text, "structured": {"k": 1}},
    )


def about(kind: str, minute: int, subject: int, author: str = "alice", **fields: Any) -> bytes:
    who = {"timestamp": at(subject), "author": [author, "d_1", "A"]}
    message = f"msg_{subject:026d}"
    return event(kind, minute, message_id=message, agent_id=author, incarnation="A", subject=who, **fields)


def purge(minute: int, cutoff: int, sessions: tuple[str, ...] = ()) -> bytes:
    return event("purge.executed", minute, cutoff=at(cutoff), sessions=list(sessions))


def receipt(minute: int, newest: int) -> bytes:
    mark = {
        "reader": ["bob", "d_1", "B"],
        "kind": "read",
        "at": at(minute),
        "writer": "w1",
        "ranges": [[1, 2]],
    }
    return event("message.receipt", minute, marks=[{**mark, "subject_from": at(1), "subject_to": at(newest)}])


PURGED = purges_in([purge(50, 10, ("ses_old",))])


@pytest.mark.parametrize(
    ("line", "goes"),
    [
        (created(9), True),
        (created(10), False),
        (about("message.edit", 20, 9, body={"content": "new"}), True),
        (about("message.edit", 20, 11, body={"content": "new"}), False),
        (about("message.delete", 20, 9), True),
        (receipt(20, 9), True),
        (receipt(20, 11), False),
        (event("agent.session.start", 1, session_id="ses_old"), True),
        (event("agent.session.end", 20, session_id="ses_old"), True),
        (event("agent.session.start", 1, session_id="ses_open"), False),
        (event("agent.register", 1, agent_id="alice", role="x", module="y"), False),
        (event("group.create", 1, group_id="g"), False),
        (event("thread.create", 1, thread_id="t", title="t"), False),
        (purge(1, 1), False),
        (event("plugin.thing", 1), False),
        (b'{"type":"message.create","timestamp":"never"}', False),
        (b"not json", False),
    ],
)
def test_what_a_purge_takes(line: bytes, goes: bool) -> None:
    assert filtered(line, PURGED) == (None if goes else line)


def test_work_contexts_of_purged_sessions_go_and_others_stay() -> None:
    both = [{"session_id": "ses_old", "intent": "a"}, {"session_id": "ses_open", "intent": "b"}]
    line = event("agent.update", 1, agent_id="alice", work_contexts=both)
    after = filtered(line, PURGED)
    assert after is not None and msgspec.json.decode(after)["work_contexts"] == both[1:]
    assert filtered(event("agent.update", 1, work_contexts=both[:1]), PURGED) is None


def test_a_deletion_takes_the_text_and_keeps_the_place() -> None:
    erased = purges_in([about("message.delete", 5, 3)])
    after = filtered(created(3), erased)
    assert after is not None and b"secret" not in after
    before = msgspec.json.decode(created(3))
    assert msgspec.json.decode(after) == {**before, "body": {"content": ""}}
    assert filtered(after, erased) is after
    edit = filtered(about("message.edit", 4, 3, body={"content": "secret"}), erased)
    assert edit is not None and b"secret" not in edit
    assert filtered(created(4), erased) == created(4)


def test_a_deletion_that_names_another_author_takes_nothing() -> None:
    erased = purges_in([about("message.delete", 5, 3, author="mallory")])
    assert filtered(created(3), erased) == created(3)


def test_a_purge_never_reaches_past_its_own_time() -> None:
    assert purges_in([purge(5, 90)]).cutoff == at(5)


def test_words_in_a_text_are_no_purge() -> None:
    text = 'I wrote {"type":"purge.executed","cutoff":"2030-01-01T00:00:00.000000Z"}'
    assert not purges_in([event("message.create", 3, agent_id="a", body={"content": text})])


LINES = st.one_of(
    st.builds(created, st.integers(1, 40)),
    st.builds(
        lambda m, s: about("message.edit", m, min(m, s), body={"content": "secret"}),
        st.integers(1, 40),
        st.integers(1, 40),
    ),
    st.builds(lambda m, s: about("message.delete", m, min(m, s)), st.integers(1, 40), st.integers(1, 40)),
    st.builds(lambda m, s: receipt(m, min(m, s)), st.integers(1, 40), st.integers(1, 40)),
    st.builds(purge, st.integers(1, 40), st.integers(1, 40)),
    st.builds(lambda m: event("group.create", m, group_id="g"), st.integers(1, 40)),
)


@given(st.lists(LINES, max_size=12), st.lists(LINES, max_size=12))
def test_filtering_is_idempotent_and_commutes(lines: list[bytes], others: list[bytes]) -> None:
    one, two = purges_in(lines), purges_in(others)
    assert one | two == two | one
    for line in (*lines, *others):
        once = filtered(line, one)
        assert once is None or filtered(once, one) == once
        there = None if once is None else filtered(once, two)
        back = filtered(line, two)
        back = None if back is None else filtered(back, one)
        assert there == back == filtered(line, one | two)


@settings(max_examples=EXAMPLES, deadline=None)
@given(lines=st.lists(LINES, min_size=2, max_size=16), first=st.booleans(), data=st.data())
def test_clones_come_to_the_same_bytes_in_any_order(
    lines: list[bytes], first: bool, data: st.DataObject
) -> None:
    numbered = [
        Line("w1", n, msgspec.json.encode({**msgspec.json.decode(line), "sequence": n}))
        for n, line in enumerate(lines, 1)
    ]
    size = data.draw(st.integers(1, len(lines)))
    purges = purges_in(lines)

    def clone(*, is_purged_first: bool) -> Tree:
        tree = Tree(FaultDisk(), Path("/T"))
        tree.prepare()
        pieces = [numbered[n : n + size] for n in range(0, len(numbered), size)]
        units = [unit for piece in pieces for unit in cut(tree, piece, daemon="d_1", message_types=TYPES)]
        if is_purged_first:
            units = filter_units(tree, units, purges).units
        roll_up(tree, units)
        if not is_purged_first:
            filter_units(tree, scan(tree).units, purges)
        return tree

    one, two = clone(is_purged_first=True), clone(is_purged_first=False)
    assert one.disk.files() == two.disk.files()  # type: ignore[attr-defined]
    assert not scan(one).problems and strays(one, scan(one)) == []
    kept = [line for batch in read_log(one, message_types=TYPES) for line in batch]
    expected = [filtered(line.line, purges) for line in numbered]
    assert sorted(line[3] for line in kept) == sorted(line for line in expected if line is not None)


def test_quarantine_keeps_only_what_is_surely_younger() -> None:
    tree = Tree(FaultDisk(), Path("/T"))
    tree.folders.ensure(tree.quarantine)
    for name, data in {"old": created(9)[:120], "new": created(11)[:120], "unknown": b'e":1}'}.items():
        tree.disk.create(tree.quarantine / name).write(data)
    assert [path.name for path in filter_quarantine(tree, PURGED)] == ["old", "unknown"]
    assert [
        path.name for path in filter_quarantine(tree, Purges(erased={f"msg_{11:026d}": frozenset()}))
    ] == ["new"]


def test_two_states_of_one_unit_that_share_a_file_come_to_the_same(tmp_path: Path) -> None:
    """One was purged of alice's text already, and both still list bob's file: the first filtered must not take it."""
    disk = FaultDisk(tmp_path)
    tree = Tree(disk, tmp_path)
    bobs = event("message.create", 4, agent_id="bob", incarnation="A", body={"content": "secret"})
    later = about("message.edit", 20, 4, author="bob", body={"content": "kept"})
    lines = [Line("W1", at, line) for at, line in enumerate((created(3), bobs, later), 1)]
    lines = [
        line._replace(line=line.line.replace(b'"sequence":1', b'"sequence":%d' % line.sequence))
        for line in lines
    ]
    (before,) = cut(tree, lines, daemon="d_1", message_types=TYPES)
    files = {path: disk.read(tree.published / path) for path in before.paths}
    erased = purges_in([about("message.delete", 30, 3)])
    (purged,) = filter_units(tree, [before], erased).units
    assert set(purged.paths) & set(before.paths), "bob's file is in both"
    for path, data in files.items():  # a merge brings it back
        if disk.size(tree.published / path) is None:
            write_new(disk, tree.published / path, data, temporary=tree.temporary)
    both = scan(tree)
    assert len(both.units) == 2
    done = filter_units(
        tree, both.units, purges_in([purge(50, 4), about("message.delete", 30, 4, author="bob")]) | erased
    )
    assert done.problems == []
    after = scan(tree)
    assert len(after.units) == 1 and not after.problems and not strays(tree, after)
    assert all(disk.size(tree.published / path) is not None for path in after.units[0].paths)
    assert not any(b"secret" in data for data in disk.files().values())

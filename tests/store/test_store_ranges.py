"""Published files: names, cutting, rolling up and reading give back what was put in, whatever the order."""

from __future__ import annotations

import dataclasses
import itertools
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thrum_kernel.errors import FileDamaged, FormatTooNew
from thrum_kernel.store.disk import OsDisk
from thrum_kernel.store.journal import Journal
from thrum_kernel.store.names import Window, fan_of, folder_name, parse_name, range_name
from thrum_kernel.store.ranges import (
    Line,
    Tree,
    Unit,
    cut,
    plan,
    read_log,
    read_window,
    roll_up,
    scan,
    strays,
)
from thrum_kernel.store.rollup import count_fewer, joined
from thrum_kernel.store.scan import Containing, Problem, contains
from thrum_kernel.store.spans import Spans
from thrum_kernel.store.units import Slice, UnitHeader
from thrum_kernel.testing.disk import FaultDisk

EXAMPLES = 400 if os.environ.get("THRUM_SOAK") == "1" else 60
DAEMON = "d_1"
TYPES = frozenset({"message.create"})
WRITERS = st.from_regex(r"[0-9A-Za-z_-]{1,26}", fullmatch=True).filter(lambda text: text != "ended")


def line(writer: str, sequence: int, agent: str | None) -> Line:
    """A message of *agent*, or another event when there is none."""
    stamp = f"2026-01-01T00:00:{sequence % 60:02d}.000000Z"
    head = {
        "type": "message.create" if agent else "group.create",
        "timestamp": stamp,
        "event_id": f"{writer}-{sequence}",
    }
    return Line(
        writer, sequence, msgspec.json.encode({**head, "agent_id": agent or "", "sequence": sequence})
    )


def fresh() -> Tree:
    tree = Tree(FaultDisk(), Path("/T"))
    tree.prepare()
    return tree


def cut_all(tree: Tree, lines: list[Line], sizes: list[int]) -> list[Unit]:
    units: list[Unit] = []
    at = 0
    for size in [*sizes, len(lines)]:
        units += cut(tree, lines[at : at + size], daemon=DAEMON, message_types=TYPES)
        at += size
    return units


def everything(tree: Tree, **options: object) -> list[tuple[str, int, bytes]]:
    found = [item for batch in read_log(tree, message_types=TYPES, **options) for item in batch]  # type: ignore[arg-type]
    assert all(daemon == DAEMON for _, daemon, _, _ in found)
    return [(writer, sequence, data) for writer, _, sequence, data in found]


# names


@given(writer=WRITERS, first=st.integers(1, 10**12), more=st.integers(0, 10**6))
def test_a_window_is_read_back_from_its_name(writer: str, first: int, more: int) -> None:
    window = Window(writer, first, first + more)
    found = parse_name(range_name((window,), "0" * 32))
    assert found is not None and found.window == window and found.digest == "0" * 32


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_none(text: str) -> None:
    found = parse_name(text)
    assert found is None or text.endswith(".jsonl")


@given(st.sets(st.text(min_size=1, max_size=200), max_size=20))
def test_folders_of_agents_are_safe_and_differ(agents: set[str]) -> None:
    names = {folder_name(agent) for agent in agents}
    assert len({name.lower() for name in names}) == len(agents)
    for name in names:
        assert len(name) <= 100 and "/" not in name and "." not in name and name.isascii()


def test_names_of_agents_stay_readable() -> None:
    assert folder_name("impl_1-a") == "impl_1-a"
    assert folder_name("user:leon") == "user%3aleon"
    assert folder_name("..") == "%2e%2e"


# spans


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 12)), max_size=20))
def test_spans_hold_exactly_what_was_added(parts: list[tuple[int, int]]) -> None:
    spans, model = Spans(), set()
    for first, more in parts:
        spans.add(first, first + more)
        model.update(range(first, first + more + 1))
    assert {n for first, last in spans for n in range(first, last + 1)} == model
    assert all((n in spans) == (n in model) for n in range(1, 80))
    missing = {n for first, last in spans.missing(5, 70) for n in range(first, last + 1)}
    assert missing == set(range(5, 71)) - model
    ranges = list(spans)
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(ranges))


# cut, roll up, read

AGENTS = st.sampled_from([None, "alice", "bob", "user:leon"])
WRITTEN = st.lists(
    st.tuples(st.lists(AGENTS, min_size=1, max_size=12), st.lists(st.integers(1, 5), max_size=4)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(written=WRITTEN, data=st.data())
def test_reading_gives_what_was_cut_however_it_is_rolled_up(
    written: list[tuple[list[str | None], list[int]]], data: st.DataObject
) -> None:
    tree, put, units = fresh(), [], []
    for number, (agents, sizes) in enumerate(written):
        lines = [line(f"w{number}", sequence, agent) for sequence, agent in enumerate(agents, 1)]
        units += cut_all(tree, lines, sizes)
        put += lines
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(units) - 1))
        to = data.draw(st.integers(at + 1, len(units)))
        units[at:to] = [roll_up(tree, units[at:to])]
    found = scan(tree)
    assert not found.problems and not found.superseded and strays(tree, found) == []
    assert sorted(everything(tree)) == sorted(put)
    assert sorted(item for unit in units for item in read_window(tree, unit)) == sorted(put)


@settings(max_examples=EXAMPLES, deadline=None)
@given(agents=st.lists(AGENTS, min_size=1, max_size=30), data=st.data())
def test_a_reader_gets_what_it_has_not(agents: list[str | None], data: st.DataObject) -> None:
    tree = fresh()
    lines = [line("w1", sequence, agent) for sequence, agent in enumerate(agents, 1)]
    log = Journal.open_new(tree.disk, tree.journal, writer="w1", daemon=DAEMON, previous=None)
    log.append([item.line for item in lines])
    published = data.draw(st.integers(0, len(lines)))
    cut_all(tree, lines[:published], [3])
    has = data.draw(st.lists(st.integers(1, len(lines)), max_size=6))
    until = data.draw(st.integers(published, len(lines)))
    found = everything(tree, after={"w1": [(n, n) for n in has]}, until={"w1": until})
    assert sorted(found) == [item for item in lines if item.sequence not in has and item.sequence <= until]
    is_event = [b"group.create" in item[2] for item in found]
    assert is_event == sorted(is_event, reverse=True), "events come first"


def test_a_roll_up_while_reading_neither_loses_nor_doubles() -> None:
    tree = fresh()
    lines = [line("w1", sequence, "alice" if sequence % 2 else None) for sequence in range(1, 21)]
    units = cut_all(tree, lines, [5, 5, 5])
    reader = read_log(tree, message_types=TYPES)
    found = list(next(reader))
    roll_up(tree, units)
    found += [item for batch in reader for item in batch]
    assert sorted((w, s, data) for w, _, s, data in found) == lines


def test_a_missing_file_costs_only_its_own_lines_and_is_told() -> None:
    tree = fresh()
    (unit,) = cut_all(tree, [line("w1", n, ("alice", "bob")[n % 2]) for n in range(1, 9)], [])
    tree.disk.remove(tree.published / unit.shard_path(unit.header.shards[0]))
    problems: list[Problem] = []
    found = everything(tree, report=problems.append)
    assert len(found) == 4 and [problem.kind for problem in problems] == ["missing"]


def test_of_two_files_for_one_window_all_lines_are_read_once(tmp_path: Path) -> None:
    tree = Tree(OsDisk(), tmp_path)
    tree.prepare()
    lines = [line("w1", n, None) for n in range(1, 4)]
    cut_all(tree, lines, [])
    cut_all(
        tree, [*lines[:2], line("w1", 3, None)._replace(line=lines[2].line.replace(b"group", b"forge"))], []
    )
    found = everything(tree)
    assert [sequence for _, sequence, _ in found] == [1, 2, 3]
    assert [problem.kind for problem in scan(tree).problems] == ["conflict"]


def test_windows_are_cut_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thrum_kernel.store.cut.MOST_LINES", 4)
    units = cut_all(fresh(), [line("w1", n, "alice") for n in range(1, 11)], [])
    assert [unit.windows for unit in units] == [
        (Window("w1", 1, 4),),
        (Window("w1", 5, 8),),
        (Window("w1", 9, 10),),
    ]


# rolling up


def test_plan_joins_neighbours_of_the_living_writer_only() -> None:
    tree = fresh()
    units = [unit for n in range(1, 33) if n != 8 for unit in cut_all(tree, [line("w1", n, "alice")], [])]
    (run,) = plan(units, current="w1")
    assert [unit.windows[0].first for unit in run] == list(range(9, 33))


def test_plan_joins_units_of_ended_writers() -> None:
    tree = fresh()
    units = [unit for n in range(16) for unit in cut_all(tree, [line(f"w{n:02d}", 1, "alice")], [])]
    assert plan(units[:15], current="") == []
    (run,) = plan(units, current="")
    larger = roll_up(tree, run)
    assert len(larger.windows) == 16 and larger.path.name.startswith("ended.")
    assert len(larger.header.shards) == 1


@pytest.mark.parametrize("fan_in", [2, 4, 16])
def test_the_number_of_files_stays_small(fan_in: int) -> None:
    tree = fresh()
    units: list[Unit] = []
    for n in range(1, 200):
        units += cut_all(tree, [line("w1", n, "alice")], [])
        while runs := plan(sorted(units, key=lambda unit: unit.key[2]), current="w1", fan_in=fan_in):
            for run in runs:
                units = [unit for unit in units if unit not in run] + [roll_up(tree, run)]
    assert len(units) <= 8 * fan_in
    assert len(everything(tree)) == 199


@given(
    st.lists(
        st.tuples(st.sampled_from(["w1", "w2", "w3"]), st.sampled_from(["alice", "bob", None])), max_size=60
    ),
    st.sampled_from([2, 3, 16]),
)
@settings(deadline=None)
def test_what_a_roll_up_comes_to_is_told_before(said: list[tuple[str, str | None]], fan_in: int) -> None:
    tree = fresh()
    units: list[Unit] = []
    for number, (writer, agent) in enumerate(said, 1):
        units += cut_all(tree, [line(writer, number, agent)], [])
    told = count_fewer(units, current="w3", fan_in=fan_in)
    before = len(units)
    while runs := plan(units, current="w3", fan_in=fan_in):
        for run in runs:
            units = [unit for unit in units if unit not in run] + [roll_up(tree, run)]
    assert told == before - len(units)


@given(
    st.lists(
        st.tuples(st.sampled_from(["w1", "w2"]), st.integers(1, 12), st.integers(0, 11)),
        min_size=1,
        max_size=30,
        unique=True,
    ),
    st.lists(st.integers(1, 3), min_size=1, max_size=30),
)
def test_what_contains_a_unit_is_what_a_look_at_all_of_them_finds(
    windows: list[tuple[str, int, int]], sizes: list[int]
) -> None:
    left = [Window(writer, first, first + more) for writer, first, more in windows]
    units = []
    for count in sizes:
        taken, left = left[:count], left[count:]
        if taken:
            header = UnitHeader("d", tuple(Slice(*window, 1) for window in taken), "a", "b", ())
            units.append(Unit(Path(f"events/d/0/{len(units)}"), header, "0" * 32))
    containing = Containing(units)
    for unit in units:
        expected = {other.path for other in units if contains(other.windows, unit.windows)}
        assert {other.path for other in containing.of(unit)} == expected


def test_a_large_unit_is_not_written_again_for_a_few_small_ones() -> None:
    tree = fresh()
    lines = [line("w1", n, "alice") for n in range(1, 1001)]
    units = cut_all(tree, lines, [])
    for n in range(1001, 1016):
        units += cut_all(tree, [line("w1", n, "alice")], [])
    assert len(units) == 16 and plan(units, current="w1") == []
    units += cut_all(tree, [line("w1", 1016, "alice")], [])
    (run,) = plan(units, current="w1")
    assert run == units[1:]


def test_units_too_large_to_grow_do_not_keep_later_ones_apart() -> None:
    tree = fresh()
    cut_units = [unit for n in range(19) for unit in cut_all(tree, [line(f"w{n:02d}", 1, "alice")], [])]
    sizes = [100_000, 100_000, 100_000, *[5_000] * 16]
    units = [pretending(unit, lines) for unit, lines in zip(cut_units, sizes, strict=True)]
    (run,) = plan(units)
    assert run == units[3:]


def test_large_units_are_joined_as_far_as_one_file_goes_and_then_never_again() -> None:
    tree = fresh()
    cut_units = [unit for n in range(7) for unit in cut_all(tree, [line(f"w{n:02d}", 1, "alice")], [])]
    units = [pretending(unit, 30_000) for unit in cut_units]
    (run,) = plan(units)
    assert run == units[:4]
    assert plan([pretending(cut_units[0], 120_000), *units[4:]]) == []


def pretending(unit: Unit, lines: int) -> Unit:
    """A unit whose header tells of more lines than it has."""
    (window,) = unit.header.windows
    header = msgspec.structs.replace(unit.header, windows=(msgspec.structs.replace(window, lines=lines),))
    return dataclasses.replace(unit, header=header)


def test_neighbouring_windows_become_one() -> None:
    windows = [Window("b", 1, 3), Window("a", 1, 2), Window("b", 4, 9), Window("b", 20, 21)]
    assert joined(windows) == [Window("b", 1, 9), Window("b", 20, 21), Window("a", 1, 2)]
    assert contains(joined(windows), windows) and not contains(windows, windows)


def test_a_contained_window_counts_until_the_larger_is_whole() -> None:
    tree = fresh()
    lines = [line("w1", n, "alice") for n in range(1, 5)]
    small = cut_all(tree, lines, [2])
    (large,) = cut_all(tree, lines, [])
    assert scan(tree).superseded == small
    tree.disk.remove(tree.published / large.shard_path(large.header.shards[0]))
    assert scan(tree).superseded == []


# format, headers


def test_files_of_a_later_version_are_left_alone() -> None:
    tree = fresh()
    assert tree.format() == 1
    tree.raise_format(9)
    tree.raise_format(2)
    with pytest.raises(FormatTooNew) as caught:
        tree.prepare()
    assert caught.value.needed == 9


def test_an_events_file_under_another_name_does_not_count() -> None:
    tree = fresh()
    (unit,) = cut_all(tree, [line("w1", 1, "alice")], [])
    other = unit.path.with_name(range_name((Window("w2", 1, 1),), unit.digest))
    tree.disk.move(tree.published / unit.path, tree.published / other)
    found = scan(tree)
    assert found.units == [] and [problem.kind for problem in found.problems] == ["damaged"]


def test_a_file_with_other_lines_than_it_tells_is_damaged() -> None:
    tree = fresh()
    (unit,) = cut_all(tree, [line("w1", 1, "alice"), line("w1", 2, "alice")], [])
    path = tree.published / unit.shard_path(unit.header.shards[0])
    tree.disk.cut_short(path, tree.disk.read(path).index(b"\n") + 1)
    with pytest.raises(FileDamaged, match="are not those that its name tells"):
        read_window(tree, unit)


@given(WRITERS, st.integers(1, 10**6))
def test_the_fan_is_one_of_sixteen_folders_each_way(writer: str, first: int) -> None:
    windows = (Window(writer, first, first),)
    one, other = fan_of(windows, depth=2).parts
    assert {one, other} <= set("0123456789abcdef") and str(fan_of(windows)) == one

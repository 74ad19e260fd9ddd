"""`log verify` finds every kind of damage, and nothing on a sound log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from thrum_kernel.store.check import check
from thrum_kernel.store.disk import OsDisk
from thrum_kernel.store.journal import Journal
from thrum_kernel.store.ranges import Line, Tree, Unit, cut

DAEMON = "d_1"
TYPES = frozenset({"message.create"})


class Log:
    """A log with three published units of one writer, and a journal of another."""

    def __init__(self, root: Path) -> None:
        self.tree = Tree(OsDisk(), root)
        self.tree.prepare()
        self.tree.record_writers(["w1"])
        self.units = [self.publish("w1", first) for first in (1, 4, 7)]
        self.journal = Journal.open_new(
            self.tree.disk, self.tree.journal, writer="w2", daemon=DAEMON, previous=None
        )
        self.journal.append([line.line for line in lines("w2", 1)])

    def publish(self, writer: str, first: int, *, daemon: str = DAEMON) -> Unit:
        (unit,) = cut(self.tree, lines(writer, first), daemon=daemon, message_types=TYPES)
        return unit

    def path(self, unit: Unit, at: int) -> Path:
        return self.tree.published / unit.paths[at]

    def problems(self) -> list[tuple[str, str]]:
        found = check(self.tree, daemon=DAEMON, current=("w2", 3))
        return [(problem.kind, problem.path) for problem in found.problems]


def lines(writer: str, first: int) -> list[Line]:
    kinds = ("message.create", "message.create", "group.create")
    stamp = "2026-01-01T00:00:00.000000Z"
    events = [
        {"type": kind, "timestamp": stamp, "agent_id": "alice", "sequence": first + n}
        for n, kind in enumerate(kinds)
    ]
    return [Line(writer, first + n, msgspec.json.encode(event)) for n, event in enumerate(events)]


def test_a_sound_log_has_no_problem(tmp_path: Path) -> None:
    log = Log(tmp_path)
    found = check(log.tree, daemon=DAEMON, current=("w2", 3))
    assert found.problems == []
    assert (found.files, found.events, found.journal_events, found.windows, found.journals) == (
        6,
        12,
        3,
        3,
        1,
    )
    assert found.writers == {"w1", "w2"} and found.daemons == {DAEMON}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.rindex(b"alice")] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Log], list[tuple[str, str]]]] = {}


def damage(make: Callable[[Log], list[tuple[str, str]]]) -> Callable[[Log], list[tuple[str, str]]]:
    """A way to damage a log; gives the problems that must be told."""
    DAMAGE[make.__name__] = make
    return make


@damage
def a_flipped_bit(log: Log) -> list[tuple[str, str]]:
    flip(log.path(log.units[1], 0))
    return [("damaged", str(log.units[1].paths[0]))]


@damage
def a_message_file_gone(log: Log) -> list[tuple[str, str]]:
    log.path(log.units[1], 0).unlink()
    return [("missing", str(log.units[1].paths[0]))]


@damage
def a_unit_gone(log: Log) -> list[tuple[str, str]]:
    log.tree.drop([log.units[1]])
    return [("gap", "w1")]


@damage
def an_events_file_gone(log: Log) -> list[tuple[str, str]]:
    log.path(log.units[1], -1).unlink()
    return [("stray", str(log.units[1].paths[0])), ("gap", "w1")]


@damage
def a_damaged_first_line(log: Log) -> list[tuple[str, str]]:
    path = log.path(log.units[2], -1)
    path.write_bytes(b"{" + path.read_bytes())
    return [("damaged", str(log.units[2].path)), ("stray", str(log.units[2].paths[0]))]


@damage
def a_file_of_somebody_else(log: Log) -> list[tuple[str, str]]:
    path = log.path(log.units[0], 0).with_name("notes.txt")
    path.write_bytes(b"hello")
    return [("unreadable", str(path.relative_to(log.tree.published)))]


@damage
def a_writer_that_was_never_ours(log: Log) -> list[tuple[str, str]]:
    return [("foreign", str(log.publish("w9", 1).path))]


@damage
def a_damaged_journal(log: Log) -> list[tuple[str, str]]:
    flip_line = log.journal.path.read_bytes().replace(b'"sequence":2', b'"sequence":5')
    log.journal.path.write_bytes(flip_line)
    return [("damaged", "journal/w2.jsonl")]


@damage
def a_torn_journal_of_an_earlier_start(log: Log) -> list[tuple[str, str]]:
    old = Journal.open_new(log.tree.disk, log.tree.journal, writer="w3", daemon=DAEMON, previous=None)
    old.append([line.line for line in lines("w3", 1)])
    with old.path.open("ab") as file:
        file.write(b'{"seq')
    return [("damaged", "journal/w3.jsonl")]


@damage
def bytes_in_quarantine(log: Log) -> list[tuple[str, str]]:
    log.tree.folders.ensure(log.tree.quarantine)
    (log.tree.quarantine / "w1.5.torn").write_bytes(b"torn!")
    return [("quarantined", "quarantine/w1.5.torn")]


@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_damage_is_told_and_nothing_else(tmp_path: Path, name: str) -> None:
    log = Log(tmp_path)
    expected = DAMAGE[name](log)
    assert sorted(set(log.problems())) == sorted(expected)

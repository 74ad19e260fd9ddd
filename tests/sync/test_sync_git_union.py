"""Which names are taken, which leave the common tree, and which are never written."""

from __future__ import annotations

from pathlib import Path

import pytest

from thrum_kernel.store.names import Window
from thrum_kernel.store.units import ShardEntry, Slice, Unit, UnitHeader, events_path
from thrum_kernel.sync.union import is_events_path, is_log_path, paths_of, surplus, wanted

DAEMON = "d_01JABCDEFGHJKMNPQRSTVWXYZ1"
DIGEST = "0123456789abcdef" * 2


def unit(first: int, last: int, *, writer: str = "W1", digest: str = DIGEST, daemon: str = DAEMON) -> Unit:
    """A unit with one message file."""
    window = Window(writer, first, last)
    shards = (ShardEntry("alice", last - first + 1, 10, digest),)
    header = UnitHeader(daemon, (Slice(*window, 0),), f"{first:09}", f"{last:09}", shards)
    return Unit(events_path(daemon, (window,), digest), header, digest)


def test_what_is_not_here_is_taken_unless_it_lies_inside_something_larger() -> None:
    small, larger, other = unit(1, 4), unit(1, 9), unit(1, 4, writer="W2")
    assert wanted([small, other], [], paths_of([small, other])) == [small, other]
    assert wanted([small, other], [larger], paths_of([small, other])) == [other]
    assert wanted([small, larger], [], paths_of([small, larger])) == [larger]


def test_a_larger_file_that_is_not_whole_takes_nothing_s_place() -> None:
    small, larger = unit(1, 4), unit(1, 9)
    assert small in wanted([small, larger], [], {*paths_of([small]), str(larger.path)})


def test_another_daemon_s_windows_hold_nothing() -> None:
    small, foreign = unit(1, 4), unit(1, 9, daemon="d_01JABCDEFGHJKMNPQRSTVWXYZ2")
    assert wanted([small], [foreign], paths_of([small])) == [small]


def test_rolled_up_and_purged_files_leave_the_tree_and_nothing_else() -> None:
    old, larger = unit(1, 4), unit(1, 9)
    unpurged, purged = unit(20, 29, digest="f" * 32), unit(20, 29)
    unknown = unit(40, 49)
    here = [larger, purged]
    gone = surplus([old, unpurged, unknown], here, paths_of(here))
    assert gone == paths_of([old, unpurged])


def test_nothing_leaves_for_a_unit_that_is_not_whole_here() -> None:
    old, larger = unit(1, 4), unit(1, 9)
    assert surplus([old], [larger], {str(larger.path)}) == set()


def test_a_file_that_both_list_stays() -> None:
    unpurged, purged = unit(20, 29, digest="f" * 32), unit(20, 29)
    same = Unit(unpurged.path, purged.header, unpurged.digest)  # only its events changed
    assert surplus([same], [purged], paths_of([purged])) == {str(same.path)}


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        f"events/../0/W.1-1.{DIGEST}.jsonl",
        f"events/.git/0/W.1-1.{DIGEST}.jsonl",
        f"events/d/0/../W.1-1.{DIGEST}.jsonl",
        f"/events/d/0/W.1-1.{DIGEST}.jsonl",
        f"events/d/00/W.1-1.{DIGEST}.jsonl",
        f"events/d/0/W.1-1.agent.{DIGEST}.jsonl",
        f"messages/d/0/W.1-1.agent.{DIGEST}.jsonl",
        f"messages/d/0/1/W.1-1.{DIGEST}.jsonl",
        f"messages/d/0/1/W.1-1.a.b.{DIGEST}.jsonl",
        f"messages/d/0/1/W.1-1...{DIGEST}.jsonl",
        f"messages/d/a/0/x/W.1-1.agent.{DIGEST}.jsonl",
        f"events/d/0/W.2-1.{DIGEST}.jsonl",
        "events/d/0/config",
        f"events/d/0/W.1-1.{DIGEST}.jsonl\n",
        ".gitattributes",
        "FORMAT",
    ],
)
def test_names_that_are_never_written(path: str) -> None:
    assert not is_log_path(path) and not is_events_path(path)


def test_names_of_the_log() -> None:
    found = unit(1, 4)
    events, messages = str(found.path), str(Path(found.shard_path(found.header.shards[0])))
    assert is_log_path(events) and is_events_path(events)
    assert is_log_path(messages) and not is_events_path(messages)

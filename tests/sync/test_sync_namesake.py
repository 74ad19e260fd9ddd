"""What tells a daemon's own past from another daemon under its id."""

from __future__ import annotations

from pathlib import Path

from thrum_kernel.clock import format_us
from thrum_kernel.store.disk import OsDisk
from thrum_kernel.store.tree import Tree
from thrum_kernel.store.units import Slice, Unit, UnitHeader
from thrum_kernel.sync.namesake import Namesakes, Sighting

DAEMON = "d_01JABCDEFGHJKMNPQRSTVWXYZ0"
START_US = 1_790_000_000_000_000
MINUTE_US = 60_000_000


class Looking:
    """Namesakes of a log in *folder* whose daemon began at `START_US`."""

    def __init__(self, folder: Path, *, current: str = "w5", own: tuple[str, ...] = ("w1", "w5")) -> None:
        folder.mkdir(exist_ok=True)
        self.tree = Tree(OsDisk(), folder)
        self.tree.record_writers(own)
        self.found: list[Sighting] = []
        self.current = current
        self.namesakes = Namesakes(
            self.tree, since=format_us(START_US), current=lambda: self.current, found=self.found.append
        )

    def look(self, *units: Unit) -> list[Sighting]:
        """What a look at *units* tells."""
        self.found.clear()
        self.namesakes.look(units)
        return list(self.found)


def unit(*slices: tuple[str, int, int], minutes: float) -> Unit:
    """A unit under our id whose newest event is that many minutes after our start."""
    end = format_us(int(START_US + minutes * MINUTE_US))
    windows = tuple(Slice(*each, 1) for each in slices)
    return Unit(Path("events/x"), UnitHeader(DAEMON, windows, end, end, ()), "0")


def test_what_we_wrote_ourselves_tells_nothing(tmp_path: Path) -> None:
    looking = Looking(tmp_path)
    assert looking.look() == []
    assert looking.look(unit(("w1", 1, 3), minutes=-5), unit(("w5", 1, 3), minutes=5)) == []


def test_our_own_past_is_told_once_and_keeps_the_id(tmp_path: Path) -> None:
    looking = Looking(tmp_path)
    lost = unit(("w2", 1, 3), minutes=-5)
    assert looking.look(lost) == [Sighting(past=("w2",))]
    assert looking.look(lost) == []
    assert Looking(tmp_path).look(lost) == []


def test_what_comes_after_our_first_look_and_is_younger_than_our_start_is_a_namesake(tmp_path: Path) -> None:
    looking = Looking(tmp_path)
    assert looking.look() == []
    assert looking.look(unit(("w7", 1, 1), minutes=1)) == [Sighting(namesakes=("w7",))]
    assert looking.look(unit(("w7", 1, 1), minutes=1)) == []
    assert looking.look(unit(("w7", 1, 1), minutes=1), unit(("w7", 2, 4), minutes=2)) == [
        Sighting(namesakes=("w7",))
    ]


def test_the_younger_writer_gives_way_on_both_sides_alike(tmp_path: Path) -> None:
    older, younger = Looking(tmp_path / "a", current="w5"), Looking(tmp_path / "b", current="w7")
    assert older.look() == younger.look() == []
    assert older.look(unit(("w7", 1, 1), minutes=1)) == [Sighting(namesakes=("w7",), is_younger=False)]
    (found,) = younger.look(unit(("w6", 1, 1), minutes=1))
    assert found.is_younger and found.namesakes == ("w6",)


def test_a_daemon_that_wrote_nothing_gives_way(tmp_path: Path) -> None:
    looking = Looking(tmp_path, current="", own=("w1",))
    assert looking.look() == []
    assert looking.look(unit(("w2", 1, 1), minutes=1)) == [Sighting(namesakes=("w2",), is_younger=True)]


def test_neither_an_old_file_that_comes_late_nor_a_clock_ahead_is_a_namesake(tmp_path: Path) -> None:
    ahead = Looking(tmp_path / "a")  # our own past, from before the clock was put back
    assert ahead.look(unit(("w2", 1, 1), minutes=90)) == [Sighting(past=("w2",))]
    assert ahead.look(unit(("w2", 1, 1), minutes=90)) == []
    late = Looking(tmp_path / "b")  # another clone brings back what a host had lost
    assert late.look() == []
    assert late.look(unit(("w2", 1, 1), minutes=-90)) == [Sighting(past=("w2",))]


def test_rolled_up_files_are_nothing_new(tmp_path: Path) -> None:
    looking = Looking(tmp_path)
    parts = [unit(("w2", 1, 2), minutes=90), unit(("w3", 1, 4), minutes=91)]
    assert looking.look(*parts) == [Sighting(past=("w2", "w3"))]
    assert looking.look(unit(("w2", 1, 2), ("w3", 1, 4), minutes=91)) == []
    assert looking.look(unit(("w1", 1, 9), ("w2", 1, 2), minutes=91)) == []


def test_what_was_told_of_is_no_forgery_to_log_verify(tmp_path: Path) -> None:
    looking = Looking(tmp_path)
    assert looking.look(unit(("w2", 1, 3), minutes=-5)) == [Sighting(past=("w2",))]
    assert looking.tree.other_writers() == {"w2"} and "w2" not in (looking.tree.own_writers() or ())

"""What is held back from travelling here, and what was let go: the state of `T/held`, as `Cutter` goes by it. Blocking."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from thrum_kernel.store import ranges
from thrum_kernel.store.ranges import HeldLine, Line, Release, Tree, Unit
from thrum_kernel.store.spans import Coverage
from thrum_kernel.sync.withheld import event_id_of, is_erased, named

_log = logging.getLogger(__name__)


class Holding:
    """The lines that were held back by one daemon, and those that a migration held back here.

    A line of the daemon's own is let go by a note, for it is journalled again. One that was brought over is let go by
    the unit that it was left out of, whoever wrote that: each clone that migrated may hold the same line.

    Args:
        tree: the log.
        daemon: the id of the daemon.
        scan: names of the patterns that a line matches and that must not travel.

    Attributes:
        waiting: what was held back and not released, in order of places; replaced in one step.
        erased: what was held back and says nothing any more, since it was deleted: it may travel, for edits and
            deletions elsewhere wait for it; replaced in one step.
    """

    def __init__(self, tree: Tree, daemon: str, scan: Callable[[bytes], Sequence[str]]) -> None:
        self.waiting: tuple[HeldLine, ...] = ()
        self.erased: tuple[HeldLine, ...] = ()
        self._tree = tree
        self._daemon = daemon
        self._scan = scan
        self._places: Mapping[tuple[str, int], HeldLine] = {}
        self._released: frozenset[str] = frozenset()
        self._coverage = Coverage()

    def look(self, published: Coverage) -> None:
        """Look at the files; *published* is what units hold."""
        found = ranges.read_held(self._tree, lambda problem: _log.error("%s: %s", problem.path, problem.text))
        self._places = {line.place: line for line in found}
        self._released = frozenset(release.event_id for release in ranges.releases(self._tree))
        self._coverage = published
        mine = (line for line in found if line.is_brought or line.daemon == self._daemon)
        waiting = [line for line in mine if not self._is_let_go(line)]
        erased = {line.place for line in waiting if is_erased(line) and not self._scan(line.line)}
        self.waiting = tuple(line for line in waiting if line.place not in erased)
        self.erased = tuple(line for line in waiting if line.place in erased)

    def came(self, units: Iterable[Unit]) -> bool:
        """Whether a merge brought the units of lines that wait here: another clone released them."""
        written = {(window.writer, window.first) for unit in units for window in unit.windows}
        brought = {line.place for line in (*self.waiting, *self.erased) if line.is_brought}
        self.waiting = tuple(
            line for line in self.waiting if not line.is_brought or line.place not in written
        )
        return not brought.isdisjoint(written)

    def was_released(self, name: str) -> bool:
        """Whether a message or an event of that name was held back and is released, all of it."""
        found = named(self._places.values(), name)
        return bool(found) and all(self._is_let_go(line) and not is_erased(line) for line in found)

    def reasons(self, line: Line) -> Sequence[str]:
        """Why a line must not travel. What an unfinished cut has kept back already stays back, whatever changed."""
        known = self._places.get((line.writer, line.sequence))
        if known is not None:
            return known.patterns
        found = self._scan(line.line)
        if not found or event_id_of(line.line) in self._released:
            return ()
        _log.warning(
            "event %s was held back from what travels: %s; see: thrum sync held",
            event_id_of(line.line),
            ", ".join(found),
        )
        return found

    def release(self, new: Sequence[Release]) -> None:
        """Note durably that lines, which were journalled again or have units, may travel.

        Raises:
            StoreError: the disk refuses; those that were journalled again are still held back.
        """
        ranges.note_released(self._tree, new)

    def write_units(self, lines: Iterable[HeldLine], message_types: Container[str]) -> list[Unit]:
        """Publish lines that were brought over, each where it was left out; done again it changes nothing.

        Raises:
            StoreError: the disk refuses; the others are still held back.
        """
        units: list[Unit] = []
        for line in lines:
            placed = Line(*line.place, line.line)
            units += ranges.cut(self._tree, [placed], daemon=line.daemon, message_types=message_types)
        return units

    def _is_let_go(self, line: HeldLine) -> bool:
        if line.is_brought:
            return self._coverage.covers(line.writer, line.sequence, line.sequence)
        return event_id_of(line.line) in self._released

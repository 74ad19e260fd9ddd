"""Evidence that another daemon lives under our id: what the branch holds under it that we never started.

Two things leave files of writers under our name that this log does not know. One is *our own past*: the log was
restored from an older backup, or lost, and the branch still has what was published since; the id stays. The other is
a *namesake*: a copy of this log that a daemon elsewhere goes on with. They are told apart by one fact that our own past
can never show: that something came to the branch after we had looked at it, and was written after this daemon began,
while it held the log's lock. Both must hold, so neither a clock that is off nor an old file that somebody brings back
makes a daemon give up its id; at worst a namesake is noticed with its next message.

Of two that notice each other the one whose current writer is younger takes a new id: both know both writers, so both
come to the same answer, whichever looks first.

Source: DESIGN.md D1, "Which daemon".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from typing import NamedTuple

from thrum_kernel.store.spans import Coverage
from thrum_kernel.store.tree import Tree
from thrum_kernel.store.units import Unit


class Sighting(NamedTuple):
    """What the files under our id tell.

    Attributes:
        namesakes: writers of a daemon that lives under our id now, sorted.
        past: writers that were not known before and wrote before this daemon began, sorted.
        is_younger: whether it is us who has to take a new id.
    """

    namesakes: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    is_younger: bool = False


class Namesakes:
    """Looks at what the branch holds under our id, once after every merge, for the whole life of one daemon.

    Args:
        tree: the log.
        since: timestamp of this daemon's start.
        current: its current writer, empty before its first event.
        found: told of every sighting that says something new; in the thread that looks.
    """

    def __init__(
        self, tree: Tree, *, since: str, current: Callable[[], str], found: Callable[[Sighting], object]
    ) -> None:
        self._tree = tree
        self._since = since
        self._current = current
        self._found = found
        self._seen: Coverage | None = None

    def look(self, units: Iterable[Unit]) -> None:
        """Judge the *units* that the branch holds under our id now; blocking.

        Raises:
            StoreError: what was found cannot be noted; the next look finds it again.
        """
        strangers = self._strangers(units)
        namesakes = self._alive(strangers)
        writers = {window.writer for unit in strangers for window in unit.windows} - self._own()
        past = self._tree.note_others(writers) - namesakes
        self._note(strangers)
        if namesakes or past:
            self._found(self._sighting(namesakes, past))

    def _strangers(self, units: Iterable[Unit]) -> list[Unit]:
        own = self._own()
        return [unit for unit in units if any(window.writer not in own for window in unit.windows)]

    def _own(self) -> frozenset[str]:
        return (self._tree.own_writers() or frozenset()) | {self._current()}

    def _alive(self, strangers: Iterable[Unit]) -> set[str]:
        """The writers of what came since the last look and was written since this daemon began."""
        seen = self._seen
        if seen is None:
            return set()
        own = self._own()
        fresh = (unit for unit in strangers if unit.header.end > self._since)
        windows = (window for unit in fresh for window in unit.windows if window.writer not in own)
        return {window.writer for window in windows if not seen.covers(*window)}

    def _note(self, strangers: Iterable[Unit]) -> None:
        seen = self._seen = self._seen or Coverage()
        for unit in strangers:
            for window in unit.windows:
                seen.add(*window)

    def _sighting(self, namesakes: Set[str], past: Set[str]) -> Sighting:
        newest = max(namesakes, default="")
        current = self._current()
        is_younger = bool(namesakes) and (not current or newest < current)
        return Sighting(tuple(sorted(namesakes)), tuple(sorted(past)), is_younger)

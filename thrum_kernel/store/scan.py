"""What is published: the units of every daemon, which of them others contain, and what is wrong."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from thrum_kernel.errors import FileDamaged, FileMissing
from thrum_kernel.store.names import Window, parse_name
from thrum_kernel.store.spans import Coverage
from thrum_kernel.store.tree import Tree
from thrum_kernel.store.units import Unit, decode_shard, decode_unit

_FIRST_READ: Final = 1 << 16

ProblemKind = Literal[
    "missing", "damaged", "conflict", "overlap", "gap", "stray", "foreign", "quarantined", "unreadable"
]


class Problem(NamedTuple):
    """Something wrong with a file of the log.

    Attributes:
        kind: ``missing`` listed but not there; ``damaged`` its bytes are not those its name or list tells;
            ``conflict`` two files for one window; ``overlap`` windows that share events; ``gap`` events of a writer
            that no file holds; ``stray`` no list names it; ``foreign`` under this daemon's name, but not written by
            it; ``quarantined`` bytes cut from a journal; ``unreadable`` not a file of ours.
        path: the file, relative to the log's folder.
        text: one sentence.
    """

    kind: ProblemKind
    path: str
    text: str


@dataclass(slots=True)
class Scan:
    """The published units at one moment.

    Attributes:
        units: those that count, oldest first; units with the same windows stand side by side.
        superseded: those whose windows all lie inside those of another complete unit; they may go.
        problems: what is wrong with the events files.
    """

    units: list[Unit] = field(default_factory=list)
    superseded: list[Unit] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def coverage(self) -> Coverage:
        """Which events are published, by writer."""
        coverage = Coverage()
        for unit in self.units:
            for window in unit.windows:
                coverage.add(*window)
        return coverage

    @property
    def groups(self) -> list[list[Unit]]:
        """The units, those with the same windows together: more than one is a conflict."""
        groups: list[list[Unit]] = []
        for unit in self.units:
            if groups and groups[-1][0].key[1:] == unit.key[1:]:
                groups[-1].append(unit)
            else:
                groups.append([unit])
        return groups


def scan(tree: Tree, *, known: Mapping[str, Unit] = MappingProxyType({})) -> Scan:
    """Read the first line of every events file.

    Args:
        tree: the log.
        known: units by path that were read before: what a name says, its file will always say.

    Raises:
        StoreError: a folder cannot be read.
    """
    found = Scan()
    events = Path("events")
    units = []
    for path in walk(tree, events):
        try:
            units.append(known.get(str(path)) or read_unit_header(tree, path))
        except FileDamaged as error:
            found.problems.append(Problem("damaged", str(path), error.reason))
        except FileMissing:
            continue  # rolled up between the listing and now: what contains it is listed or comes with the next scan
    containing = Containing(units)
    for unit in sorted(units, key=lambda unit: (unit.key[1:], unit.digest)):
        is_superseded = any(is_complete(tree, other) for other in containing.of(unit))
        (found.superseded if is_superseded else found.units).append(unit)
    found.units.sort(key=lambda unit: (*unit.key, unit.digest))
    _report_conflicts(found)
    return found


def read_unit_header(tree: Tree, path: Path) -> Unit:
    """The unit whose events file lies at *path*, relative to the published folder.

    Raises:
        FileDamaged: its first line is not one.
        FileMissing: it is gone.
    """
    return decode_unit(path, first_line(tree, path))


def first_line(tree: Tree, path: Path) -> bytes:
    """The first line of a published file, without its newline."""
    length = _FIRST_READ
    while True:
        data = tree.disk.read(tree.published / path, length=length)
        line, newline, _ = data.partition(b"\n")
        if newline or len(data) < length:
            return line
        length *= 8


def walk(tree: Tree, folder: Path, *, everything: bool = False) -> Iterator[Path]:
    """Published files below *folder*, relative to the published folder as *folder* is, in order of their names.

    With *everything* also those whose names are not those of published files.
    """
    for entry in tree.disk.entries(tree.published / folder):
        path = folder / entry.name
        if entry.is_folder:
            yield from walk(tree, path, everything=everything)
        elif everything or parse_name(entry.name) is not None:
            yield path


def is_complete(tree: Tree, unit: Unit) -> bool:
    """Whether every file of the unit is there."""
    return all(tree.disk.size(tree.published / path) is not None for path in unit.paths)


def twins(tree: Tree, unit: Unit) -> list[Unit]:
    """The other units that may list message files of *unit*: those whose names tell the same window.

    Two states of one unit, one purged of more than the other, share what neither purge touched.
    """
    name = parse_name(unit.path.name)
    found = []
    for path in walk(tree, unit.path.parent):
        other = parse_name(path.name)
        if path == unit.path or name is None or other is None or other.window != name.window:
            continue
        with contextlib.suppress(FileDamaged, FileMissing):
            found.append(read_unit_header(tree, path))
    return found


def strays(tree: Tree, found: Scan) -> list[Path]:
    """Message files that no unit lists: of an unfinished cut, roll-up or purge, or put there by somebody."""
    listed = {path for unit in (*found.units, *found.superseded) for path in unit.paths}
    return [path for path in walk(tree, Path("messages"), everything=True) if path not in listed]


def covered(tree: Tree, paths: Iterable[Path], coverage: Coverage) -> list[Path]:
    """Those of some strays all of whose events are elsewhere: they can go."""
    return [path for path in paths if _is_covered(tree, path, coverage)]


def _is_covered(tree: Tree, path: Path, coverage: Coverage) -> bool:
    name = parse_name(path.name)
    if name is None:
        return False
    if name.window is not None:
        return coverage.covers(*name.window)
    try:
        header = decode_shard(path, first_line(tree, path))
    except FileDamaged:
        return False
    return all(coverage.covers(*piece.window) for piece in header.windows)


class Containing:
    """Finds the units that contain another, among many: by writer and where their windows begin, not one by one."""

    def __init__(self, units: Iterable[Unit]) -> None:
        found: dict[tuple[str, str], list[tuple[Window, Unit]]] = {}
        for unit in units:
            for window in unit.windows:
                found.setdefault((unit.daemon, window.writer), []).append((window, unit))
        self._windows = {key: _Nested(entries) for key, entries in found.items()}

    def of(self, unit: Unit) -> Iterator[Unit]:
        """The units of its daemon whose windows contain those of *unit*, without being the same."""
        first = unit.windows[0]
        nested = self._windows.get((unit.daemon, first.writer))
        for other in nested.around(first) if nested is not None else ():
            if contains(other.windows, unit.windows):
                yield other


class _Nested:
    """Windows of one writer with their units, in the order in which they begin."""

    def __init__(self, entries: Iterable[tuple[Window, Unit]]) -> None:
        self._entries = sorted(entries, key=lambda entry: entry[0][1:])
        self._firsts = [window.first for window, _ in self._entries]
        self._furthest = list(accumulate((window.last for window, _ in self._entries), max))

    def around(self, inner: Window) -> Iterator[Unit]:
        """The units with a window that holds *inner*; looks back only as far as any window may still reach it."""
        for at in range(bisect_right(self._firsts, inner.first) - 1, -1, -1):
            if self._furthest[at] < inner.last:
                return
            window, unit = self._entries[at]
            if window.last >= inner.last:
                yield unit


def contains(larger: Sequence[Window], smaller: Sequence[Window]) -> bool:
    """Whether every window of *smaller* lies inside one of *larger*, and they are not the same windows."""
    if tuple(larger) == tuple(smaller):
        return False
    return all(any(window.holds(inner) for window in larger) for inner in smaller)


def _report_conflicts(found: Scan) -> None:
    for group in found.groups:
        for unit in group[1:]:
            text = f"there are {len(group)} files for the same events: damage or forgery; all are kept"
            found.problems.append(Problem("conflict", str(unit.path), text))
    seen = Coverage()
    for group in found.groups:
        for window in group[0].windows:
            if seen.of(window.writer).missing(window.first, window.last) != [(window.first, window.last)]:
                text = f"shares events of {window.writer} with another file"
                found.problems.append(Problem("overlap", str(group[0].path), text))
            seen.add(*window)

"""Rolling up: many small files of one owner become few larger ones, and only then the small ones go.

Neighbouring windows of a living writer become one window; units of ended writers become one unit whose first line
lists their windows. Both go by size classes: sixteen neighbours or more become one when that is of a larger class than
each of them, so a line is written again at most once for every factor of sixteen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import Final

from thrum_kernel.store.names import Window
from thrum_kernel.store.read import read_events, read_shard
from thrum_kernel.store.spans import Spans
from thrum_kernel.store.tree import Line, Tree
from thrum_kernel.store.units import Slice, Unit, UnitHeader

FAN_IN: Final = 16
MOST_LINES: Final = 131_072
MOST_BYTES: Final = 32 << 20


def plan(units: Sequence[Unit], *, current: str = "", fan_in: int = FAN_IN) -> list[list[Unit]]:
    """Which units of one daemon are worth rolling up now: lists of at least *fan_in*, oldest first.

    *current* is the writer that still lives; its windows are only joined with each other. Units that share events are
    joined before anything else, however few: a restore can leave such, one of before the backup and one of after it.
    """
    if shared := _sharing(units):
        return [shared]
    living = sorted((u for u in units if _is_of(u, current)), key=lambda unit: unit.windows[0])
    ended = sorted((u for u in units if not _is_of(u, current)), key=lambda unit: unit.key)
    runs = [_neighbours(found, fan_in) for found in _unbroken(living)]
    return [run for run in (*runs, _neighbours(ended, fan_in)) if run]


def roll_up(tree: Tree, units: Sequence[Unit]) -> Unit:
    """Write one unit with everything in *units*, all of one daemon, and then remove them.

    Raises:
        FileDamaged, FileMissing: one of their files is not what it should be; nothing was changed.
        StoreError: the disk refuses; either the old units or the new one count, whichever are whole.
    """
    windows = joined(window for unit in units for window in unit.windows)
    order = {writer: at for at, (writer, _, _) in enumerate(windows)}
    events: list[Line] = []
    shards: dict[str, list[Line]] = {}
    for unit in units:
        events += read_events(tree, unit)
        for shard in unit.header.shards:
            shards.setdefault(shard.agent, []).extend(read_shard(tree, unit, shard))
    for lines in (events, *shards.values()):
        lines[:] = _once(lines)
        lines.sort(key=lambda line: (order[line[0]], line[1]))
    span = min(unit.header.start for unit in units), max(unit.header.end for unit in units)
    larger = tree.write_unit(
        units[0].daemon, windows, span, events, shards, held=sum(unit.held for unit in units)
    )
    tree.drop(units, keep=[larger])
    return larger


def count_fewer(units: Sequence[Unit], *, current: str, fan_in: int) -> int:
    """How many units of one daemon rolling up until nothing is worth it would make fewer; reads and changes nothing.

    Args: as `plan`.
    """
    left = list(units)
    while runs := plan(left, current=current, fan_in=fan_in):
        for run in runs:
            gone = {unit.path for unit in run}
            left = [unit for unit in left if unit.path not in gone]
            left.append(_imagined(run))
    return len(units) - len(left)


def _imagined(units: Sequence[Unit]) -> Unit:
    """What `roll_up` would make of *units*, as far as `plan` looks at it: windows, lines and sizes."""
    windows = joined(window for unit in units for window in unit.windows)
    events = sum(piece.lines for unit in units for piece in unit.header.windows)
    slices = [Slice(*window, 0) for window in windows[1:]]
    header = UnitHeader(
        units[0].daemon,
        (Slice(*windows[0], events), *slices),
        min(unit.header.start for unit in units),
        max(unit.header.end for unit in units),
        tuple(shard for unit in units for shard in unit.header.shards),
    )
    return Unit(units[0].path, header, "")


def joined(windows: Iterable[Window]) -> list[Window]:
    """*windows* with neighbours made one, writers in the order in which they first come."""
    by_writer: dict[str, Spans] = {}
    for writer, first, last in windows:
        by_writer.setdefault(writer, Spans()).add(first, last)
    return [Window(writer, first, last) for writer, spans in by_writer.items() for first, last in spans]


def _sharing(units: Sequence[Unit]) -> list[Unit]:
    """The first two units that share events of one writer; empty when none do."""
    by_writer: dict[str, list[tuple[Window, Unit]]] = {}
    for unit in units:
        for window in unit.windows:
            by_writer.setdefault(window.writer, []).append((window, unit))
    for found in by_writer.values():
        found.sort(key=lambda each: each[0])
        for (window, unit), (after, other) in pairwise(found):
            if after.first <= window.last and other is not unit:
                return sorted((unit, other), key=lambda each: each.key)
    return []


def _once(lines: Iterable[Line]) -> list[Line]:
    """One line a place; where they differ the one with the smaller SHA-256, as in `read_log`."""
    best: dict[tuple[str, int], Line] = {}
    for line in lines:
        mine = best.setdefault((line.writer, line.sequence), line)
        if mine.line != line.line:
            best[mine[:2]] = min(mine, line, key=lambda each: hashlib.sha256(each.line).digest())
    return list(best.values())


def _is_of(unit: Unit, writer: str) -> bool:
    return all(window.writer == writer for window in unit.windows)


def _unbroken(units: Sequence[Unit]) -> list[list[Unit]]:
    """Units of one writer, in lists without a gap between the windows."""
    runs: list[list[Unit]] = []
    for unit in units:
        if runs and runs[-1][-1].windows[-1].last + 1 == unit.windows[0].first:
            runs[-1].append(unit)
        else:
            runs.append([unit])
    return runs


def _neighbours(units: Sequence[Unit], fan_in: int) -> list[Unit]:
    """The first *fan_in* or more neighbours that make a unit of a larger class than any of them; empty without any.

    That their number suffices is not enough: a large unit with a few small ones behind it would be written again for
    every few publishes (20,000 lines for every fifteen publishes of ten, measured). Units so large that not even
    *fan_in* of them fit into one are joined as far as they do, once.
    """
    for size_class in sorted({_size_class(unit.lines, fan_in) for unit in units}):
        runs = groupby(units, key=lambda unit: _size_class(unit.lines, fan_in) <= size_class)
        for run in (list(found) for is_small, found in runs if is_small):
            for start in range(len(run)):
                bounded = _bounded(run[start:])
                lines = sum(unit.lines for unit in bounded)
                if len(bounded) >= fan_in and _size_class(lines, fan_in) > size_class:
                    return bounded
                if start + len(bounded) == len(run):
                    break  # what begins later is less
                if lines >= 2 * max((unit.lines for unit in bounded), default=1):
                    return bounded  # as large as a file may become
    return []


def _bounded(units: Iterable[Unit]) -> list[Unit]:
    """As many of *units* from the first on as fit into one file that can be read at once."""
    taken: list[Unit] = []
    lines = size = 0
    for unit in units:
        lines += unit.lines
        size += sum(shard.size for shard in unit.header.shards)
        if lines > MOST_LINES or size > MOST_BYTES:
            break
        taken.append(unit)
    return taken


def _size_class(lines: int, fan_in: int) -> int:
    size_class, lines = 0, max(lines, 1)
    while lines >= fan_in:
        lines //= fan_in
        size_class += 1
    return size_class

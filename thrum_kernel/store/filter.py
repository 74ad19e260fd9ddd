"""Applying purges to files: published units are written anew without what goes, quarantine is emptied of it.

Each unit is replaced as a whole: the new files are durable before the old ones go, so that a crash leaves one, the
other, or both, and filtering again mends the last case, for both come to the same bytes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from thrum_kernel.errors import FileDamaged, FileMissing
from thrum_kernel.store.files import drop
from thrum_kernel.store.purge import Purges, filtered
from thrum_kernel.store.read import read_events, read_shard
from thrum_kernel.store.scan import Problem, twins
from thrum_kernel.store.tree import Line, Tree
from thrum_kernel.store.units import ShardEntry, Unit

_TIMESTAMP: Final = re.compile(rb'"timestamp":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"')


class Filtered(NamedTuple):
    """What filtering did.

    Attributes:
        units: all units as they are now, those that stayed and those written anew.
        message_files: how many message files were written anew or went.
        events: how many lines of events files went.
        problems: units that could not be filtered, since a file of theirs is damaged or missing.
    """

    units: list[Unit]
    message_files: int
    events: int
    problems: list[Problem]


def filter_units(tree: Tree, units: Iterable[Unit], purges: Purges) -> Filtered:
    """Take *purges* out of every file of *units*.

    Raises:
        StoreError: the disk refuses; done again it goes on.
    """
    kept: list[Unit] = []
    problems: list[Problem] = []
    message_files = events = 0
    for unit in units:
        try:
            after = filter_unit(tree, unit, purges)
        except (FileDamaged, FileMissing) as error:
            kept.append(unit)
            problems.append(Problem("damaged", str(unit.path), f"could not be purged: {error}"))
            continue
        kept.append(after)
        events += _event_lines(unit) - _event_lines(after)
        message_files += len(set(unit.header.shards) - set(after.header.shards))
    return Filtered(kept, message_files, events, problems)


def filter_unit(tree: Tree, unit: Unit, purges: Purges) -> Unit:
    """The unit without what goes: the same one when nothing does.

    Raises:
        FileDamaged, FileMissing: a file of it is not what it should be; nothing was changed.
        StoreError: the disk refuses.
    """
    shards = {shard.agent: read_shard(tree, unit, shard) for shard in _concerned(unit, purges)}
    events = read_events(tree, unit) if purges.concerns_events else []
    new_shards = {agent: _filter(lines, purges) for agent, lines in shards.items()}
    new_events = _filter(events, purges)
    if new_shards == shards and new_events == events:
        return unit
    for shard in unit.header.shards:
        if shard.agent not in new_shards:
            new_shards[shard.agent] = read_shard(tree, unit, shard)
    if not purges.concerns_events:
        new_events = read_events(tree, unit)
    span = unit.header.start, unit.header.end
    after = tree.write_unit(unit.daemon, unit.windows, span, new_events, new_shards, held=unit.held)
    tree.drop([unit], keep=[after, *twins(tree, unit)])
    return after


def count_filtered(tree: Tree, units: Iterable[Unit], purges: Purges) -> tuple[int, int]:
    """How many message files would be written anew or go, and how many lines of events files; changes nothing."""
    message_files = events = 0
    for unit in units:
        with contextlib.suppress(FileDamaged, FileMissing):
            for shard in _concerned(unit, purges):
                lines = read_shard(tree, unit, shard)
                message_files += _filter(lines, purges) != lines
            lines = read_events(tree, unit) if purges.concerns_events else []
            events += len(lines) - len(_filter(lines, purges))
    return message_files, events


def filter_quarantine(tree: Tree, purges: Purges) -> list[Path]:
    """Remove the files in quarantine that hold something that goes, or that nobody can judge; which ones.

    A torn tail is a piece of lines. It goes when any of its whole lines would change, when any timestamp in it is
    before the cutoff, or when it has none: then there is no telling how old it is.
    """
    gone = []
    for entry in tree.disk.entries(tree.quarantine):
        path = tree.quarantine / entry.name
        if not entry.is_folder and _is_touched(tree.disk.read(path), purges):
            gone.append(path)
    if gone:
        drop(tree.disk, gone)
    return gone


def filter_copied(tree: Tree, paths: Iterable[Path], purges: Purges) -> list[Path]:
    """Remove those of the journals at *paths*, all of another daemon, that hold something that goes; which ones."""
    gone = [path for path in paths if _is_touched(tree.disk.read(path), purges)]
    drop(tree.disk, gone)
    return gone


def filter_strays(tree: Tree, paths: Iterable[Path], purges: Purges) -> None:
    """Remove message files that no unit lists when they hold something that goes; their events lie elsewhere."""
    for path in paths:
        lines = tree.disk.read(tree.published / path).split(b"\n")
        if any(filtered(line, purges) is not line for line in lines if line):
            drop(tree.disk, [tree.published / path])


def _concerned(unit: Unit, purges: Purges) -> Iterable[ShardEntry]:
    return (shard for shard in unit.header.shards if purges.concerns(shard.agent))


def _filter(lines: list[Line], purges: Purges) -> list[Line]:
    kept = []
    for line in lines:
        after = filtered(line.line, purges)
        if after is not None:
            kept.append(line if after is line.line else line._replace(line=after))
    return kept


def _is_touched(data: bytes, purges: Purges) -> bool:
    if purges.cutoff:
        found: list[bytes] = _TIMESTAMP.findall(data)
        if not found or any(stamp.decode() < purges.cutoff for stamp in found):
            return True
    erased = (message.removeprefix("msg_").encode() for message in purges.erased)
    return any(identifier in data for identifier in erased)


def _event_lines(unit: Unit) -> int:
    return sum(piece.lines for piece in unit.header.windows)

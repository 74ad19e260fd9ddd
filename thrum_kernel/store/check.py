"""Checking every file of the log: bytes against digests, windows against each other, journals line by line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from thrum_kernel.errors import FileDamaged, FileMissing, StoreError
from thrum_kernel.store import journal
from thrum_kernel.store.files import digest
from thrum_kernel.store.held import read_held, releases
from thrum_kernel.store.names import parse_name
from thrum_kernel.store.read import read_events, read_shard
from thrum_kernel.store.scan import Problem, Scan, scan, strays, walk
from thrum_kernel.store.spans import Coverage
from thrum_kernel.store.tree import Tree
from thrum_kernel.store.units import Unit


@dataclass(slots=True)
class Checked:
    """What a check found.

    Attributes:
        problems: everything that is wrong; a file in quarantine is told too.
        files: published files that were read.
        events: events in published files and, beyond them, in journals.
        daemons, writers: whose they are.
        windows: units, that is, publishes not yet rolled up.
        journals: journals not yet published in full or still written.
        journal_events: events that are only in journals so far.
        quarantined: files in quarantine.
        held: events that are held back from published files; released ones count as events alone.
    """

    problems: list[Problem] = field(default_factory=list)
    files: int = 0
    events: int = 0
    daemons: set[str] = field(default_factory=set)
    writers: set[str] = field(default_factory=set)
    windows: int = 0
    journals: int = 0
    journal_events: int = 0
    quarantined: int = 0
    held: int = 0


def check(tree: Tree, *, daemon: str, current: tuple[str, int] = ("", 0)) -> Checked:
    """Check every file of the log; changes nothing, and never stops at a damaged file.

    Args:
        tree: the log.
        daemon: its own daemon's id: files under it that it did not write are told.
        current: the writer that may be appending now, and how far that is durable.

    Raises:
        FormatTooNew: the files need a later version.
        StoreError: a folder cannot be read.
    """
    tree.check_format()
    checked = Checked()
    found = scan(tree)
    checked.problems += found.problems
    for unit in (*found.units, *found.superseded):
        _check_unit(tree, unit, checked)
    coverage = found.coverage
    published = found.coverage
    _check_own(tree, found, daemon, checked)
    _check_strays(tree, found, coverage, checked)
    _check_journals(tree, coverage, current, checked)
    _check_gaps(coverage, checked)
    _check_quarantine(tree, checked)
    held = [
        line
        for line in read_held(tree, checked.problems.append)
        if line.is_brought
        != (line.sequence in published.of(line.writer))  # a brought one is in its own unit then
    ]
    let_go = {release.event_id for release in releases(tree)}
    checked.held = sum(line.is_brought or line.event_id not in let_go for line in held)
    checked.events = sum(unit.lines for unit in found.units) + len(held) + checked.journal_events
    checked.windows = len(found.units)
    return checked


def _check_unit(tree: Tree, unit: Unit, checked: Checked) -> None:
    checked.daemons.add(unit.daemon)
    if _check_file(tree, unit.path, unit.digest, checked):
        _check_lines(unit.path, partial(read_events, tree, unit), checked)
    for shard in unit.header.shards:
        path = unit.shard_path(shard)
        if _check_file(tree, path, shard.digest, checked):
            _check_lines(path, partial(read_shard, tree, unit, shard), checked)


def _check_lines(path: Path, read: Callable[[], object], checked: Checked) -> None:
    """Whether a file with the right bytes holds what its first line tells."""
    try:
        read()
    except FileDamaged as error:
        checked.problems.append(Problem("damaged", str(path), error.reason))
    except FileMissing:
        checked.problems.append(Problem("missing", str(path), "went while it was looked at"))


def _check_file(tree: Tree, path: Path, expected: str, checked: Checked) -> bool:
    """Whether a file is there with the bytes that its name tells."""
    try:
        data = tree.disk.read(tree.published / path)
    except FileMissing:
        checked.problems.append(Problem("missing", str(path), "is listed by its unit but not there"))
        return False
    except StoreError as error:
        checked.problems.append(Problem("unreadable", str(path), str(error)))
        return False
    checked.files += 1
    if digest(data) != expected:
        checked.problems.append(Problem("damaged", str(path), "its bytes are not those that its name tells"))
        return False
    return True


def _check_own(tree: Tree, found: Scan, daemon: str, checked: Checked) -> None:
    own = tree.own_writers()
    told = tree.other_writers()
    for unit in found.units if own is not None else ():
        foreign = sorted({w.writer for w in unit.windows}.difference(own or (), told))
        if unit.daemon == daemon and foreign:
            text = f"lies under this daemon's name, but it never wrote as {', '.join(foreign)}"
            checked.problems.append(Problem("foreign", str(unit.path), text))


def _check_strays(tree: Tree, found: Scan, coverage: Coverage, checked: Checked) -> None:
    for path in strays(tree, found):
        name = parse_name(path.name)
        if name is None:
            checked.problems.append(Problem("unreadable", str(path), "is not a file of the log"))
        elif name.window is None or not coverage.covers(*name.window):
            checked.problems.append(Problem("stray", str(path), "no events file lists it"))
    listed = {unit.path for unit in (*found.units, *found.superseded)}
    told = {problem.path for problem in found.problems}
    for path in walk(tree, Path("events"), everything=True):
        if path not in listed and str(path) not in told:
            checked.problems.append(Problem("unreadable", str(path), "is not a file of the log"))


def _check_journals(tree: Tree, coverage: Coverage, current: tuple[str, int], checked: Checked) -> None:
    for entry in tree.disk.entries(tree.journal):
        path = tree.journal / entry.name
        header = journal.read_header(tree.disk, path)
        if header is None:
            checked.problems.append(Problem("damaged", f"journal/{entry.name}", "its first line is damaged"))
            continue
        checked.journals += 1
        checked.daemons.add(header.daemon)
        durable = current[1] if header.writer == current[0] else None
        last, offset = 0, 0
        for mark, _ in journal.read_on(tree.disk, path, journal.Mark(0, 0), last=durable):
            last, offset = mark
            if last not in coverage.of(header.writer):
                checked.journal_events += 1
                coverage.add(header.writer, last, last)
        _check_end(tree, path, last, offset, durable, checked)


def _check_end(tree: Tree, path: Path, last: int, offset: int, durable: int | None, checked: Checked) -> None:
    """A journal that is being written must be whole up to what is durable, any other one to its last byte."""
    if durable is not None:
        if last < durable:
            text = f"event {last + 1} is damaged, {durable} were acknowledged"
            checked.problems.append(Problem("damaged", f"journal/{path.name}", text))
    elif last and (size := tree.disk.size(path)) is not None and size > offset:
        text = f"{size - offset} bytes behind event {last} are not whole; the next start puts them into quarantine"
        checked.problems.append(Problem("damaged", f"journal/{path.name}", text))


def _check_gaps(coverage: Coverage, checked: Checked) -> None:
    for writer, spans in coverage.items():
        checked.writers.add(writer)
        for first, last in spans.missing(1, spans.last):
            text = f"events {first} to {last} of {writer} are in no file"
            checked.problems.append(Problem("gap", writer, text))


def _check_quarantine(tree: Tree, checked: Checked) -> None:
    for entry in tree.disk.entries(tree.quarantine):
        checked.quarantined += 1
        size = tree.disk.size(tree.quarantine / entry.name) or 0
        text = f"{size} bytes of an unfinished write: never acknowledged, kept to be looked at"
        checked.problems.append(Problem("quarantined", f"quarantine/{entry.name}", text))

"""Reading the log back: a unit, or everything that is published and journalled, in an order made for projecting.

`read_log` gives first every line of the events files (agents, sessions, groups, receipts), then the messages, each
oldest unit first and by sequence within a unit, so that a rebuild knows the agents before their messages and inserts
nearly ascending ids. It gives lists, since a million calls cost more than the work.

A roll-up or a purge may take a file away under a reader; it then looks again and goes on with what it has not given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from thrum_kernel.errors import FileDamaged, FileMissing
from thrum_kernel.ids import EARLIER_DAEMON
from thrum_kernel.jsonlines import decoder
from thrum_kernel.store import journal
from thrum_kernel.store.cut import shard_of
from thrum_kernel.store.files import digest
from thrum_kernel.store.held import read_held
from thrum_kernel.store.journal import JournalHeader
from thrum_kernel.store.names import Window
from thrum_kernel.store.scan import Problem, scan
from thrum_kernel.store.spans import Coverage
from thrum_kernel.store.tree import Line, Tree
from thrum_kernel.store.units import ShardEntry, Slice, Unit, decode_shard

LogLine: TypeAlias = tuple[str, str, int, bytes]
"""(writer, daemon, sequence, line): a line with its place and the daemon whose files it lies in."""

Ranges: TypeAlias = Mapping[str, Iterable[tuple[int, int]]]
"""Inclusive ranges of sequences by writer."""

BATCH: Final = 4096


class _Numbered(msgspec.Struct):
    sequence: int


_decode_number = decoder(_Numbered)


def read_events(tree: Tree, unit: Unit) -> list[Line]:
    """The lines of the unit's events file.

    Raises:
        FileMissing: it is gone.
        FileDamaged: it does not hold what its first line tells.
    """
    lines = _split(tree, unit.path, unit.digest)
    return _place(unit.path, lines[1:], unit.header.windows)


def read_shard(tree: Tree, unit: Unit, shard: ShardEntry) -> list[Line]:
    """The lines of one of the unit's message files; raises as `read_events`."""
    path = unit.shard_path(shard)
    lines = _split(tree, path, shard.digest)
    if len(unit.windows) == 1:
        return _place(path, lines, (Slice(*unit.windows[0], shard.lines),))
    if not lines:
        raise FileDamaged(path, "is empty")
    return _place(path, lines[1:], decode_shard(path, lines[0]).windows)


def read_messages(tree: Tree, unit: Unit) -> list[Line]:
    """The lines of all message files of the unit, window by window and by sequence; raises as `read_events`."""
    if len(unit.header.shards) == 1:
        return read_shard(tree, unit, unit.header.shards[0])
    order = {writer: at for at, (writer, _, _) in enumerate(unit.windows)}
    lines = [line for shard in unit.header.shards for line in read_shard(tree, unit, shard)]
    return sorted(lines, key=lambda line: (order[line[0]], line[1]))


def read_window(tree: Tree, unit: Unit) -> list[Line]:
    """Every line of the unit, of all its files, window by window and by sequence; raises as `read_events`."""
    order = {writer: at for at, (writer, _, _) in enumerate(unit.windows)}
    lines = [*read_events(tree, unit), *read_messages(tree, unit)]
    return sorted(lines, key=lambda line: (order[line[0]], line[1]))


def read_log(
    tree: Tree,
    after: Ranges | None = None,
    *,
    message_types: Container[str],
    until: Mapping[str, int] | None = None,
    report: Callable[[Problem], None] | None = None,
) -> Iterator[list[LogLine]]:
    """Everything published and journalled, in batches: first events, then messages, each nearly ascending.

    Args:
        tree: the log.
        after: what to leave out, since the reader has it.
        message_types: the types that lie in message files; the others are events.
        until: the last sequence to take from a writer's journal: how far the current one is durable.
        report: is told of every file that cannot be read; its lines are left out, all others are given.

    Raises:
        StoreError: the disk refuses.
    """
    for kind in ("events", "messages"):
        reader = _Reader(tree, Coverage(after), message_types, until or {}, report or (lambda problem: None))
        yield from reader.read(kind)


Kind: TypeAlias = Literal["events", "messages"]


class _Reader:
    """One pass over the log; `_given` is what the reader has or has been given."""

    def __init__(
        self,
        tree: Tree,
        after: Coverage,
        message_types: Container[str],
        until: Mapping[str, int],
        report: Callable[[Problem], None],
    ) -> None:
        self._tree = tree
        self._given = after
        self._message_types = message_types
        self._until = until
        self._report = report
        self._gone: set[Path] = set()

    def read(self, kind: Kind) -> Iterator[list[LogLine]]:
        is_done = False
        while not is_done:
            try:
                yield from self._published(kind)
                yield from self._journals(kind)
                yield from self._brought(kind)
                is_done = True
            except FileMissing as error:
                if Path(error.path) in self._gone:
                    raise  # `_lines` tells of a missing file only once; this one came from elsewhere
                self._gone.add(Path(error.path))

    def _published(self, kind: Kind) -> Iterator[list[LogLine]]:
        groups = scan(self._tree).groups
        # Looked for after the units: what a unit lacks was put there before the unit was.
        held = [Line(*line.place, line.line) for line in read_held(self._tree, self._report)]
        held = [line for line in held if self._is(kind, line.line)]
        for group in groups:
            windows = group[0].windows
            if all(self._given.covers(*window) for window in windows):
                continue
            lines = self._new(self._lines(group[0], kind))
            for unit in group[1:]:
                lines = _merged(lines, self._new(self._lines(unit, kind)))
            lines = _with_held(lines, self._new(_within(held, windows)), windows)
            yield from _batches(lines, group[0].daemon)
            for window in windows:
                self._given.add(*window)

    def _journals(self, kind: Kind) -> Iterator[list[LogLine]]:
        disk, folder = self._tree.disk, self._tree.journal
        headers = {
            folder / entry.name: journal.read_header(disk, folder / entry.name)
            for entry in disk.entries(folder)
        }
        until = {**self._until, **journal.ends_of(headers.values())}
        for path, header in headers.items():
            if (
                header is not None
            ):  # else it never acknowledged anything; the next start puts it into quarantine
                found = journal.read(disk, path, last=until.get(header.writer))
                yield from self._journal(kind, header, (Line(*line) for line in found))

    def _journal(self, kind: Kind, header: JournalHeader, lines: Iterator[Line]) -> Iterator[list[LogLine]]:
        has = self._given.of(header.writer)
        new = (line for line in lines if line.sequence not in has and self._is(kind, line.line))
        while batch := [
            (line.writer, header.daemon, line.sequence, line.line) for line in islice(new, BATCH)
        ]:
            yield batch
            self._given.add(header.writer, batch[0][2], batch[-1][2])
            has = self._given.of(header.writer)

    def _brought(self, kind: Kind) -> Iterator[list[LogLine]]:
        """What a migration held back and nobody released: it is in no unit and in no journal."""
        held = [line for line in read_held(self._tree) if line.is_brought and self._is(kind, line.line)]
        new = self._new([Line(*line.place, line.line) for line in held])
        yield from _batches(new, EARLIER_DAEMON)
        for line in new:
            self._given.add(line.writer, line.sequence, line.sequence)

    def _lines(self, unit: Unit, kind: Kind) -> list[Line]:
        if kind == "events":
            return self._guarded(unit.path, partial(read_events, self._tree, unit))
        parts = [
            self._guarded(unit.shard_path(shard), partial(read_shard, self._tree, unit, shard))
            for shard in unit.header.shards
        ]
        if len(parts) == 1:
            return parts[0]
        order = {writer: at for at, (writer, _, _) in enumerate(unit.windows)}
        return sorted((line for part in parts for line in part), key=lambda line: (order[line[0]], line[1]))

    def _guarded(self, path: Path, read: Callable[[], list[Line]]) -> list[Line]:
        try:
            return read()
        except FileDamaged as error:
            self._report(Problem("damaged", str(path), error.reason))
        except FileMissing as error:
            if Path(error.path) not in self._gone:
                raise  # taken by a roll-up? then the next scan does not list it
            self._report(Problem("missing", str(path), "is listed by its unit but not there"))
        return []

    def _new(self, lines: list[Line]) -> list[Line]:
        if not any(self._given.of(writer) for writer in {line.writer for line in lines}):
            return lines
        return [line for line in lines if line.sequence not in self._given.of(line.writer)]

    def _is(self, kind: Kind, line: bytes) -> bool:
        return bool(shard_of(line, self._message_types)) == (kind == "messages")


def _split(tree: Tree, path: Path, named: str) -> list[bytes]:
    """The lines of a file whose bytes are those that it is *named* after: a changed text is no text of ours."""
    data = tree.disk.read(tree.published / path)
    if digest(data) != named:
        raise FileDamaged(path, "its bytes are not those that its name tells")
    if not data.endswith(b"\n") and data:
        raise FileDamaged(path, "its last line is not whole")
    return data.split(b"\n")[:-1]


def _place(path: Path, lines: Sequence[bytes], slices: Sequence[Slice]) -> list[Line]:
    if len(lines) != sum(piece.lines for piece in slices):
        raise FileDamaged(
            path, f"holds {len(lines)} events, not the {sum(p.lines for p in slices)} it should"
        )
    placed = []
    at = 0
    try:
        for writer, first, last, count in ((p.writer, p.first, p.last, p.lines) for p in slices):
            for line in lines[at : at + count]:
                sequence = _decode_number(line).sequence
                if not first <= sequence <= last:
                    raise FileDamaged(path, f"holds event {sequence} of {writer}, outside {first}-{last}")
                placed.append(Line(writer, sequence, line))
            at += count
    except msgspec.MsgspecError as error:
        raise FileDamaged(path, f"event {len(placed) + 1} in it is damaged: {error}") from error
    return placed


def _merged(lines: list[Line], others: list[Line]) -> list[Line]:
    """Lines of two files for one window; where they differ the one with the smaller SHA-256 counts."""
    best = {line[:2]: line for line in lines}
    for other in others:
        mine = best.setdefault(other[:2], other)
        if hashlib.sha256(other.line).digest() < hashlib.sha256(mine.line).digest():
            best[other[:2]] = other
    return sorted(best.values(), key=lambda line: line[:2])


def _within(lines: Iterable[Line], windows: Sequence[Window]) -> list[Line]:
    return [
        line
        for line in lines
        if any(w.writer == line.writer and w.first <= line.sequence <= w.last for w in windows)
    ]


def _with_held(lines: list[Line], held: Sequence[Line], windows: Sequence[Window]) -> list[Line]:
    """*lines* of a unit with those that were held back from it, in order."""
    known = {line[:2] for line in lines} if held else set()
    missing = [line for line in held if line[:2] not in known]
    if not missing:
        return lines
    order = {writer: at for at, (writer, _, _) in enumerate(windows)}
    return sorted([*lines, *missing], key=lambda line: (order[line[0]], line[1]))


def _batches(lines: list[Line], daemon: str) -> Iterator[list[LogLine]]:
    for at in range(0, len(lines), BATCH):
        yield [(writer, daemon, sequence, line) for writer, sequence, line in lines[at : at + BATCH]]

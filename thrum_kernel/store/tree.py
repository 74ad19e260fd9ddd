"""Where the log lies below `T`, and the one way a unit is written into the published folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from thrum_kernel.errors import FileDamaged, FormatTooNew
from thrum_kernel.jsonlines import decoder
from thrum_kernel.store.disk import Disk, Folders
from thrum_kernel.store.files import digest, drop, remove_temporary, replace, write_all, write_new
from thrum_kernel.store.names import Window
from thrum_kernel.store.units import (
    ShardEntry,
    ShardHeader,
    Slice,
    Unit,
    UnitHeader,
    encode_header,
    events_path,
    shard_path,
)

READER = 1
"""The version of published files that this code reads and writes."""


class Line(NamedTuple):
    """A line of the log with its place."""

    writer: str
    sequence: int
    line: bytes


class _Format(msgspec.Struct):
    reader: int
    format: str = "thrum"


_decode_format = decoder(_Format)


class Tree:
    """The folders of one log, `T` = ``<git-common-dir>/thrum-sync``, which exists."""

    def __init__(self, disk: Disk, sync: Path) -> None:
        self.disk = disk
        self.journal = sync / "journal"
        self.quarantine = sync / "quarantine"
        self.held = sync / "held"
        self.published = sync / "a-sync"
        self.temporary = sync / "tmp"
        self.pending = sync / "purge.pending"
        self.writers = sync / "writers"
        self.others = sync / "writers.others"
        self.released = sync / "released"
        self.lost = sync / "lost"
        self._sync = sync
        self.folders = Folders(disk, sync)

    def forget_folders(self) -> None:
        """Trust no folder any more: one was taken away while we worked."""
        self.folders = Folders(self.disk, self._sync)

    def prepare(self) -> None:
        """Make what publishing needs, clear away what an earlier process left half written, check the format.

        Raises:
            FormatTooNew: the published files need a later version; they were not touched.
        """
        self.check_format()
        self.folders.ensure(self.temporary)
        remove_temporary(self.disk, self.temporary)
        remove_temporary(self.disk, self.quarantine)
        self.folders.ensure(self.published)
        if self.format() == 0:
            self.raise_format(READER)

    def format(self) -> int:
        """The lowest version of a reader that the published files ask for; 0 when there are none of ours.

        Raises:
            FileDamaged: the file FORMAT does not tell it.
        """
        path = self.published / "FORMAT"
        if self.disk.size(path) is None:
            return 0
        try:
            return _decode_format(self.disk.read(path)).reader
        except msgspec.MsgspecError as error:
            raise FileDamaged(path, f"does not tell a version of the reader: {error}") from error

    def check_format(self) -> None:
        """Raise FormatTooNew when the published files need a later version than this."""
        if (needed := self.format()) > READER:
            raise FormatTooNew(self.published, needed, READER)

    def raise_format(self, reader: int) -> None:
        """Ask for at least version *reader* from now on: formats merge by maximum."""
        data = msgspec.json.encode(_Format(max(reader, self.format()))) + b"\n"
        replace(self.disk, self.published / "FORMAT", data, temporary=self.folders.ensure(self.temporary))

    def mark_pending(self) -> None:
        """Note durably that a purge has begun; a start that finds the note does it again."""
        if not self.is_pending:
            replace(self.disk, self.pending, b"", temporary=self.folders.ensure(self.temporary))

    @property
    def is_pending(self) -> bool:
        """Whether a purge has begun and not ended."""
        return self.disk.size(self.pending) is not None

    def clear_pending(self) -> None:
        """Note durably that the purge is done."""
        drop(self.disk, [self.pending])

    def own_writers(self) -> frozenset[str] | None:
        """The writers that this log's daemon has published under; None when there is no record."""
        if self.disk.size(self.writers) is None:
            return None
        return frozenset(self.disk.read(self.writers).decode(errors="replace").split())

    def record_writers(self, writers: Iterable[str]) -> None:
        """Note durably that *writers* are ours, before the first file under their names."""
        known = self.own_writers() or frozenset()
        if not known.issuperset(wanted := frozenset(writers)):
            self._write_names(self.writers, known | wanted)

    def other_writers(self) -> frozenset[str]:
        """Writers under our daemon's id that this log never started and that were told of: see `sync.namesake`."""
        if self.disk.size(self.others) is None:
            return frozenset()
        return frozenset(self.disk.read(self.others).decode(errors="replace").split())

    def note_others(self, writers: Iterable[str]) -> frozenset[str]:
        """Note durably that *writers* were told of as not ours; those that were not noted before."""
        known = self.other_writers()
        news = frozenset(writers) - known
        if news:
            self._write_names(self.others, known | news)
        return news

    def given_up(self) -> frozenset[str]:
        """Published files that nobody waits for any more: see `sync.lost`."""
        if self.disk.size(self.lost) is None:
            return frozenset()
        return frozenset(self.disk.read(self.lost).decode(errors="replace").split())

    def give_up(self, paths: Iterable[str]) -> None:
        """Note durably that nobody waits for these published files any more."""
        self._write_names(self.lost, self.given_up() | frozenset(paths))

    def _write_names(self, path: Path, names: Iterable[str]) -> None:
        data = "".join(f"{name}\n" for name in sorted(names)).encode()
        replace(self.disk, path, data, temporary=self.folders.ensure(self.temporary))

    def write_unit(
        self,
        daemon: str,
        windows: Sequence[Window],
        span: tuple[str, str],
        events: Sequence[Line],
        shards: Mapping[str, Sequence[Line]],
        *,
        held: int = 0,
    ) -> Unit:
        """Write a unit, its events file last; all of it is durable on return, and none of it exists before.

        Args:
            daemon: whose events they are.
            windows: what it covers, in order.
            span: the lowest and the highest timestamp among them.
            events: the lines of the events file, in the order of *windows* and sequence.
            shards: the lines of each agent's message file, likewise.
            held: how many lines of the windows were held back.
        """
        self.folders.ensure(self.temporary)
        entries: list[ShardEntry] = []
        agents = (agent for agent in sorted(shards) if shards[agent])
        files = (self._shard(daemon, agent, windows, shards[agent], entries) for agent in agents)
        write_all(self.disk, files, temporary=self.temporary)
        header = UnitHeader(
            daemon, _slices(windows, events), *span, tuple(entries), held=held or msgspec.UNSET
        )
        data = _file(encode_header(header), events)
        path = events_path(daemon, tuple(windows), digest(data))
        self.folders.ensure((self.published / path).parent)
        write_new(self.disk, self.published / path, data, temporary=self.temporary)
        return Unit(path, header, digest(data))

    def drop(self, units: Sequence[Unit], *, keep: Sequence[Unit] = ()) -> None:
        """Remove the files of *units* durably, but none that a unit of *keep* has too.

        The events file goes first: a message file that no list names does no harm and is tidied away, a list that
        names a missing one looks like damage.
        """
        kept = {path for unit in keep for path in unit.paths}
        for unit in units:
            gone = [path for path in reversed(unit.paths) if path not in kept]
            drop(self.disk, [self.published / path for path in gone[:1]])
            drop(self.disk, [self.published / path for path in gone[1:]])

    def _shard(
        self,
        daemon: str,
        agent: str,
        windows: Sequence[Window],
        lines: Sequence[Line],
        entries: list[ShardEntry],
    ) -> tuple[Path, bytes]:
        """The message file of an agent, in a folder that exists, and its entry at the end of *entries*."""
        head = b""
        if len(windows) > 1:
            slices = tuple(piece for piece in _slices(windows, lines) if piece.lines)
            head = encode_header(ShardHeader(daemon, agent, slices))
        data = _file(head, lines)
        path = self.published / shard_path(daemon, agent, tuple(windows), digest(data))
        self.folders.ensure(path.parent)
        entries.append(ShardEntry(agent, len(lines), len(data), digest(data)))
        return path, data


def _file(head: bytes, lines: Sequence[Line]) -> bytes:
    parts = [head] if head else []
    parts += [line.line for line in lines]
    return b"\n".join(parts) + b"\n"


def _slices(windows: Sequence[Window], lines: Sequence[Line]) -> tuple[Slice, ...]:
    counts = dict.fromkeys(windows, 0)
    at = iter(windows)
    window = next(at)
    for line in lines:
        while line.writer != window.writer or not window.first <= line.sequence <= window.last:
            window = next(at)
        counts[window] += 1
    return tuple(Slice(*window, count) for window, count in counts.items())

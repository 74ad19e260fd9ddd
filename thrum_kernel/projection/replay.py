"""Projects a log from the beginning into a new file, or its news into the cache.

`rebuild` is blocking and knows nothing of the cache that is being served; `Cache.swap` puts its file in place. It
works without indexes and journal and syncs once at the end, for a half-built file is simply thrown away.

Source: DESIGN.md D3.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from thrum_kernel.clock import Clock, SystemClock
from thrum_kernel.events import Event, EventTypes, read_head
from thrum_kernel.projection import schema
from thrum_kernel.projection.apply import Applied, Projector, is_sender
from thrum_kernel.projection.bulk import Loader
from thrum_kernel.projection.db import create, remove
from thrum_kernel.projection.intake import Intake, Loser, PluginRule, line_hash
from thrum_kernel.projection.rules.groups import attach_root
from thrum_kernel.projection.rules.purges import sweep
from thrum_kernel.projection.rules.receipts import forget_resolved
from thrum_kernel.projection.tables import LogLine, Tables

Log: TypeAlias = Callable[[], Iterable[Sequence[LogLine]]]
"""Gives all lines of the log from the start, in batches, events before messages; may be asked more than once."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found.

    Attributes:
        lines: how many lines the log has.
        messages: how many messages are in the new cache.
        passes: how often it began anew because of two lines were found to have one id; 1 when never.
    """

    lines: int
    messages: int
    passes: int


def rebuild(
    log: Log,
    path: Path,
    types: EventTypes,
    *,
    projectors: Mapping[type[Any], PluginRule] | None = None,
    extra_tables: Sequence[str] = (),
    clock: Clock | None = None,
    is_sender: Callable[[str], bool] = is_sender,
    progress: Callable[[int], None] | None = None,
    size: int = 0,
    until: str | None = None,
) -> Rebuilt:
    """Make a new cache of a log at *path*; what was there is removed. Blocking, for a thread.

    Args:
        projectors, is_sender: as for `Projector`.
        extra_tables: as for `Cache`.
        progress: told the percentage done, 0 … 99, whenever it changed.
        size: bytes of all lines, for the percentage; 0 tells none.
        until: leave out events with a higher ULID, for looking at an earlier state.

    Raises:
        StoreError: the log cannot be read.
        sqlite3.Error, OSError: the file cannot be written; it is removed.
    """
    losers: set[Loser] = set()
    passes = 0
    now_us = (clock or SystemClock()).now_us()
    try:
        while True:
            passes += 1
            remove(path)
            create(path, extra_tables, indexed=False)
            build = _Build(path, types, projectors or {}, is_sender, losers, now_us, until)
            try:
                lines = build.load(log, _Progress(progress, size))
                if not build.losers:
                    messages = build.finish()
                    break
            finally:
                build.db.close()
            losers |= build.losers
        _sync(path)
    except BaseException:
        remove(path)
        raise
    return Rebuilt(lines, messages, passes)


def catch_up(projector: Projector, batches: Iterable[Sequence[LogLine]]) -> Applied:
    """Project what is new of *batches* into the cache, a transaction each; on the loop's thread.

    Places that were taken before are passed over, so it may simply be given again after a crash.

    Raises:
        Projecting: the cache is being rebuilt.
        StoreError: the log cannot be read.
    """
    events: list[Event] = []
    in_doubt = False
    for batch in batches:
        applied = projector.apply_lines(batch)
        events.extend(applied.events)
        in_doubt = in_doubt or applied.in_doubt
    return Applied(tuple(events), in_doubt)


class _Progress:
    """Counts bytes and tells whole percents, each once."""

    def __init__(self, tell: Callable[[int], None] | None, size: int) -> None:
        self._tell = tell
        self._size = size
        self._done = 0
        self._last = -1

    def add(self, batch: Sequence[LogLine]) -> None:
        if self._tell is None or not self._size:
            return
        self._done += sum(len(line[3]) + 1 for line in batch)
        percent = min(99, self._done * 100 // self._size)
        if percent != self._last:
            self._last = percent
            self._tell(percent)


class _Build:
    """One pass over the log into an empty file."""

    def __init__(
        self,
        path: Path,
        types: EventTypes,
        projectors: Mapping[type[Any], PluginRule],
        is_sender: Callable[[str], bool],
        losers: set[Loser],
        now_us: int,
        until: str | None,
    ) -> None:
        self.losers: set[Loser] = set()
        self.db = sqlite3.connect(path, isolation_level=None, cached_statements=512)
        self.db.execute("PRAGMA journal_mode = MEMORY")
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self.db.execute("PRAGMA cache_size = -65536")
        self.db.execute("PRAGMA secure_delete = OFF")
        self._now_us = now_us
        self._tables = Tables(self.db, is_sender=is_sender)
        self._intake = Intake(self._tables, types, projectors=projectors, losers=losers)
        self._loader = Loader(
            self._tables,
            self._intake,
            types,
            projectors=projectors,
            losers=frozenset(ulid for ulid, _ in losers),
            now_us=now_us,
            until=until,
        )

    def load(self, log: Log, progress: _Progress) -> int:
        """Read every line and settle what needed the messages to be there; `losers` tells whether that is final."""
        lines = 0
        for batch in log():
            self.db.execute("BEGIN")
            self._loader.add(batch)
            self.db.execute("COMMIT")
            self._intake.counted.clear()
            lines += len(batch)
            progress.add(batch)
        self.db.execute("BEGIN")
        self._loader.finish()
        self.db.execute("COMMIT")
        self.db.executescript(schema.INDEXES + schema.COUNT + schema.TRIGGERS)
        self.db.execute(
            "PRAGMA secure_delete = ON"
        )  # lines that were held leave no copy when they are let go
        self.db.execute("BEGIN")
        if self._loader.contested:
            self._hash_contested(log)
        self._settle()
        self.db.execute("COMMIT")
        self.losers.update(self._intake.losers)
        return lines

    def _settle(self) -> None:
        tables = self._tables
        for item in self._loader.later:
            self._intake.take(item, self._now_us)
        self._loader.later.clear()
        self._intake.release()
        for (root,) in self.db.execute("SELECT DISTINCT root FROM thread WHERE root <> ''").fetchall():
            attach_root(tables, root)
        if tables.cutoff_us:
            sweep(tables, tables.cutoff_us)
        tables.save_places()
        forget_resolved(tables)

    def _hash_contested(self, log: Log) -> None:
        """Give the messages that came with a second line the hash that tells which of the two counts."""
        for batch in log():
            for writer, daemon, sequence, line in batch:
                ulid = _ulid_of(line)
                if ulid in self._loader.contested:
                    self.db.execute(
                        "UPDATE message SET hash = ? WHERE id = ? AND writer = ? AND sequence = ?",
                        (
                            line_hash(line, sequence),
                            self._tables.message_key(ulid),
                            self._tables.writer(writer, daemon),
                            sequence,
                        ),
                    )

    def finish(self) -> int:
        """Leave a file that is ready to be served; gives the number of messages."""
        self.db.execute("DELETE FROM change")
        if (
            self._tables.has_removed
        ):  # the log still held a text that is deleted or purged: no copy of it stays
            self.db.execute("VACUUM")
        return int(self.db.execute("SELECT count(*) FROM message").fetchone()[0])


def _ulid_of(line: bytes) -> str:
    try:
        return read_head(line).event_id[4:]
    except msgspec.MsgspecError:
        return ""


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

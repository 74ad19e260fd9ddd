"""One migration, from looking to telling; cut short anywhere, it is completed by doing it again.

What is written, in this order: a note of what the log had before (so that a run that is done again plans the same
chunks), what has no place in the log, the chunks (each whole or not at all), the report; then the note goes. The
sources are only read.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgspec

from thrum_kernel.events import EventTypes, core
from thrum_kernel.ids import EARLIER_DAEMON
from thrum_kernel.migrate import known as known_events
from thrum_kernel.migrate.chunks import Chunk, chunks_of, receipt_events, unpurged
from thrum_kernel.migrate.facts import DAMAGED, Kept
from thrum_kernel.migrate.gathered import Gathered
from thrum_kernel.migrate.known import Known
from thrum_kernel.migrate.mapping import Mapped, map_facts
from thrum_kernel.migrate.places import FOLDER, REPORT, Source
from thrum_kernel.migrate.report import Report, found_in, rows_of, spots_of
from thrum_kernel.store import ranges
from thrum_kernel.store.files import replace
from thrum_kernel.store.purge import Purges
from thrum_kernel.store.ranges import Tree

_log = logging.getLogger(__name__)

KEPT: Final = "kept.jsonl"
BEGUN: Final = "begun.json"

TYPES: Final = EventTypes(core.CORE_EVENT_TYPES)
_MESSAGE_TYPES: Final = frozenset(kind.name for kind in TYPES if kind.shard == "messages")


class _Begun(msgspec.Struct):
    writers: list[str]


class Migration:
    """Brings records into a log.

    Args:
        tree: the log; whoever writes holds its lock.
        folder: T.
        purges: everything that was ever purged or deleted in this log.
        with_snapshots: take messages, too, of which only a snapshot is left.
        say: is told what happens, a sentence each.
        scan: names of the patterns of secrets that a line matches.
    """

    def __init__(
        self,
        tree: Tree,
        folder: Path,
        *,
        purges: Purges,
        with_snapshots: bool = False,
        say: Callable[[str], None] = lambda text: None,
        scan: Callable[[bytes], Sequence[str]] = lambda line: (),
    ) -> None:
        self._scan = scan
        self._tree = tree
        self._folder = folder / FOLDER
        self._purges = purges
        self._with_snapshots = with_snapshots
        self._say = say
        self.report = Report(dry_run=True)

    def run(self, sources: Sequence[Source], *, dry_run: bool) -> Report:
        """Bring over what *sources* hold; with *dry_run* only tell what that would be.

        Raises:
            StoreError: the disk refuses; doing it again goes on.
            OSError, GitFailed: a source cannot be read.
        """
        self.report = Report(dry_run=dry_run)
        gathered = self._gather(sources)
        mapped = map_facts(gathered, with_snapshots=self._with_snapshots)
        self.report.left, self.report.duplicates = mapped.left, gathered.duplicates
        if not dry_run:
            self._tree.prepare()
        begun = self._begun(dry_run=dry_run)
        base = known_events.read(self._tree, TYPES, only=begun)
        events, reads = self._planned(mapped, base)
        self.report.secrets = self._secrets_in(events)
        if not dry_run:
            self._carry_out(events, reads, gathered)
        self._count(gathered, mapped, base, events, reads)
        if not dry_run:
            self._write(REPORT, msgspec.json.format(msgspec.json.encode(asdict(self.report)), indent=2))
            self._tree.disk.remove(self._folder / BEGUN)
            self._tree.disk.sync_folder(self._folder)
        return self.report

    # --- reading -----------------------------------------------------------------------------------------------------

    def _gather(self, sources: Sequence[Source]) -> Gathered:
        gathered = Gathered()
        seen: set[bytes] = set()
        for source in sources:
            data = source.load() if source.load is not None else b""
            digest = hashlib.sha256(data).digest()
            if data and digest in seen:
                self.report.sources[source.label] = 0
                continue
            seen.add(digest)
            gathered.take(self._counted(source, data))
        gathered.finish()
        return gathered

    def _counted(self, source: Source, data: bytes) -> Iterable[Any]:
        number = 0
        for record in source.records(data):
            number += 1
            yield record
        if number:
            self.report.sources[source.label] = number
            self._say(f"read {source.label}: {number} records")

    def _planned(self, mapped: Mapped, base: Known) -> tuple[list[Chunk], list[Chunk]]:
        """What the log does not have yet: chunks of events, and of receipts about them."""
        everything = [event for events in mapped.events.values() for event in events]
        new = [event for event in everything if event.ulid not in base.places]
        events = chunks_of(unpurged(new, TYPES, self._purges), TYPES)
        places = dict(base.places)
        for chunk in events:
            places |= chunk.places()
        reads = [
            read
            for read in mapped.receipts
            if (read[0].incarnation or read[0].name, read[1].kind, read[2]) not in base.marks
        ]
        return events, chunks_of(receipt_events(reads, places), TYPES)

    def _secrets_in(self, chunks: Iterable[Chunk]) -> list[str]:
        """Ids of the messages that look like they hold a secret, oldest first, each once."""
        found: dict[str, None] = {}
        for line in (line for chunk in chunks for line in chunk.lines if self._scan(line)):
            event = TYPES.decode(line)
            if isinstance(event, core.MessageCreate):
                found.setdefault(f"msg_{event.ulid}")
            elif isinstance(event, core.MessageEdit):
                found.setdefault(event.message_id)
        return list(found)

    # --- writing -----------------------------------------------------------------------------------------------------

    def _begun(self, *, dry_run: bool) -> list[str] | None:
        """The writers that the log had when this run, or one that was cut short, began."""
        path = self._folder / BEGUN
        if self._tree.disk.size(path) is not None:
            return msgspec.json.decode(self._tree.disk.read(path), type=_Begun).writers
        if dry_run:
            return None
        units = [unit for unit in ranges.scan(self._tree).units if unit.daemon == EARLIER_DAEMON]
        writers = sorted({window.writer for unit in units for window in unit.windows})
        self._write(BEGUN, msgspec.json.encode(_Begun(writers)))
        return writers

    def _carry_out(self, events: list[Chunk], reads: list[Chunk], gathered: Gathered) -> None:
        self._keep(list(gathered.kept.values()))
        for number, chunk in enumerate([*events, *reads], 1):
            for _ in ranges.cut(
                self._tree, chunk.placed(), daemon=EARLIER_DAEMON, message_types=_MESSAGE_TYPES
            ):
                pass
            self._say(f"wrote {number} of {len(events) + len(reads)} parts")

    def _keep(self, kept: list[Kept]) -> None:
        """Write what has no place in the log beside it; what an earlier run kept stays."""
        path = self._folder / KEPT
        old = self._tree.disk.read(path).splitlines() if self._tree.disk.size(path) is not None else []
        lines = dict.fromkeys([*old, *map(_kept_line, kept)])
        if lines:
            self.report.kept_in = str(path)
        if len(lines) != len(old):
            self._write(KEPT, b"".join(line + b"\n" for line in lines))

    def _write(self, name: str, data: bytes) -> None:
        self._tree.folders.ensure(self._folder)
        temporary = self._tree.folders.ensure(self._tree.temporary)
        replace(self._tree.disk, self._folder / name, data, temporary=temporary)

    # --- counting ----------------------------------------------------------------------------------------------------

    def _count(
        self, gathered: Gathered, mapped: Mapped, base: Known, events: list[Chunk], reads: list[Chunk]
    ) -> None:
        after = Counter(base.counts)
        if self.report.dry_run:
            after += _planned_counts(mapped, events, base)
            after["receipts"] = len(base.marks) + _marks_in(reads)
        else:
            after = known_events.read(self._tree, TYPES).counts
        kept = Counter(item.kind for item in gathered.kept.values())
        found = found_in(gathered)
        for kind in ("agents", "threads"):  # many are only named, by messages
            found[kind] = len(mapped.events[kind])
        self.report.rows = rows_of(
            found=found, before=base.counts, after=after, purged=Counter(mapped.purged), kept=kept
        )
        shown = {row.kind for row in self.report.rows}
        self.report.others = {
            kind: number for kind, number in sorted(kept.items()) if kind not in {*shown, DAMAGED}
        }
        self.report.damaged = spots_of(list(gathered.kept.values()))


def _planned_counts(mapped: Mapped, events: list[Chunk], base: Known) -> Counter[str]:
    planned = {ulid for chunk in events for ulid in chunk.ulids}
    return Counter(
        {kind: sum(event.ulid in planned for event in some) for kind, some in mapped.events.items()}
    )


def _marks_in(reads: list[Chunk]) -> int:
    total = 0
    for chunk in reads:
        for line in chunk.lines:
            event = TYPES.decode(line)
            assert isinstance(event, core.MessageReceipt)
            total += sum(last - first + 1 for mark in event.marks for first, last in mark.ranges)
    return total


def _kept_line(item: Kept) -> bytes:
    """A kept record as a line: its text as it is, or its bytes as base64 where it is no text."""
    try:
        what = {"text": item.raw.decode()}
    except UnicodeDecodeError:
        what = {"base64": base64.b64encode(item.raw).decode()}
    where = {"kind": item.kind, "source": item.source, "line": item.line, "why": item.why}
    return msgspec.json.encode({**where, **what})

"""One migration, from looking to telling; cut short anywhere, it is completed by doing it again.

What is written, in this order: a note of what the log had before (so that a run that is done again plans the same
chunks), what has no place in the log, what must not travel (`store.held`), the chunks (each whole or not at all), the
report; then the note goes. The sources are only read.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

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
from thrum_kernel.migrate.sifting import Text, Withheld, sift
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


class _Plan(NamedTuple):
    """What a run writes: chunks of events, what must not travel, and chunks of receipts about all of them."""

    events: list[Chunk]
    withheld: list[Withheld]
    reads: list[Chunk]


class Migration:
    """Brings records into a log.

    Args:
        tree: the log; whoever writes holds its lock.
        folder: T.
        purges: everything that was ever purged or deleted in this log.
        with_snapshots: take messages, too, of which only a snapshot is left.
        say: is told what happens, a sentence each.
        scan: names of the patterns of secrets that a line matches: it is held back.
        remote: what the remote is called that the log travels to; empty for none.
        on_remote: the texts of earlier layouts that it has had for long: they are not.
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
        remote: str = "",
        on_remote: Callable[[], Collection[Text]] = frozenset,
    ) -> None:
        self._remote = remote
        self._scan = scan
        self._on_remote = on_remote
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
        self.report = Report(dry_run=dry_run, remote=self._remote)
        gathered = self._gather(sources)
        mapped = map_facts(gathered, with_snapshots=self._with_snapshots)
        self.report.left, self.report.duplicates = mapped.left, gathered.duplicates
        if not dry_run:
            self._tree.prepare()
        begun = self._begun(dry_run=dry_run)
        base = known_events.read(self._tree, TYPES, only=begun)
        plan = self._planned(mapped, base)
        self.report.held = list(dict.fromkeys(each.name for each in plan.withheld))
        if not dry_run:
            self._carry_out(plan, gathered)
        self._count(gathered, mapped, base, plan)
        if not dry_run:
            self._write(REPORT, msgspec.json.format(msgspec.json.encode(asdict(self.report)), indent=2))
            self._tree.disk.remove(self._folder / BEGUN)
            self._tree.disk.sync_folder(self._folder)
        return self.report

    # --- reading -----------------------------------------------------------------------------------------------------

    def _gather(self, sources: Sequence[Source]) -> Gathered:
        gathered = Gathered()
        seen: set[tuple[str, bytes]] = set()
        for source in sources:
            data = source.load() if source.load is not None else b""
            file = source.name, hashlib.sha256(data).digest()
            if data and file in seen:
                self.report.sources[source.label] = 0
                continue
            seen.add(file)
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

    def _planned(self, mapped: Mapped, base: Known) -> _Plan:
        """What the log does not have yet."""
        everything = [event for events in mapped.events.values() for event in events]
        new = [event for event in everything if event.ulid not in base.places]
        sifted = sift(unpurged(new, TYPES, self._purges), TYPES, scan=self._scan, on_remote=self._on_remote)
        self.report.left_before = list(dict.fromkeys(sifted.left_before))
        events = chunks_of(sifted.free, TYPES)
        places = dict(base.places)
        for chunk in (*events, *(each.chunk for each in sifted.withheld)):
            places |= chunk.places()
        reads = [
            read
            for read in mapped.receipts
            if (read[0].incarnation or read[0].name, read[1].kind, read[2]) not in base.marks
        ]
        return _Plan(events, sifted.withheld, chunks_of(receipt_events(reads, places), TYPES))

    # --- writing -----------------------------------------------------------------------------------------------------

    def _begun(self, *, dry_run: bool) -> list[str] | None:
        """The writers that the log had when this run, or one that was cut short, began."""
        path = self._folder / BEGUN
        if self._tree.disk.size(path) is not None:
            return msgspec.json.decode(self._tree.disk.read(path), type=_Begun).writers
        if dry_run:
            return None
        units = [unit for unit in ranges.scan(self._tree).units if unit.daemon == EARLIER_DAEMON]
        published = {window.writer for unit in units for window in unit.windows}
        held = {line.writer for line in ranges.read_held(self._tree) if line.is_brought}
        writers = sorted(published | held)
        self._write(BEGUN, msgspec.json.encode(_Begun(writers)))
        return writers

    def _carry_out(self, plan: _Plan, gathered: Gathered) -> None:
        self._keep(list(gathered.kept.values()))
        for each in plan.withheld:
            lines = list(each.chunk.placed())
            window = ranges.Window(each.chunk.writer, 1, len(lines))
            ranges.keep(self._tree, EARLIER_DAEMON, window, lines, [each.patterns] * len(lines))
        chunks = [*plan.events, *plan.reads]
        for number, chunk in enumerate(chunks, 1):
            for _ in ranges.cut(
                self._tree, chunk.placed(), daemon=EARLIER_DAEMON, message_types=_MESSAGE_TYPES
            ):
                pass
            self._say(f"wrote {number} of {len(chunks)} parts")

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

    def _count(self, gathered: Gathered, mapped: Mapped, base: Known, plan: _Plan) -> None:
        after = Counter(base.counts)
        if self.report.dry_run:
            after += _planned_counts(mapped, plan)
            after["receipts"] = len(base.marks) + _marks_in(plan.reads)
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


def _planned_counts(mapped: Mapped, plan: _Plan) -> Counter[str]:
    chunks = (*plan.events, *(each.chunk for each in plan.withheld))
    planned = {ulid for chunk in chunks for ulid in chunk.ulids}
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

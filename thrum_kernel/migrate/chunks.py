"""Events as lines of a writer of their own, named after what it wrote.

A chunk holds the events of one month. Its writer is the hash of its lines, so two clones that bring over the same
write the same files under the same names, and merging them, which is the union of names, changes nothing. What a clone
has beyond that comes as a chunk of another name; an event in both has one id and one line, and counts once.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from thrum_kernel import ids
from thrum_kernel.clock import parse_us
from thrum_kernel.events import Event, EventTypes, core
from thrum_kernel.migrate.facts import Receipt
from thrum_kernel.migrate.known import Place
from thrum_kernel.store.purge import Purges, filtered
from thrum_kernel.store.ranges import Line

MARKS: Final = 500
"""Receipts that one event takes."""

E = TypeVar("E", bound=Event)

_encode = msgspec.json.Encoder().encode

Read = tuple[core.AgentRef, Receipt, str, str]
"""Who, what, and the ULID and time of the message."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The lines of one writer, and the ULIDs of the events in them, in order."""

    writer: str
    lines: Sequence[bytes]
    ulids: Sequence[str]

    def placed(self) -> Iterator[Line]:
        """The lines with their places."""
        return (Line(self.writer, number, line) for number, line in enumerate(self.lines, 1))

    def places(self) -> dict[str, Place]:
        """Where each event lies."""
        return {ulid: (self.writer, number) for number, ulid in enumerate(self.ulids, 1)}


def chunks_of(events: Iterable[Event], types: EventTypes) -> list[Chunk]:
    """The events month by month, each month by event id."""
    months: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        months[event.timestamp[:7]].append(event)
    return [
        _chunk(sorted(months[month], key=lambda event: event.event_id), types) for month in sorted(months)
    ]


def unpurged(events: Iterable[Event], types: EventTypes, purges: Purges) -> list[Event]:
    """The events that *purges* leave; of a deleted message the text is gone."""
    if not purges:
        return list(events)
    left = []
    for event in events:
        line = types.encode(event)
        rest = filtered(line, purges)
        if rest is None:
            continue
        if rest != line and isinstance(event, core.MessageCreate | core.MessageEdit):
            event.body = core.Body(content="")
        left.append(event)
    return left


def receipt_events(reads: Iterable[Read], places: Mapping[str, Place]) -> list[Event]:
    """Receipts of what lies at *places*, each with the time it was told for."""
    months: dict[str, list[core.ReceiptMark]] = defaultdict(list)
    for mark in _marks(reads, places):
        months[mark.at[:7]].append(mark)
    events: list[Event] = []
    for month in sorted(months):
        marks = months[month]
        events += [_receipt(marks[at : at + MARKS]) for at in range(0, len(marks), MARKS)]
    return events


def _marks(reads: Iterable[Read], places: Mapping[str, Place]) -> list[core.ReceiptMark]:
    found: dict[tuple[str, str, core.AgentRef, str], list[tuple[int, str]]] = defaultdict(list)
    for reader, fact, ulid, written in reads:
        if ulid in places:
            writer, sequence = places[ulid]
            found[fact.at, fact.kind, reader, writer].append((sequence, written))
    return [
        core.ReceiptMark(
            reader=reader,
            kind="seen" if kind == "seen" else "read",
            at=at,
            writer=writer,
            ranges=_ranges(sorted({sequence for sequence, _ in read})),
            subject_from=min(written for _, written in read),
            subject_to=max(written for _, written in read),
        )
        for (at, kind, reader, writer), read in sorted(found.items(), key=lambda item: _order(item[0]))
    ]


def _order(key: tuple[str, str, core.AgentRef, str]) -> tuple[str, ...]:
    at, kind, reader, writer = key
    return at, kind, reader.name, reader.incarnation, writer


def _ranges(sequences: Sequence[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for sequence in sequences:
        if ranges and ranges[-1][1] == sequence - 1:
            ranges[-1] = (ranges[-1][0], sequence)
        else:
            ranges.append((sequence, sequence))
    return ranges


def _receipt(marks: list[core.ReceiptMark]) -> core.MessageReceipt:
    at = max(mark.at for mark in marks)
    event = core.MessageReceipt(event_id="", timestamp=at, origin_daemon=ids.EARLIER_DAEMON, marks=marks)
    return named_after_itself(event)


def named_after_itself(event: E) -> E:
    """The event, with an id that follows from what it says: other content never has it."""
    digest = hashlib.sha256(_encode(event)).digest()
    event.event_id = ids.event_id(ids.derived_ulid(parse_us(event.timestamp), digest))
    return event


def chunk_alone(event: Event, types: EventTypes) -> Chunk:
    """A chunk for one event that must not travel.

    Its writer follows from the event's id and not from what it says: receipts name the writer and do travel, and from
    the hash of a line somebody may guess a short secret in it.
    """
    event.sequence = 1
    return Chunk(_writer(event.event_id.encode()), [types.encode(event)], [event.ulid])


def _chunk(events: Sequence[Event], types: EventTypes) -> Chunk:
    for number, event in enumerate(events, 1):
        event.sequence = number
    lines = [types.encode(event) for event in events]
    return Chunk(_writer(b"".join(lines)), lines, [event.ulid for event in events])


def _writer(data: bytes) -> str:
    return f"earlier-{hashlib.sha256(data).hexdigest()[:32]}"

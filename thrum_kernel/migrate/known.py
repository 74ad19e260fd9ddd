"""What the log has already of what earlier layouts held, from earlier runs here and in other clones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec

from thrum_kernel.errors import FileDamaged, FileMissing
from thrum_kernel.events import Event, EventTypes, core
from thrum_kernel.ids import EARLIER_DAEMON
from thrum_kernel.store.ranges import Line, Tree, Unit, read_held, read_window, scan

Place: TypeAlias = tuple[str, int]
"""A writer and a sequence."""

MarkKey: TypeAlias = tuple[str, str, str]
"""Incarnation (or the name of a sender), kind, and the ULID of the message."""

KINDS: Final[Mapping[type[object], str]] = {
    core.MessageCreate: "messages",
    core.MessageEdit: "edits",
    core.MessageDelete: "deletions",
    core.AgentCleanup: "deletions of agents",
    core.SessionStart: "sessions",
    core.SessionEnd: "ends of sessions",
    core.AgentUpdate: "work contexts",
    core.GroupCreate: "groups",
    core.GroupUpdate: "changes of groups",
    core.GroupDelete: "deletions of groups",
    core.GroupMemberAdd: "members of groups",
    core.GroupMemberRemove: "members of groups",
    core.ThreadCreate: "threads",
    core.PurgeExecuted: "purges",
}


@dataclass(slots=True)
class Known:
    """The events of earlier layouts that the log has.

    Attributes:
        places: where each event lies, by its ULID.
        marks: what receipts tell.
        counts: how many of each kind of record.
        writers: under which names they lie.
    """

    places: dict[str, Place] = field(default_factory=dict)
    marks: set[MarkKey] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    writers: set[str] = field(default_factory=set)


def read(tree: Tree, types: EventTypes, *, only: Collection[str] | None = None) -> Known:
    """What is published or held back, of some writers only where *only* is given.

    Raises:
        StoreError: a folder cannot be read.
    """
    known = Known()
    receipts: list[core.MessageReceipt] = []
    messages: dict[Place, str] = {}
    for line in _lines(tree, only):
        try:
            event = types.decode(line.line)
        except msgspec.MsgspecError:
            continue
        ulid = event.event_id[4:] if isinstance(event, Event) else ""
        known.writers.add(line.writer)
        if isinstance(event, core.MessageReceipt):
            receipts.append(event)
        if not ulid or ulid in known.places:
            _note_place(event, line, messages)
            continue
        known.places[ulid] = (line.writer, line.sequence)
        known.counts[_kind(event)] += 1
        _note_place(event, line, messages)
    known.marks = {key for event in receipts for key in _marks(event, messages)}
    known.counts["receipts"] = len(known.marks)
    del known.counts[""]
    return known


def _lines(tree: Tree, only: Collection[str] | None) -> Iterator[Line]:
    for unit in scan(tree).units:
        if unit.daemon != EARLIER_DAEMON or not _is_wanted(unit, only):
            continue
        try:
            yield from read_window(tree, unit)
        except (FileDamaged, FileMissing):
            continue  # what cannot be read is published again
    for held in read_held(tree):
        if held.is_brought and (only is None or held.writer in only):
            yield Line(*held.place, held.line)


def _is_wanted(unit: Unit, only: Collection[str] | None) -> bool:
    return only is None or any(window.writer in only for window in unit.windows)


def _note_place(event: object, line: Line, messages: dict[Place, str]) -> None:
    if isinstance(event, core.MessageCreate):
        messages[line.writer, line.sequence] = event.ulid


def _kind(event: object) -> str:
    if isinstance(event, core.AgentRegister):
        return "registrations" if event.incarnation else "agents"
    return KINDS.get(type(event), "")


def _marks(event: core.MessageReceipt, messages: dict[Place, str]) -> Iterator[MarkKey]:
    for mark in event.marks:
        reader = mark.reader.incarnation or mark.reader.name
        for first, last in mark.ranges:
            for sequence in range(first, last + 1):
                ulid = messages.get((mark.writer, sequence))
                if ulid is not None:
                    yield reader, mark.kind, ulid

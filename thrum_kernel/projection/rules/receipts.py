"""Receipts: what readers have seen and read, as ranges of a writer's sequences.

A receipt sets the earliest time told, so any order gives the same. Where it covers places that have not been taken,
that part waits in ``receipt_range`` until a message turns up there.
"""

from __future__ import annotations

from thrum_kernel.clock import parse_us
from thrum_kernel.events.core import MessageReceipt, ReceiptMark
from thrum_kernel.projection.marks import READ, SEEN, Mark
from thrum_kernel.projection.tables import Held, Place, Tables, Verdict

_MARK = (
    "UPDATE delivery SET seen_us = min(coalesce(seen_us, :at_us), :at_us),"
    " read_us = CASE :kind WHEN 1 THEN min(coalesce(read_us, :at_us), :at_us) ELSE read_us END"
    " WHERE agent = :agent AND message IN ({messages})"
)
_MARK_RANGE = _MARK.format(
    messages="SELECT id FROM message INDEXED BY message_written"
    " WHERE writer = :writer AND sequence BETWEEN :first AND :last"
)
_MARK_ONE = _MARK.format(messages=":message")


def receipt(tables: Tables, place: Place, event: MessageReceipt) -> Verdict:
    """One daemon's receipts. A mark whose reader may not speak from there waits; the others count."""
    waits: list[Held] = []
    for mark in event.marks:
        reader = tables.author(mark.reader.name, mark.reader.incarnation, place.daemon)
        if isinstance(reader, Held):
            waits.append(reader)
        else:
            _apply(tables, mark, reader.key)
    return min(waits, default=None)


def _apply(tables: Tables, mark: ReceiptMark, agent: int) -> None:
    key = tables.writer_of_receipt(mark.writer)
    kind = READ if mark.kind == "read" else SEEN
    at_us = parse_us(mark.at)
    for first, last in mark.ranges:
        _note(tables, Mark(key, first, last, agent, kind, at_us))


def _note(tables: Tables, mark: Mark) -> None:
    if tables.mark_sink is None:
        mark_range(tables, mark)
    else:
        tables.mark_sink(mark)
    for first, last in tables.unresolved(*mark[:3]):
        tables.keep_range(mark._replace(first=first, last=last))


def mark_range(tables: Tables, mark: Mark) -> None:
    """Set what an agent has seen or read among the messages in a range that are there."""
    tables.db.execute(_MARK_RANGE, mark._asdict())
    for (ulid,) in tables.db.execute(
        "SELECT ulid FROM message_place WHERE writer = ? AND sequence BETWEEN ? AND ?", mark[:3]
    ).fetchall():
        _mark_one(tables, tables.message_key(ulid), mark.agent, mark.kind, mark.at_us)


def _mark_one(tables: Tables, message: int | None, agent: int, kind: int, at_us: int) -> None:
    tables.db.execute(_MARK_ONE, {"at_us": at_us, "kind": kind, "agent": agent, "message": message})


def apply_waiting(tables: Tables, message: int, place: Place) -> None:
    """Set on a message what receipts told of its place before it was there."""
    if not tables.has_ranges(place.writer):
        return
    for agent, kind, at_us in tables.db.execute(
        "SELECT agent, kind, at_us FROM receipt_range WHERE writer = ? AND first <= ? AND last >= ?",
        (place.writer, place.sequence, place.sequence),
    ).fetchall():
        _mark_one(tables, message, agent, kind, at_us)


def forget_resolved(tables: Tables) -> None:
    """Drop the waiting receipts of the writers touched whose places have all been taken."""
    for writer in filter(tables.has_ranges, tables.touched):
        for first, last in tables.db.execute(
            "SELECT DISTINCT first, last FROM receipt_range WHERE writer = ?", (writer,)
        ).fetchall():
            if not tables.unresolved(writer, first, last):
                tables.db.execute(
                    "DELETE FROM receipt_range WHERE writer = ? AND first = ? AND last = ?",
                    (writer, first, last),
                )

"""What every rule of the projection writes through: names, messages, places taken, lines held back.

One `Tables` lives as long as its connection; after a rollback it is dropped, for it remembers what was undone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

from thrum_kernel import ids
from thrum_kernel.projection.lines import GONE, Gone, Held, HeldKind, LogLine, Place, Projected, Verdict
from thrum_kernel.projection.marks import Mark
from thrum_kernel.projection.names import Agent, Names
from thrum_kernel.projection.schema import MAX_KEY
from thrum_kernel.projection.spans import Spans

__all__ = [
    "GONE",
    "Agent",
    "Gone",
    "Held",
    "HeldKind",
    "LogLine",
    "Place",
    "Projected",
    "Tables",
    "Verdict",
]


class Tables(Names):
    """The tables of one connection.

    Attributes:
        is_soiled: text was removed in this transaction, of which the file may still hold copies.
        has_removed: text was removed since these tables were opened that the log, too, still held.
        mark_sink: takes the marks of receipts while messages are loaded in bulk, when what is in the tables is not all
            there is; None otherwise.
        touched: writers whose places were taken or released in this transaction.
    """

    def __init__(self, db: sqlite3.Connection, *, is_sender: Callable[[str], bool]) -> None:
        super().__init__(db, is_sender=is_sender)
        self.is_soiled = False
        self.has_removed = False
        self.touched: set[int] = set()
        self.mark_sink: Callable[[Mark], None] | None = None
        self._spans: dict[int, Spans] = {}
        self._saved: dict[int, dict[int, int]] = {}
        self._newest: str | None = None
        self._waits: set[str] | None = None
        self._ranged: set[int] | None = None
        self._cutoff: int | None = None

    def begin(self) -> None:
        """A transaction begins."""
        self.released.clear()
        self.touched.clear()
        self.is_soiled = False

    def forget(self) -> None:
        """Look everything up again: what was written in part of a transaction was undone."""
        super().forget()
        self._newest = self._waits = self._ranged = self._cutoff = None

    # --- messages ----------------------------------------------------------------------------------------------------

    def message_key(self, ulid: str) -> int | None:
        """Key of a message that is there, None when it is not."""
        if ulid > self.newest or not ids.is_ulid(ulid):
            return None
        key = ids.ulid_key(ulid)
        if key > MAX_KEY:
            return None
        for row_key, row_ulid in self.db.execute(
            "SELECT id, ulid FROM message WHERE id >= ? ORDER BY id", (key,)
        ):
            if row_ulid >= ulid:
                return row_key if row_ulid == ulid else None
        return None

    @property
    def newest(self) -> str:
        """A ULID that no message is above: nothing has to be looked up for one that is."""
        if self._newest is None:
            row = self.db.execute("SELECT ulid FROM message ORDER BY id DESC LIMIT 1").fetchone()
            self._newest = row[0] if row else ""
        return self._newest

    def note_newest(self, ulid: str) -> None:
        """A message was inserted, perhaps the newest."""
        self._newest = max(self.newest, ulid)

    def note_message(self, ulid: str) -> None:
        """A message was inserted for which edits may wait."""
        self.note_newest(ulid)
        if self._waits is None:
            self._waits = {
                row[0] for row in self.db.execute("SELECT subject FROM held WHERE kind = 'message'")
            }
        if ulid in self._waits:
            self._waits.discard(ulid)
            self.released.append(("message", ulid))

    def changed(self, message: int) -> None:
        """The text of a message is new, other, or gone: the full-text index has to look at it."""
        self.db.execute("INSERT INTO change (message) VALUES (?)", (message,))

    @property
    def cutoff_us(self) -> int:
        """Messages with an earlier timestamp are purged."""
        if self._cutoff is None:
            self._cutoff = self.db.execute("SELECT coalesce(max(cutoff_us), 0) FROM purge").fetchone()[0]
        return self._cutoff

    def raise_cutoff(self, cutoff_us: int) -> None:
        """A purge up to *cutoff_us* was recorded."""
        self._cutoff = max(self.cutoff_us, cutoff_us)

    # --- places ------------------------------------------------------------------------------------------------------

    def taken(self, writer: int) -> Spans:
        """The sequences of a writer that were taken; `save_places` writes what was added."""
        spans = self._spans.get(writer)
        if spans is None:
            rows = self.db.execute("SELECT first, last FROM projected WHERE writer = ?", (writer,)).fetchall()
            self._saved[writer] = dict(rows)
            spans = self._spans[writer] = Spans(rows)
        return spans

    def take(self, place: Place) -> None:
        """A place is done, whatever came of it."""
        self.taken(place.writer).add(place.sequence)
        self.touched.add(place.writer)

    def take_many(self, writer: int, sequences: Iterable[int]) -> None:
        """Many places of one writer are done."""
        numbers = Spans.of(sequences)
        self._spans[writer] = Spans([*self.taken(writer), *numbers])
        self.touched.add(writer)

    def save_places(self) -> None:
        """Write the ranges of the writers that were touched."""
        for writer in self.touched:
            old, new = self._saved.get(writer, {}), dict(self.taken(writer))
            gone = [(writer, first) for first in old if first not in new]
            self.db.executemany("DELETE FROM projected WHERE writer = ? AND first = ?", gone)
            self.db.executemany(
                "INSERT OR REPLACE INTO projected VALUES (?, ?, ?)",
                [(writer, first, last) for first, last in new.items() if old.get(first) != last],
            )
            self._saved[writer] = new

    def unresolved(self, writer: int, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of a range where a message may still turn up: not taken, or taken and held back."""
        parts = self.taken(writer).missing(first, last)
        held = self.db.execute(
            "SELECT DISTINCT sequence FROM held WHERE writer = ? AND sequence BETWEEN ? AND ?"
            " AND kind IN ('agent', 'ahead', 'type')",
            (writer, first, last),
        )
        return list(Spans([*parts, *((row[0], row[0]) for row in held)]))

    def has_ranges(self, writer: int) -> bool:
        """Whether receipts wait for places of a writer."""
        if self._ranged is None:
            self._ranged = {row[0] for row in self.db.execute("SELECT DISTINCT writer FROM receipt_range")}
        return writer in self._ranged

    def keep_range(self, mark: Mark) -> None:
        """Keep a receipt until what it covers has come."""
        self.has_ranges(mark.writer)
        assert self._ranged is not None
        self._ranged.add(mark.writer)
        self.db.execute(
            "INSERT INTO receipt_range (writer, first, last, agent, kind, at_us) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            mark,
        )

    def hold(self, place: Place, ulid: str, why: Held, line: bytes) -> None:
        """Keep a line that does not count now."""
        if why.kind == "message" and self._waits is not None:
            self._waits.add(why.subject)
        self.db.execute(
            "INSERT OR REPLACE INTO held (kind, subject, writer, sequence, ulid, note, line) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (why.kind, why.subject, place.writer, place.sequence, ulid, why.note, line),
        )
        self.touched.add(place.writer)

"""Read marks: at once in the cache, kept in `local.db` until they are journalled, packed into one event a publish.

A mark is machine truth until its receipt is in the log, so neither a crash nor a rebuilt cache makes a message unread
again. Source: DESIGN.md D1, "What travels"; D3.
"""

from __future__ import annotations

import functools
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from thrum_kernel import ids
from thrum_kernel.api import Migration
from thrum_kernel.clock import format_us
from thrum_kernel.events.core import AgentRef, MessageReceipt, ReceiptMark
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.messaging.receipt_ranges import Range, merge, pack
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow

Kind = Literal["read", "seen"]
_AT_ONCE = 2000
"""Marks that one event takes; more would hold up the loop."""
_COLUMN: dict[str, str] = {"read": "read_us", "seen": "seen_us"}

MARKS_MIGRATION = Migration(
    "messaging.0001_read_marks",
    (
        "CREATE TABLE read_mark (incarnation TEXT NOT NULL, message_id TEXT NOT NULL, kind TEXT NOT NULL,"
        " at_us INTEGER NOT NULL, PRIMARY KEY (incarnation, message_id, kind)) WITHOUT ROWID",
    ),
)


@dataclass(slots=True)
class _Batch:
    """Marks of one reader, kind and time about messages of one writer."""

    sequences: list[int] = field(default_factory=list)
    oldest_us: int = 1 << 62
    newest_us: int = 0

    def add(self, sequence: int, created_us: int) -> None:
        self.sequences.append(sequence)
        self.oldest_us = min(self.oldest_us, created_us)
        self.newest_us = max(self.newest_us, created_us)


_Row = tuple[str, str, Kind, int]
"""Incarnation, message id, kind, time."""


class Receipts:
    """Marks messages as read or seen and journals the marks.

    Args:
        marked: called after each mark: there is something to `journal`.
    """

    def __init__(self, ground: Ground, *, marked: Callable[[], None] = lambda: None) -> None:
        self._ground = ground
        self._marked = marked

    def mark(self, reader: AgentRow, keys: Sequence[int], kind: Kind = "read") -> list[str]:
        """Note that *reader* has read or seen messages.

        Returns:
            Ids of the messages for which this was new; messages that were not for the reader are left out.
        """
        at_us = self._ground.clock.now_us()
        changed = queries.mark(self._ground.cache, reader.id, keys, kind, at_us)
        if not changed:
            return []
        found = [message_id for message_id, *_ in self._found(changed).values()]
        rows = [(reader.incarnation, message_id, kind, at_us) for message_id in found]
        self._ground.local.write_later(lambda db: _insert(db, rows))
        self._marked()
        return found

    def unnoticed(self, reader: AgentRow, message_ids: Sequence[str]) -> tuple[list[str], list[str]]:
        """Those of some messages to *reader* that it has neither seen nor read, and those that it has not read."""
        unseen: list[str] = []
        unread: list[str] = []
        for message_id in message_ids:
            key = queries.message_key(self._ground.cache, message_id)
            rows = self._ground.cache.read(
                "SELECT seen_us, read_us FROM delivery WHERE message = ? AND agent = ? AND hidden = 0",
                (key, reader.id),
            )
            for seen_us, read_us in rows:
                unread += [message_id] if read_us is None else []
                unseen += [message_id] if read_us is None and seen_us is None else []
        return unseen, unread

    async def journal(self) -> None:
        """Put all marks that are not in the log yet into it, one event as a rule; called before each cut.

        Raises:
            StoreError: the log took nothing; the marks stay.
            Projecting: the cache is being rebuilt; the marks stay.
        """
        while rows := await self._ground.local.write(_pending):
            marks = self._packed(rows)
            if marks:
                await self._ground.committer.commit(self._ground.committer.draft(MessageReceipt, marks=marks))
            await self._ground.local.write(functools.partial(_drop, rows=rows))

    def reapply(self) -> None:
        """Apply every mark that is not in the log yet again, after the cache was rebuilt."""
        cache = self._ground.cache
        found: dict[tuple[str, Kind, int], list[int]] = {}
        for incarnation, message_id, kind, at_us in self._ground.local.read(
            "SELECT incarnation, message_id, kind, at_us FROM read_mark"
        ):
            key = queries.message_key(cache, message_id)
            if key is not None:
                found.setdefault((incarnation, kind, at_us), []).append(key)
        for (incarnation, kind, at_us), keys in found.items():
            reader = queries.agent_by_incarnation(cache, incarnation)
            if reader is not None:
                queries.mark(cache, reader.id, keys, kind, at_us)

    def _packed(self, rows: Sequence[_Row]) -> list[ReceiptMark]:
        """The marks of *rows*; rows about messages that are gone (purged) give none.

        What was read at once shares a mark. Each tells its own time, for every clone shows the earliest it was told:
        with one time for all that was read since the last journal, the reader's own clone would show another.
        """
        cache = self._ground.cache
        keys = {message_id: queries.message_key(cache, message_id) for _, message_id, _, _ in rows}
        messages = self._found([key for key in keys.values() if key is not None])
        further = self._further_places(list(messages))
        batches: dict[tuple[str, Kind, str], dict[int, _Batch]] = defaultdict(dict)
        for incarnation, message_id, kind, at_us in rows:
            key = keys[message_id] or -1
            if key not in messages:
                continue
            _, writer, sequence, created_us = messages[key]
            for at_writer, at_sequence in ((writer, sequence), *further.get(key, ())):
                by_time = batches[incarnation, kind, at_writer]
                by_time.setdefault(at_us, _Batch()).add(at_sequence, created_us)
        projected = queries.projected(cache)
        marks: list[ReceiptMark] = []
        for (incarnation, kind, writer), by_time in sorted(batches.items()):
            reader = queries.agent_by_incarnation(cache, incarnation)
            if reader is not None and queries.has_lived_on(
                cache, reader.id, self._ground.committer.daemon_id
            ):
                ranges = merge(projected.get(writer, []))
                marks += self._marks(reader, kind, writer, by_time, ranges)
        return marks

    def _marks(
        self,
        reader: AgentRow,
        kind: Kind,
        writer: str,
        by_time: Mapping[int, _Batch],
        projected: Sequence[Range],
    ) -> Iterator[ReceiptMark]:
        """A mark for each time, none of which covers what was read at another."""
        places = [sequence for batch in by_time.values() for sequence in batch.sequences]
        breaks = self._breaks(reader, kind, writer, min(places), max(places))
        for at_us, batch in sorted(by_time.items()):
            others = set(places).difference(batch.sequences)
            yield ReceiptMark(
                reader=AgentRef(reader.name, reader.daemon, reader.incarnation),
                kind=kind,
                at=format_us(at_us),
                writer=writer,
                ranges=pack(batch.sequences, unread=[*breaks, *others], projected=projected),
                subject_from=format_us(batch.oldest_us),
                subject_to=format_us(batch.newest_us),
            )

    def _breaks(self, reader: AgentRow, kind: Kind, writer: str, first: int, last: int) -> list[int]:
        """Places of a writer that no range may cover: messages to the reader that are unread, lines that do not
        count yet, and second places of messages."""
        cache = self._ground.cache
        (writer_key,) = cache.read("SELECT id FROM writer WHERE writer = ?", (writer,))[0]
        span = (writer_key, first, last)
        unread = cache.read(
            "SELECT m.sequence FROM message m JOIN delivery d ON d.message = m.id AND d.agent = ?"
            f" WHERE m.writer = ? AND m.sequence BETWEEN ? AND ? AND d.{_COLUMN[kind]} IS NULL",
            (reader.id, *span),
        )
        held = cache.read("SELECT sequence FROM held WHERE writer = ? AND sequence BETWEEN ? AND ?", span)
        doubled = cache.read(
            "SELECT sequence FROM message_place WHERE writer = ? AND sequence BETWEEN ? AND ?", span
        )
        return [row[0] for row in (*unread, *held, *doubled)]

    def _found(self, keys: Sequence[int]) -> dict[int, tuple[str, str, int, int]]:
        """Id, writer, sequence and time of messages, by key; their text is not looked at."""
        rows = self._ground.cache.read(
            "SELECT m.id, 'msg_' || m.ulid, w.writer, m.sequence, m.created_us FROM message m"
            " JOIN writer w ON w.id = m.writer WHERE m.id IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(list(keys)).decode(),),
        )
        return {row[0]: row[1:] for row in rows}

    def _further_places(self, keys: Sequence[int]) -> dict[int, list[tuple[str, int]]]:
        """Writer and sequence of further places of messages, by key: a clone may know a message by any of them."""
        rows = self._ground.cache.read(
            "SELECT m.id, w.writer, p.sequence FROM message m JOIN message_place p ON p.ulid = m.ulid"
            " JOIN writer w ON w.id = p.writer WHERE m.id IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(list(keys)).decode(),),
        )
        places: dict[int, list[tuple[str, int]]] = {}
        for key, writer, sequence in rows:
            places.setdefault(key, []).append((writer, sequence))
        return places

    def tell_again(self, message_ids: Sequence[str]) -> None:
        """Put what readers did here with messages into the log once more: the messages have new places.

        Also what a reader did that has moved away since: nobody else knows of it.
        """
        cache = self._ground.cache
        found = (queries.message_key(cache, message_id) for message_id in message_ids)
        rows = cache.read(
            "SELECT a.incarnation, 'msg_' || m.ulid, d.read_us, d.seen_us FROM delivery d"
            " JOIN message m ON m.id = d.message JOIN agent a ON a.id = d.agent"
            " WHERE d.agent <> m.author AND m.id IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode([key for key in found if key is not None]).decode(),),
        )
        marks: list[_Row] = []
        for incarnation, message_id, read_us, seen_us in rows:
            marks += [(incarnation, message_id, "read", read_us)] if read_us else []
            marks += [(incarnation, message_id, "seen", seen_us)] if seen_us else []
        self._ground.local.write_later(lambda db: _insert(db, marks))

    def forget_before(self, cutoff_us: int) -> None:
        """Drop marks about messages that were purged."""
        oldest = ids.message_id(ids.encode_ulid(max(0, cutoff_us // 1000) << 80))
        self._ground.local.write_later(
            lambda db: db.execute("DELETE FROM read_mark WHERE message_id < ?", (oldest,))
        )


def _insert(db: sqlite3.Connection, rows: Sequence[_Row]) -> None:
    db.executemany("INSERT INTO read_mark VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)


def _pending(db: sqlite3.Connection) -> list[_Row]:
    """Some of the marks; asked of the writer, so that every mark queued before is seen."""
    return db.execute(
        "SELECT incarnation, message_id, kind, at_us FROM read_mark LIMIT ?", (_AT_ONCE,)
    ).fetchall()


def _drop(db: sqlite3.Connection, *, rows: Sequence[_Row]) -> None:
    db.executemany(
        "DELETE FROM read_mark WHERE incarnation = ? AND message_id = ? AND kind = ? AND at_us = ?", rows
    )

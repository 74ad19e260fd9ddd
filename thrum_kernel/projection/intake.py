"""Takes single lines into the tables: decides whether a line counts, waits, or is refused, and keeps the books.

Of two lines with one ``event_id`` the one with the smaller SHA-256 counts; a line that travelled late differs from
its first copy only in ``sequence`` and is the same event. Where the line that counts comes second, what the first
did cannot be taken back here: `Intake.losers` says so, and the cache is rebuilt without it.

Source: DESIGN.md D1, D2.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from thrum_kernel import ids
from thrum_kernel.events import Event, EventTypes, UnknownEvent
from thrum_kernel.events.core import MessageCreate, MessageEdit
from thrum_kernel.projection.rules import RULES, messages
from thrum_kernel.projection.rules.purges import is_before
from thrum_kernel.projection.tables import Held, HeldKind, Place, Projected, Tables, Verdict

_log = logging.getLogger(__name__)

PluginRule = Callable[[sqlite3.Connection, Any], object]

Loser = tuple[str, bytes]
"""A line that another one with the same id has beaten: its ULID and hash."""


def line_hash(line: bytes, sequence: int) -> bytes:
    """SHA-256 of a line without its sequence, which tells where it lies and not what it says."""
    mark = b'"sequence":%d,' % sequence
    at = line.find(mark)
    if at < 0:
        return hashlib.sha256(line).digest()
    return hashlib.sha256(line[:at] + line[at + len(mark) :]).digest()


class Intake:
    """The door for single lines, within transactions that the caller begins and ends.

    Attributes:
        counted: the events that came to count since the list was last emptied, in order; released ones included.
        losers: lines that counted and should not have: the cache must be rebuilt without them.
    """

    def __init__(
        self,
        tables: Tables,
        types: EventTypes,
        *,
        projectors: Mapping[type[Any], PluginRule],
        losers: Iterable[Loser] = (),
    ) -> None:
        self.tables = tables
        self.counted: list[Event] = []
        self.losers: list[Loser] = []
        self._types = types
        self._projectors = projectors
        self._known_losers = frozenset(losers)

    def take(self, item: Projected, now_us: int) -> None:
        """Take one line, unless its place was taken before; `release` then tries what waited for it."""
        tables = self.tables
        place = Place(tables.writer(item.writer, item.daemon), item.sequence, item.daemon)
        if item.sequence in tables.taken(place.writer):
            return
        self._settle(place, item.event, item.line, self._judge(place, item, now_us))
        tables.take(place)

    def refuse(self, writer: str, daemon: str, sequence: int, line: bytes, why: str) -> None:
        """Keep a line that is no event, or not one of the shape its type asks for."""
        place = Place(self.tables.writer(writer, daemon), sequence, daemon)
        if sequence not in self.tables.taken(place.writer):
            self.tables.hold(place, "", Held("refused", "", why), line)
            self.tables.take(place)

    def release(self) -> None:
        """Try again what waited for what became known."""
        while self.tables.released:
            kind, subject = self.tables.released.pop()
            self.retry(kind, subject)

    def retry(self, kind: HeldKind, subject: str) -> None:
        """Try again every held line of a kind and subject, by event id."""
        rows = self.tables.db.execute(
            "SELECT h.writer, h.sequence, d.daemon_id, h.line, h.ulid FROM held h JOIN writer w ON w.id = h.writer"
            " JOIN daemon d ON d.id = w.daemon WHERE h.kind = ? AND h.subject = ?"
            " ORDER BY h.ulid, w.writer, h.sequence",
            (kind, subject),
        ).fetchall()
        for writer, sequence, daemon, line, ulid in rows:
            place = Place(writer, sequence, daemon)
            verdict = self._apply(place, self._types.decode(line), line_hash(line, sequence))
            if isinstance(verdict, Held) and (verdict.kind, verdict.subject) == (kind, subject):
                self.tables.hold(place, ulid, verdict, line)  # still, perhaps for another reason
                continue
            self.tables.db.execute(
                "DELETE FROM held WHERE kind = ? AND subject = ? AND writer = ? AND sequence = ?",
                (kind, subject, writer, sequence),
            )
            self.tables.touched.add(writer)
            if isinstance(verdict, Held):
                self.tables.hold(place, ulid, verdict, line)

    def _judge(self, place: Place, item: Projected, now_us: int) -> Verdict:
        event = item.event
        if isinstance(event, UnknownEvent):
            event_id, origin = event.head.event_id, event.head.origin_daemon
        else:
            event_id, origin = event.event_id, event.origin_daemon
        if not event_id.startswith("evt_") or not ids.is_ulid(event_id[4:]):
            return Held("refused", "", "its event id is none")
        if origin != item.daemon:
            return Held("refused", "", f"written by {item.daemon} as {origin}")
        hash_ = line_hash(item.line, item.sequence)
        beaten = self._compare(event_id[4:], hash_, event)
        if beaten is not None:
            return beaten
        if ids.ulid_ms(event_id[4:]) > now_us // 1000 + ids.MAX_AHEAD_MS:
            return Held("ahead", event_id[4:], "its clock is more than a day ahead")
        return self._apply(place, event, hash_)

    def _compare(self, ulid: str, hash_: bytes, event: Event | UnknownEvent) -> Held | None:
        """Whether another line with this id counts instead."""
        db = self.tables.db
        held = Held("conflict", ulid, "another line has its event id")
        if (ulid, hash_) in self._known_losers:
            return held
        seen = db.execute("SELECT hash FROM event_seen WHERE ulid = ?", (ulid,)).fetchone()
        if seen is None:
            key = self.tables.message_key(ulid)
            if key is not None:
                seen = db.execute("SELECT hash FROM message WHERE id = ?", (key,)).fetchone()
        if seen is None:
            if not isinstance(event, MessageCreate):
                db.execute("INSERT INTO event_seen VALUES (?, ?)", (ulid, hash_))
            return None
        if seen[0] == hash_ or self._is_tombstone(event):
            return None
        if seen[0] is None or hash_ < seen[0]:
            self.losers.append((ulid, seen[0] or b""))
        return held

    def _is_tombstone(self, event: Event | UnknownEvent) -> bool:
        """Whether a line lost its text, and only that, to a deletion that counts here: it is the same event."""
        if isinstance(event, MessageCreate):
            ulid = event.ulid
        elif isinstance(event, MessageEdit):
            ulid = ids.bare(event.message_id)
        else:
            return False
        if event.body.content or event.body.structured is not None:
            return False
        key = self.tables.message_key(ulid)
        return (
            self.tables.db.execute(
                "SELECT 1 FROM message WHERE id = ? AND deleted_us IS NOT NULL", (key,)
            ).fetchone()
            is not None
        )

    def _apply(self, place: Place, event: Event | UnknownEvent, hash_: bytes) -> Verdict:
        """Let the rule of its type work on an event; what a failing rule did is undone."""
        if isinstance(event, UnknownEvent):
            return Held("type", event.head.type, f"version {event.head.v}")
        db = self.tables.db
        db.execute("SAVEPOINT event")
        try:
            verdict = self._rule(place, event, hash_)
        except (ValueError, OverflowError, sqlite3.IntegrityError) as error:
            db.execute("ROLLBACK TO event")
            self.tables.forget()
            verdict = Held("refused", "", str(error))
        db.execute("RELEASE event")
        if verdict is None:
            self.counted.append(event)
        return verdict

    def _rule(self, place: Place, event: Event, hash_: bytes) -> Verdict:
        if isinstance(event, MessageCreate):
            verdict = messages.create(self.tables, place, event, hash_)
        elif (rule := RULES.get(type(event))) is not None:
            verdict = rule(self.tables, place, event)
        else:
            verdict = None
        plugin_rule = self._projectors.get(type(event))
        if verdict is None and plugin_rule is not None:
            self.run_plugin(plugin_rule, event)
        return verdict

    def run_plugin(self, rule: PluginRule, event: Event) -> None:
        """A plugin's fault costs the plugin its row, nobody else anything."""
        self.tables.db.execute("SAVEPOINT plugin")
        try:
            rule(self.tables.db, event)
        except Exception:  # noqa: BLE001 - isolates the projection from a plugin
            _log.exception("projector of %s failed on %s", event.type, event.event_id)
            self.tables.db.execute("ROLLBACK TO plugin")
        self.tables.db.execute("RELEASE plugin")

    def _settle(self, place: Place, event: Event | UnknownEvent, line: bytes, verdict: Verdict) -> None:
        """Keep a line that does not count, unless a purge took what it is about."""
        if not isinstance(verdict, Held) or is_before(line, self.tables.cutoff_us):
            return
        event_id = event.head.event_id if isinstance(event, UnknownEvent) else event.event_id
        ulid = event_id[4:]
        self.tables.hold(place, ulid, verdict, line)
        if isinstance(event, MessageCreate) and verdict.kind != "conflict" and ids.is_ulid(ulid):
            self.tables.db.execute(
                "INSERT INTO event_seen VALUES (?, ?) ON CONFLICT DO NOTHING",
                (ulid, line_hash(line, place.sequence)),
            )

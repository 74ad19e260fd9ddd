"""Loads a whole log into tables without indexes, fast.

Messages by known agents, nearly all of a log, are decoded to a struct with just the fields the tables need and
inserted in sorted batches. Every other line goes through `Intake`: agents, sessions and groups at once, edits,
deletions and whatever else needs the messages to be there when the indexes are built.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from thrum_kernel import ids
from thrum_kernel.clock import parse_us
from thrum_kernel.events import EventTypes, UnknownEvent
from thrum_kernel.events.core import (
    AgentRef,
    MessageCreate,
    MessageDelete,
    MessageEdit,
    MessageReceipt,
)
from thrum_kernel.projection.intake import Intake, PluginRule
from thrum_kernel.projection.marks import MarkIndex
from thrum_kernel.projection.rules.messages import format_code, structured_text
from thrum_kernel.projection.schema import ASSERTED, AUDIENCE, DISCLOSED, PRIORITIES, REF, SCOPE
from thrum_kernel.projection.tables import Held, LogLine, Projected, Tables

FLUSH_AT = 8192
"""Messages that are inserted at once."""

_MESSAGE = (
    "INSERT OR IGNORE INTO message (id, ulid, author, session, created_us, format, body, structured, thread, reply_to,"
    " priority, flags, authored_by, writer, sequence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_DELIVERY = "INSERT INTO delivery (message, agent, via, read_us, seen_us) VALUES (?, ?, ?, ?, ?)"
_LABEL = "INSERT INTO message_label (message, label) VALUES (?, ?)"

_HEAD = b'{"type":"message.create","event_id":"evt_'


class _Label(msgspec.Struct, gc=False):
    type: str
    value: str


class _Recipient(msgspec.Struct, gc=False, array_like=True):
    name: str
    daemon: str
    incarnation: str
    via: str = "agent"


class _Body(msgspec.Struct, gc=False):
    content: str
    format: str = "markdown"
    structured: Any = None


class _Create(msgspec.Struct, gc=False):
    """`core.MessageCreate` without what the tables do not hold; must stay in step with it."""

    event_id: str
    timestamp: str
    origin_daemon: str
    agent_id: str
    incarnation: str
    body: _Body
    v: int = 1
    asserted: bool = False
    session_id: str = ""
    recipients: list[_Recipient] = []
    audience: list[_Label] = []
    scopes: list[_Label] = []
    refs: list[_Label] = []
    thread_id: str = ""
    reply_to: str = ""
    priority: Literal["low", "normal", "high"] = "normal"
    authored_by: str = ""
    disclosed: bool = False


class _Row(NamedTuple):
    """A message on its way in, with the line it came from."""

    values: tuple[Any, ...]
    deliveries: list[tuple[Any, ...]]
    labels: list[tuple[int, int]]
    line: LogLine


def _key(row: _Row) -> int:
    key: int = row.values[0]
    return key


_decode = msgspec.json.Decoder(_Create).decode
_PRIORITY = {name: code for code, name in enumerate(PRIORITIES)}


class Loader:
    """Takes batches of lines, events before messages where possible; `finish` leaves what is to be done later.

    Attributes:
        later: lines that need all messages to be there.
        contested: ULIDs of messages that came with a second line.
    """

    def __init__(
        self,
        tables: Tables,
        intake: Intake,
        types: EventTypes,
        *,
        projectors: Mapping[type[Any], PluginRule],
        losers: frozenset[str],
        now_us: int,
        until: str | None,
    ) -> None:
        self.later: list[Projected] = []
        self.contested: set[str] = set()
        self._tables = tables
        self._db: sqlite3.Connection = tables.db
        self._intake = intake
        self._types = types
        self._message_rule = projectors.get(MessageCreate)
        self._losers = losers
        self._now_us = now_us
        self._until = until
        ahead = ids.encode_ulid((now_us // 1000 + ids.MAX_AHEAD_MS + 1) << 80)
        self._limit = min(until, ahead) if until is not None else ahead
        self._index = MarkIndex()
        tables.mark_sink = self._index.add
        self._rows: list[_Row] = []
        self._highest = -1
        self._has_messages = False
        self._others: set[str] = set()  # ids of events that are no messages
        self._sequences: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        self._authors: dict[tuple[str, str, str], int] = {}
        self._recipients: dict[tuple[str, str, str], int] = {}
        self._minutes: dict[str, int] = {}

    def add(self, batch: Sequence[LogLine]) -> None:
        """Take lines."""
        for line in batch:
            if line[3].startswith(_HEAD):
                row = self._row(line)
                if row is not None:
                    self._rows.append(row)
                    continue
            self._take(line)
        if len(self._rows) >= FLUSH_AT:
            self.flush()

    def _row(self, line: LogLine) -> _Row | None:
        """The rows of an ordinary message; None for one that has to go through the intake."""
        writer_id, daemon, sequence, data = line
        try:
            event = _decode(data)
            ulid = event.event_id[4:]
            created_us = self._time(event.timestamp)
        except (msgspec.MsgspecError, ValueError):
            return None
        if event.v != 1 or event.origin_daemon != daemon or ulid > self._limit or not ids.is_ulid(ulid):
            return None
        author = self._authors.get((event.agent_id, event.incarnation, daemon)) or self._author(event, daemon)
        if not author or created_us < self._tables.cutoff_us or ulid in self._losers:
            return None
        tables = self._tables
        key = ids.ulid_key(ulid)
        writer = tables.writer(writer_id, daemon)
        body = event.body
        reply_to = event.reply_to
        values = (
            key,
            ulid,
            author,
            tables.session(event.session_id, author) if event.session_id else None,
            created_us,
            format_code(body.format),
            body.content,
            structured_text(body.structured),
            tables.thread(event.thread_id) if event.thread_id else None,
            ids.bare(reply_to) if reply_to else None,
            _PRIORITY[event.priority],
            DISCLOSED * event.disclosed | ASSERTED * event.asserted,
            event.authored_by or None,
            writer,
            sequence,
        )
        return _Row(
            values, self._deliveries(event, key, author, writer, sequence), self._labels(event, key), line
        )

    def _time(self, timestamp: str) -> int:
        """`parse_us`, quicker for the one form that we write: the minute is looked up."""
        minute = self._minutes.get(timestamp[:17])
        if minute is None or len(timestamp) != 27 or timestamp[19] != "." or timestamp[26] != "Z":
            us = parse_us(timestamp)
            if len(timestamp) == 27 and timestamp[26] == "Z":
                self._minutes[timestamp[:17]] = us - us % 60_000_000
            return us
        digits = timestamp[17:19] + timestamp[20:26]
        if not digits.isdecimal() or digits >= "60":
            return parse_us(timestamp)
        return minute + int(digits)

    def _author(self, event: _Create, daemon: str) -> int:
        """Key of an agent that may write from *daemon*, 0 for one that may not, or only in the open."""
        if event.disclosed:
            return 0
        agent = self._tables.author(event.agent_id, event.incarnation, daemon)
        if isinstance(agent, Held):
            return 0
        self._authors[(event.agent_id, event.incarnation, daemon)] = agent.key
        return agent.key

    def _deliveries(
        self, event: _Create, key: int, author: int, writer: int, sequence: int
    ) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for recipient in event.recipients:
            name = (recipient.incarnation, recipient.name, recipient.daemon)
            agent = self._recipients.get(name)
            if agent is None:
                ref = AgentRef(recipient.name, recipient.daemon, recipient.incarnation)
                agent = self._recipients[name] = self._tables.agent(ref).key
            read_us = seen_us = self._time(event.timestamp) if agent == author else None
            if self._index:
                read_us, seen_us = self._marked(read_us, writer, agent, sequence)
            via = recipient.via
            rows.append((key, agent, 0 if via == "agent" else self._tables.via(via), read_us, seen_us))
        if len(rows) > 1 and len({row[1] for row in rows}) < len(rows):
            return list({row[1]: row for row in reversed(rows)}.values())
        return rows

    def _marked(
        self, own_us: int | None, writer: int, agent: int, sequence: int
    ) -> tuple[int | None, int | None]:
        """Read and seen by receipts and by having written it; the earliest holds."""
        read_us, seen_us = self._index.times(writer, agent, sequence)
        if own_us is not None:
            read_us = own_us if read_us is None else min(own_us, read_us)
            seen_us = own_us if seen_us is None else min(own_us, seen_us)
        return read_us, seen_us

    def _labels(self, event: _Create, key: int) -> list[tuple[int, int]]:
        label = self._tables.label
        keys = [label(AUDIENCE, item.type, item.value) for item in event.audience]
        keys += [label(SCOPE, item.type, item.value) for item in event.scopes]
        keys += [label(REF, item.type, item.value) for item in event.refs]
        if len(keys) > 1:
            keys = list(dict.fromkeys(keys))
        return [(key, found) for found in keys]

    def _take(self, line: LogLine) -> None:
        """A line that is no ordinary message."""
        writer, daemon, sequence, data = line
        try:
            event = self._types.decode(data)
        except msgspec.MsgspecError as error:
            self._intake.refuse(writer, daemon, sequence, data, str(error))
            return
        event_id = event.head.event_id if isinstance(event, UnknownEvent) else event.event_id
        if self._until is not None and event_id[4:] > self._until:
            return
        if not isinstance(event, MessageCreate):
            self._others.add(event_id[4:])
        item = Projected(writer, daemon, sequence, event, data)
        is_late = isinstance(event, MessageReceipt) and self._has_messages
        if is_late or isinstance(event, MessageCreate | MessageEdit | MessageDelete):
            self.later.append(item)
        else:
            self._intake.take(item, self._now_us)

    def flush(self) -> None:
        """Insert what was gathered."""
        rows = sorted(self._rows, key=_key)
        self._rows = []
        if not rows:
            return
        if not self._others.isdisjoint(row.values[1] for row in rows):
            self._postpone([row for row in rows if row.values[1] in self._others])
            rows = [row for row in rows if row.values[1] not in self._others]
        self._has_messages = True
        cursor = self._db.executemany(_MESSAGE, [row.values for row in rows])
        if cursor.rowcount < len(rows):
            rows = self._without_doubles(rows)
        self._db.executemany(_DELIVERY, [delivery for row in rows for delivery in row.deliveries])
        self._db.executemany(_LABEL, [label for row in rows for label in row.labels])
        for row in rows:
            self._sequences[row.values[13]].append(row.values[14])
        if self._message_rule is not None:
            for row in rows:
                event = self._types.decode(row.line[3])
                assert isinstance(event, MessageCreate)
                self._intake.run_plugin(self._message_rule, event)

    def _without_doubles(self, rows: list[_Row]) -> list[_Row]:
        """The rows that were inserted; the others had a key that was taken and wait for the indexes."""
        kept: list[_Row] = []
        for row in rows:
            found = self._db.execute(
                "SELECT ulid, writer, sequence FROM message WHERE id = ?", (row.values[0],)
            ).fetchone()
            if found == (row.values[1], row.values[13], row.values[14]) and not (
                kept and kept[-1].values[0] == row.values[0]
            ):
                kept.append(row)
                continue
            if found is not None and found[0] == row.values[1]:
                self.contested.add(found[0])
            self._postpone([row])
        return kept

    def _postpone(self, rows: list[_Row]) -> None:
        for row in rows:
            writer, daemon, sequence, line = row.line
            self.later.append(Projected(writer, daemon, sequence, self._types.decode(line), line))

    def finish(self) -> None:
        """Insert the rest and note the places taken."""
        self.flush()
        self._tables.mark_sink = None
        for writer, sequences in self._sequences.items():
            self._tables.take_many(writer, sequences)
        self._sequences.clear()

"""Loads a whole log into tables without indexes, fast.

Messages by known agents, nearly all of a log, are decoded to a struct with just the fields the tables need and
inserted in sorted batches. Every other line goes through `Intake`: agents, sessions and groups at once, edits,
deletions and whatever else needs the messages to be there when the indexes are built.
"""

from __future__ import annotations

import contextlib
import gc
import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, TypeAlias

import msgspec

from thrum_kernel import ids
from thrum_kernel.clock import parse_us
from thrum_kernel.events import EventTypes, UnknownEvent
from thrum_kernel.events.core import (
    AgentRef,
    Label,
    MessageCreate,
    MessageDelete,
    MessageEdit,
    MessageReceipt,
    Recipient,
)
from thrum_kernel.jsonlines import decoder
from thrum_kernel.projection.intake import Intake, PluginRule
from thrum_kernel.projection.marks import MarkIndex
from thrum_kernel.projection.rules.messages import attached, structured_text
from thrum_kernel.projection.schema import ASSERTED, FORMATS, PRIORITIES
from thrum_kernel.projection.tables import Held, LogLine, Projected, Tables

FLUSH_AT = 2048
"""Messages that are inserted at once."""

# sqlite3 looks for an adapter for every None it binds, which costs more than the rest of the row: nulls come as 0 or "".
_MESSAGE = (
    "INSERT OR IGNORE INTO message (id, ulid, author, session, created_us, format, body, structured, thread, reply_to,"
    " priority, flags, authored_by, attached, writer, sequence) VALUES (?, ?, ?, nullif(?, 0), ?, ?, ?, nullif(?, ''),"
    " nullif(?, 0), nullif(?, ''), ?, ?, nullif(?, ''), nullif(?, 0), ?, ?)"
)
_DELIVERY = "INSERT INTO delivery (message, agent, via, read_us, seen_us) VALUES (?, ?, ?, nullif(?, 0), nullif(?, 0))"

_HEAD = b'{"type":"message.create","event_id":"evt_'

_KEPT_LISTS = 65536
"""So many different lists of recipients and labels are remembered."""


class _Body(msgspec.Struct, gc=False):
    content: str
    format: str = "markdown"
    structured: Any = None


_NOTHING = msgspec.Raw(b"[]")


class _Create(msgspec.Struct, gc=False):
    """`core.MessageCreate` without what the tables do not hold; must stay in step with it.

    Lists are left as they are: most messages have the same few, whose keys are then found by their bytes.
    """

    event_id: str
    timestamp: str
    origin_daemon: str
    agent_id: str
    incarnation: str
    body: _Body
    v: int = 1
    asserted: bool = False
    session_id: str = ""
    recipients: msgspec.Raw = _NOTHING
    audience: msgspec.Raw = _NOTHING
    scopes: msgspec.Raw = _NOTHING
    refs: msgspec.Raw = _NOTHING
    thread_id: str = ""
    reply_to: str = ""
    priority: Literal["low", "normal", "high"] = "normal"
    authored_by: str = ""
    disclosed: bool = False


_decode = decoder(_Create)
_decode_recipients = decoder(list[Recipient])
_decode_labels = decoder(list[Label])
_PRIORITY = {name: code for code, name in enumerate(PRIORITIES)}
_FORMAT = {name: code for code, name in enumerate(FORMATS)}

_NOBODY = ("", "", 0)

_Values: TypeAlias = tuple[Any, ...]
"""A row of ``message``: key, ULID, …, writer, sequence."""


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Spare the garbage collector a look at a batch of rows that live for milliseconds and hold no cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _least(told_us: int | None, own_us: int) -> int:
    """The earlier of two times, of which one may be missing (None, 0); 0 when both are."""
    if told_us is None or not own_us:
        return told_us or own_us
    return min(told_us, own_us)


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
        self._rows: list[_Values] = []
        self._deliveries: list[tuple[Any, ...]] = []
        self._lines: dict[int, LogLine] = {}
        self._has_messages = False
        self._others: set[str] = set()  # ids of events that are no messages
        self._places: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        self._is_marked = False
        self._cutoff_us = 0
        self._authors: dict[str, tuple[str, str, int]] = {}
        self._writers: dict[str, int] = {}
        self._sessions: dict[tuple[str, int], int] = {}
        self._recipients: dict[bytes, list[tuple[int, int]]] = {}
        self._attached: dict[bytes, int] = {}

    def add(self, batch: Sequence[LogLine]) -> None:
        """Take lines."""
        with _no_collection():
            for line in batch:
                if not line[3].startswith(_HEAD) or not self._gather(line):
                    self._take(line)
            if len(self._rows) >= FLUSH_AT:
                self.flush()

    def _gather(self, line: LogLine) -> bool:
        """Note the rows of an ordinary message; False for one that has to go through the intake.

        A rebuild spends its time here, so it is one function and looks everything up once.
        """
        writer_id, daemon, sequence, data = line
        try:
            event = _decode(data)
            ulid = event.event_id[4:]
            key = ids.checked_key(ulid)
            created_us = parse_us(event.timestamp)
        except (msgspec.MsgspecError, ValueError):
            return False
        if event.v != 1 or event.disclosed or event.origin_daemon != daemon or ulid > self._limit:
            return False
        name, owner, author = self._authors.get(event.incarnation, _NOBODY)
        if name != event.agent_id or owner != daemon:
            author = self._author(event, daemon)
        if not author or created_us < self._cutoff_us or ulid in self._losers:
            return False
        to, labels = bytes(event.recipients), b"".join((event.audience, event.scopes, event.refs))
        try:
            agents = self._recipients[to] if to in self._recipients else self._agents_of(event)
            attached = self._attached[labels] if labels in self._attached else self._attach(event)
        except msgspec.MsgspecError:
            return False
        if key in self._lines:
            if ulid in self._lines[key][3][:80].decode(errors="replace"):
                self.contested.add(ulid)
            self._postpone(line)
            return True
        body = event.body
        writer = self._writers.get(writer_id) or self._writer(writer_id, daemon)
        session = event.session_id and (
            self._sessions.get((event.session_id, author)) or self._session(event, author)
        )
        self._rows.append(
            (
                key,
                ulid,
                author,
                session or 0,
                created_us,
                _FORMAT.get(body.format, 1),
                body.content,
                structured_text(body.structured) or "" if body.structured is not None else "",
                self._tables.thread(event.thread_id) if event.thread_id else 0,
                ids.bare(event.reply_to) if event.reply_to else "",
                _PRIORITY[event.priority],
                ASSERTED if event.asserted else 0,
                event.authored_by,
                attached,
                writer,
                sequence,
            )
        )
        for agent, via in agents:
            own_us = created_us if agent == author else 0
            if self._is_marked:
                read_us, seen_us = self._index.times(writer, agent, sequence)
                self._deliveries.append((key, agent, via, _least(read_us, own_us), _least(seen_us, own_us)))
            else:
                self._deliveries.append((key, agent, via, own_us, own_us))
        self._lines[key] = line
        self._has_messages = True
        return True

    def _author(self, event: _Create, daemon: str) -> int:
        """Key of an agent that may write from *daemon*, 0 for one that may not."""
        agent = self._tables.author(event.agent_id, event.incarnation, daemon)
        if isinstance(agent, Held):
            return 0
        self._authors[event.incarnation] = (event.agent_id, daemon, agent.key)
        return agent.key

    def _writer(self, writer_id: str, daemon: str) -> int:
        key = self._writers[writer_id] = self._tables.writer(writer_id, daemon)
        return key

    def _session(self, event: _Create, author: int) -> int:
        key = self._sessions[event.session_id, author] = self._tables.session(event.session_id, author)
        return key

    def _agents_of(self, event: _Create) -> list[tuple[int, int]]:
        """Keys of the recipients, each once, and of how they were addressed."""
        found: dict[int, int] = {}
        for recipient in _decode_recipients(event.recipients):
            agent = self._tables.agent(AgentRef(recipient.name, recipient.daemon, recipient.incarnation))
            found.setdefault(agent.key, self._tables.via(recipient.via))
        if len(self._recipients) >= _KEPT_LISTS:
            self._recipients.clear()
        self._recipients[bytes(event.recipients)] = keys = list(found.items())
        return keys

    def _attach(self, event: _Create) -> int:
        """Key of the set of labels, 0 for none."""
        scopes, refs = _decode_labels(event.scopes), _decode_labels(event.refs)
        key = attached(self._tables, scopes, refs, _decode_labels(event.audience)) or 0
        if len(self._attached) >= _KEPT_LISTS:
            self._attached.clear()
        self._attached[b"".join((event.audience, event.scopes, event.refs))] = key
        return key

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
            self._is_marked, self._cutoff_us = bool(self._index), self._tables.cutoff_us

    def flush(self) -> None:
        """Insert what was gathered."""
        rows, deliveries, lines = self._rows, self._deliveries, self._lines
        self._rows, self._deliveries, self._lines = [], [], {}
        if not rows:
            return
        rows.sort(key=itemgetter(0))
        doubled = {row[0] for row in rows if row[1] in self._others} if self._others else set()
        if doubled:
            rows = [row for row in rows if row[0] not in doubled]
        if rows:
            self._tables.note_newest(rows[-1][1])
        if self._db.executemany(_MESSAGE, rows).rowcount < len(rows):
            doubled |= self._ignored(rows)
        for key in doubled:
            self._postpone(lines.pop(key))
        if doubled:
            rows = [row for row in rows if row[0] not in doubled]
            deliveries = [row for row in deliveries if row[0] not in doubled]
        deliveries.sort(key=itemgetter(0))
        self._db.executemany(_DELIVERY, deliveries)
        for writer, written in groupby(rows, itemgetter(14)):
            self._places[writer].extend([row[15] for row in written])
        if self._message_rule is not None:
            for row in rows:
                self._run_message_rule(self._message_rule, lines[row[0]])

    def _ignored(self, rows: list[_Values]) -> set[int]:
        """Keys of the rows that were not inserted, since their key was taken in an earlier batch."""
        ignored = set()
        for row in rows:
            found = self._db.execute(
                "SELECT ulid, writer, sequence FROM message WHERE id = ?", row[:1]
            ).fetchone()
            if found == (row[1], row[14], row[15]) and row[15] not in self._places[row[14]]:
                continue
            ignored.add(row[0])
            if found[0] == row[1]:
                self.contested.add(found[0])
        return ignored

    def _postpone(self, line: LogLine) -> None:
        writer, daemon, sequence, data = line
        self.later.append(Projected(writer, daemon, sequence, self._types.decode(data), data))

    def _run_message_rule(self, rule: PluginRule, line: LogLine) -> None:
        event = self._types.decode(line[3])
        assert isinstance(event, MessageCreate)
        self._intake.run_plugin(rule, event)

    def finish(self) -> None:
        """Insert the rest and note the places taken."""
        self.flush()
        self._tables.mark_sink = None
        for writer, sequences in self._places.items():
            self._tables.take_many(writer, sequences)
        self._places.clear()

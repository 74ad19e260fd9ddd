"""A log to project, made line by line, and what a cache says when it is read aloud."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from thrum_kernel.clock import format_us
from thrum_kernel.events import Event, EventTypes, core
from thrum_kernel.ids import encode_ulid, event_id, is_ulid
from thrum_kernel.projection import views
from thrum_kernel.projection.apply import Projected, Projector
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.tables import LogLine

START_US = 1_780_000_000_000_000
NOW_US = START_US + 3600 * 1_000_000
DAY_US = 24 * 3600 * 1_000_000


class FixedClock:
    """Always the same time, or the one it is set to."""

    def __init__(self, now_us: int = NOW_US) -> None:
        self.us = now_us

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / 1e6


def core_types() -> EventTypes:
    return EventTypes(core.CORE_EVENT_TYPES)


class LogMaker:
    """Makes events of several daemons; each event is one millisecond after the one before, unless told otherwise."""

    def __init__(self) -> None:
        self.types = core_types()
        self.lines: list[LogLine] = []
        self._made = 0
        self._sequences: dict[str, int] = {}

    def ulid(self, *, ms: int | None = None, tail: int | None = None) -> str:
        """The next ULID; equal *ms* and tails below 2^58 share a key."""
        self._made += 1
        at = START_US // 1000 + self._made if ms is None else ms
        return encode_ulid(at << 80 | (self._made if tail is None else tail))

    def add(
        self,
        cls: type[Event],
        *,
        daemon: str = "d_A",
        writer: str = "",
        ulid: str = "",
        at_us: int | None = None,
        **fields: Any,
    ) -> Any:
        """An event in the log of a daemon; gives the event."""
        ulid = ulid or self.ulid()
        event = cls(
            event_id=event_id(ulid),
            timestamp=format_us(START_US + self._made * 1000 if at_us is None else at_us),
            origin_daemon=daemon,
            **fields,
        )
        self.put(event, daemon=daemon, writer=writer)
        return event

    def put(self, event: Event, *, daemon: str, writer: str = "") -> LogLine:
        """A line for *event* at the next place of a writer."""
        writer = writer or f"W{daemon[2:]}"
        event.sequence = self._sequences[writer] = self._sequences.get(writer, 0) + 1
        line = (writer, daemon, event.sequence, self.types.encode(event))
        self.lines.append(line)
        return line

    def put_raw(self, line: bytes, *, daemon: str, writer: str = "") -> LogLine:
        """Bytes at the next place of a writer; ``%d`` in them becomes the sequence."""
        writer = writer or f"W{daemon[2:]}"
        sequence = self._sequences[writer] = self._sequences.get(writer, 0) + 1
        made = (writer, daemon, sequence, line.replace(b"%d", str(sequence).encode()))
        self.lines.append(made)
        return made

    def agent(self, name: str, *, daemon: str = "d_A", role: str = "tester", **fields: Any) -> core.AgentRef:
        """A registered agent."""
        event = self.add(core.AgentRegister, daemon=daemon, agent_id=name, role=role, module="m", **fields)
        return core.AgentRef(name, daemon, event.ulid)

    def message(
        self, author: core.AgentRef, to: Iterable[core.AgentRef] = (), text: str = "hello", **fields: Any
    ) -> core.MessageCreate:
        """A message, written on the author's daemon."""
        recipients = [core.Recipient(ref.name, ref.daemon, ref.incarnation) for ref in to]
        fields.setdefault("daemon", author.daemon)
        fields.setdefault("audience", [core.Label("agent", ref.name) for ref in recipients])
        return self.add(
            core.MessageCreate,
            agent_id=author.name,
            incarnation=author.incarnation,
            body=core.Body(content=text),
            recipients=recipients,
            **fields,
        )

    def edit(self, message: core.MessageCreate, text: str, **fields: Any) -> core.MessageEdit:
        """New text by the message's author."""
        return self._about(core.MessageEdit, message, body=core.Body(content=text), **fields)

    def delete(self, message: core.MessageCreate, **fields: Any) -> core.MessageDelete:
        """The message's author deletes it."""
        return self._about(core.MessageDelete, message, **fields)

    def _about(self, cls: type[Event], message: core.MessageCreate, **fields: Any) -> Any:
        author = core.AgentRef(message.agent_id, message.origin_daemon, message.incarnation)
        fields.setdefault("daemon", message.origin_daemon)
        fields.setdefault("agent_id", author.name)
        fields.setdefault("incarnation", author.incarnation)
        fields.setdefault("subject", core.Subject(timestamp=message.timestamp, author=author))
        return self.add(cls, message_id=f"msg_{message.ulid}", **fields)

    def receipt(
        self,
        reader: core.AgentRef,
        writer: str,
        ranges: list[tuple[int, int]],
        kind: Any = "read",
        **fields: Any,
    ) -> core.MessageReceipt:
        """A receipt of one reader over places of one writer."""
        fields.setdefault("daemon", reader.daemon)
        at_us = fields.pop("read_us", START_US + 5_000_000)
        mark = core.ReceiptMark(reader=reader, kind=kind, at=format_us(at_us), writer=writer, ranges=ranges)
        return self.add(core.MessageReceipt, marks=[mark], **fields)

    def batches(self, lines: Iterable[LogLine] | None = None) -> list[list[LogLine]]:
        """The lines as the store reads them: events before messages."""
        chosen = list(self.lines if lines is None else lines)
        is_message = [
            line[3].startswith(b'{"type":"message.') and b"message.receipt" not in line[3][:30]
            for line in chosen
        ]
        events = [line for line, flag in zip(chosen, is_message, strict=True) if not flag]
        return [events, [line for line, flag in zip(chosen, is_message, strict=True) if flag]]


def projected(types: EventTypes, line: LogLine) -> Projected:
    """One line, decoded."""
    writer, daemon, sequence, data = line
    return Projected(writer, daemon, sequence, types.decode(data), data)


def project(path: Path, lines: Iterable[LogLine], **options: Any) -> Cache:
    """A cache with *lines* projected one by one."""
    cache = Cache(path)
    projector = Projector(cache, core_types(), clock=options.pop("clock", FixedClock()), **options)
    for line in lines:
        projector.apply_lines([line])
    return cache


def aloud(cache: Cache) -> dict[str, list[Any]]:
    """Everything that a cache says, without the integer keys that differ from build to build."""
    said: dict[str, list[Any]] = {}
    for name in views.NAMES:
        said[name] = sorted(cache.read(f"SELECT * FROM {name}"), key=repr)
    said["in key order"] = [row[0] for row in cache.read("SELECT ulid FROM message ORDER BY id")]
    said["inboxes"] = cache.read(
        "SELECT a.incarnation, t.total, t.unread FROM tally t JOIN agent a ON a.id = t.agent WHERE t.total > 0 ORDER BY 1"
    )
    said["counted"] = cache.read(
        "SELECT a.incarnation, count(*), sum(d.read_us IS NULL AND d.hidden = 0) FROM delivery d"
        " JOIN agent a ON a.id = d.agent GROUP BY 1 ORDER BY 1"
    )
    said["held"] = sorted(
        cache.read("SELECT h.kind, w.writer, h.sequence, h.note FROM held h JOIN writer w ON w.id = h.writer")
    )
    said["taken"] = cache.read(
        "SELECT w.writer, p.first, p.last FROM projected p JOIN writer w ON w.id = p.writer ORDER BY 1, 2"
    )
    said["places"] = sorted(
        cache.read(
            "SELECT m.ulid, w.writer, m.sequence FROM message m JOIN writer w ON w.id = m.writer"
            " UNION ALL SELECT p.ulid, w.writer, p.sequence FROM message_place p JOIN writer w ON w.id = p.writer"
        )
    )
    said["sessions hidden"] = cache.read("SELECT session_id FROM session WHERE purged = 1 ORDER BY 1")
    return said


def rewritten(line: LogLine, **changes: Any) -> bytes:
    """The bytes of a line with some fields changed."""
    event = msgspec.json.decode(line[3])
    event.update(changes)
    return msgspec.json.encode(event)


def is_event_id(text: str) -> bool:
    return text.startswith("evt_") and is_ulid(text[4:])

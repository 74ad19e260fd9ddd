"""Reader of the reference's database, any version of it: it is the only full record that its last versions kept.

A copy is opened, never the file: opening a database makes files beside it. Columns that an older version lacks are
empty. Rows of tables that the log has no place for are kept, one JSON object each. Source: spec/kernel.md §3.
"""

from __future__ import annotations

import base64
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from thrum_kernel.jsonlines import decoder
from thrum_kernel.migrate import event_lines
from thrum_kernel.migrate.event_lines import time_of
from thrum_kernel.migrate.facts import (
    DAMAGED,
    ROW,
    Deletion,
    Edit,
    Group,
    Kept,
    Member,
    Message,
    Pair,
    Purge,
    Receipt,
    Record,
    Registration,
    SessionBegun,
    SessionEnded,
    Thread,
    Work,
)
from thrum_kernel.projection.schema import APPLICATION_ID

Row: TypeAlias = Mapping[str, Any]

_READ: Final = frozenset(
    {
        "messages",
        "message_scopes",
        "message_refs",
        "message_deliveries",
        "message_edits",
        "message_reads",
        "agents",
        "sessions",
        "agent_work_contexts",
        "groups",
        "group_members",
        "threads",
        "events",
        "schema_version",
    }
)
_DERIVED: Final = ("sqlite_", "memory_fts")
_LISTS: Final = ("unmerged_commits", "uncommitted_files", "changed_files", "file_changes")
_decode = decoder(object)


def is_reference(path: Path) -> bool:
    """Whether the file is a database, and not one of ours."""
    try:
        with path.open("rb") as file:
            header = file.read(72)
    except OSError:
        return False
    ours = APPLICATION_ID.to_bytes(4, "big")
    return header[:16] == b"SQLite format 3\x00" and header[68:72] != ours


def read(path: Path) -> Iterator[Record]:
    """The records of the database at *path*, which stays as it is.

    Raises:
        OSError: it cannot be copied.
        sqlite3.DatabaseError: it is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="thrum-migrate-") as folder:
        copy = Path(folder) / "messages.db"
        for suffix in ("", "-wal"):
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                shutil.copyfile(beside, copy.with_name(copy.name + suffix))
        with closing(sqlite3.connect(copy)) as db:
            db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            yield from _Database(db, str(path)).records()


class _Database:
    def __init__(self, db: sqlite3.Connection, source: str) -> None:
        self._db = db
        self._source = source
        self._authors: dict[str, str] = {}
        names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        self._tables = [name for (name,) in names if not name.startswith(_DERIVED)]

    def records(self) -> Iterator[Record]:
        for number, row in enumerate(self._rows("events"), 1):
            line = str(row["event_json"]).encode("utf-8", "surrogateescape")
            yield event_lines.one(line, f"{self._source}: events", number)
        yield from self._each("agents", self._agent)
        yield from self._each("sessions", self._session)
        yield from self._work()
        yield from self._each("groups", self._group)
        yield from self._each("group_members", self._member)
        yield from self._each("threads", self._thread)
        yield from self._messages()
        yield from self._each("message_edits", self._edit)
        yield from self._each("message_deliveries", self._delivery)
        yield from self._each("message_reads", self._read)
        yield from self._each("purge_metadata", self._purge)
        for table in self._tables:
            if table not in _READ and table != "purge_metadata":
                yield from (
                    self._kept(table, row, "the log has no place for it") for row in self._rows(table)
                )

    def _rows(self, table: str, order: str = "rowid") -> Iterator[Row]:
        if table not in self._tables:
            return
        cursor = self._db.cursor()
        try:
            cursor.execute(f'SELECT * FROM "{table}" ORDER BY {order}')
        except sqlite3.OperationalError:  # made without row ids
            cursor.execute(f'SELECT * FROM "{table}"')
        columns = [column[0] for column in cursor.description]
        for values in cursor:
            yield dict(zip(columns, values, strict=True))

    def _each(self, table: str, make: Any) -> Iterator[Record]:
        for row in self._rows(table):
            try:
                found = list(make(row))
            except (KeyError, ValueError, TypeError) as error:
                found = [self._kept(table, row, f"is not of its shape: {error!r}", kind=DAMAGED)]
            yield from found

    def _kept(self, table: str, row: Row, why: str, *, kind: str = "") -> Kept:
        plain = {key: _plain(value) for key, value in row.items()}
        raw = msgspec.json.encode({"table": table, "row": plain}, order="deterministic")
        return Kept(kind or table, f"{self._source}: {table}", 0, raw, why)

    # --- messages ----------------------------------------------------------------------------------------------------

    def _messages(self) -> Iterator[Record]:
        scopes, refs = self._pairs("message_scopes", "scope"), self._pairs("message_refs", "ref")
        deliveries: dict[str, set[str]] = defaultdict(set)
        for row in self._rows("message_deliveries"):
            deliveries[str(row["message_id"])].add(str(row["recipient_agent_id"]))
        originals: dict[str, tuple[str, str]] = {}
        for row in self._rows("message_edits", "edited_at, id"):
            was = (_text(row, "old_content"), _text(row, "old_structured"))
            originals.setdefault(str(row["message_id"]), was)
        has_deliveries = "message_deliveries" in self._tables

        def make(row: Row) -> Iterator[Record]:
            message, at = str(row["message_id"]), time_of(row["created_at"])
            self._authors[message] = str(row["agent_id"])
            content, structured = originals.get(
                message, (_text(row, "body_content"), _text(row, "body_structured"))
            )
            yield Message(
                at=at,
                rank=ROW,
                message_id=message,
                author=_required(row, "agent_id"),
                session=_text(row, "session_id"),
                content=content,
                format=_text(row, "body_format") or "markdown",
                structured=structured,
                recipients=frozenset(deliveries[message]) if has_deliveries else None,
                scopes=frozenset(scopes[message]),
                refs=frozenset(refs[message]),
                thread=_text(row, "thread_id"),
                authored_by=_text(row, "authored_by"),
                disclosed=bool(row.get("disclosed")),
                priority=_text(row, "priority"),
            )
            if row.get("deleted"):
                deleted = time_of(row["deleted_at"]) if row.get("deleted_at") else at
                yield Deletion(at=deleted, rank=ROW, message_id=message, reason=_text(row, "delete_reason"))

        yield from self._each("messages", make)

    def _pairs(self, table: str, prefix: str) -> dict[str, set[Pair]]:
        found: dict[str, set[Pair]] = defaultdict(set)
        for row in self._rows(table):
            found[str(row["message_id"])].add((str(row[f"{prefix}_type"]), str(row[f"{prefix}_value"])))
        return found

    def _edit(self, row: Row) -> Iterator[Record]:
        yield Edit(
            at=time_of(row["edited_at"]),
            rank=ROW,
            message_id=_required(row, "message_id"),
            session=_text(row, "edited_by"),
            content=_text(row, "new_content"),
            structured=_text(row, "new_structured"),
        )

    def _delivery(self, row: Row) -> Iterator[Record]:
        message, reader = _required(row, "message_id"), _required(row, "recipient_agent_id")
        if self._authors.get(message) == reader:
            return  # the reference notes that authors have read what they wrote
        seen, read_at = row.get("seen_at"), row.get("read_at")
        if read_at:
            yield Receipt(at=time_of(read_at), rank=ROW, message_id=message, reader=reader)
        if seen and seen != read_at:
            yield Receipt(at=time_of(seen), rank=ROW, message_id=message, reader=reader, kind="seen")

    def _read(self, row: Row) -> Iterator[Record]:
        message, reader = _required(row, "message_id"), _required(row, "agent_id")
        if self._authors.get(message) != reader:
            yield Receipt(at=time_of(row["read_at"]), rank=ROW, message_id=message, reader=reader)

    # --- the others --------------------------------------------------------------------------------------------------

    def _agent(self, row: Row) -> Iterator[Record]:
        yield Registration(
            at=time_of(row["registered_at"]),
            rank=ROW,
            agent=_required(row, "agent_id"),
            kind=_text(row, "kind") or "agent",
            role=_text(row, "role"),
            module=_text(row, "module"),
            display=_text(row, "display"),
            hostname=_text(row, "hostname"),
        )

    def _session(self, row: Row) -> Iterator[Record]:
        session = _required(row, "session_id")
        yield SessionBegun(
            at=time_of(row["started_at"]), rank=ROW, session=session, agent=_required(row, "agent_id")
        )
        if row.get("ended_at"):
            reason = _text(row, "end_reason") or "normal"
            yield SessionEnded(at=time_of(row["ended_at"]), rank=ROW, session=session, reason=reason)

    def _work(self) -> Iterator[Record]:
        def make(row: Row) -> Iterator[Record]:
            context = {key: value for key, value in row.items() if value not in (None, "", "[]")}
            for key in _LISTS:
                if key in context:
                    context[key] = _decode(str(context[key]).encode())
            times = [
                time_of(context[key])
                for key in ("git_updated_at", "task_updated_at", "intent_updated_at")
                if key in context
            ]
            if times:  # else it tells nothing that anybody noted
                yield Work(at=max(times), rank=ROW, agent=_required(row, "agent_id"), contexts=[context])

        yield from self._each("agent_work_contexts", make)

    def _group(self, row: Row) -> Iterator[Record]:
        yield Group(
            at=time_of(row["created_at"]),
            rank=ROW,
            group=_required(row, "group_id"),
            name=_required(row, "name"),
            description=_text(row, "description"),
            by=_text(row, "created_by"),
        )

    def _member(self, row: Row) -> Iterator[Record]:
        kind = str(row["member_type"])
        if kind not in ("agent", "role"):
            yield self._kept("group_members", row, f"a member of type {kind} has no place in the log")
            return
        yield Member(
            at=time_of(row["added_at"]),
            rank=ROW,
            group=_required(row, "group_id"),
            type=kind,
            value=_required(row, "member_value"),
            by=_text(row, "added_by"),
        )

    def _thread(self, row: Row) -> Iterator[Record]:
        yield Thread(
            at=time_of(row["created_at"]),
            rank=ROW,
            thread=_required(row, "thread_id"),
            title=_text(row, "title"),
            by=_text(row, "created_by"),
        )

    def _purge(self, row: Row) -> Iterator[Record]:
        if row["key"] != "purge_cutoff":
            yield self._kept("purge_metadata", row, "the log has no place for it")
            return
        cutoff = time_of(row["value"])
        yield Purge(at=cutoff, rank=ROW, cutoff=cutoff)


def _plain(value: object) -> object:
    """A value as JSON can hold it: bytes, and text that is no UTF-8, as base64."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            value = value.encode("utf-8", "surrogateescape")
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _text(row: Row, key: str) -> str:
    """A text of a row, empty where it has none. Raises ValueError when it is no UTF-8."""
    value = row.get(key)
    text = "" if value is None else str(value)
    text.encode()
    return text


def _required(row: Row, key: str) -> str:
    value = row[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is {value!r}")
    return value

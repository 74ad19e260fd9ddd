"""Messages by key: their text, recipients, labels, edits and places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from thrum_kernel import ids
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.queries.agents import AgentRow, agents_by_key
from thrum_kernel.projection.schema import (
    ASSERTED,
    AUDIENCE,
    DISCLOSED,
    FORMATS,
    MAX_KEY,
    PRIORITIES,
    REF,
    SCOPE,
)


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message as it is now.

    Attributes:
        key: its integer in the cache; orders like the ULID; never leaves the process.
        body: the text of the last edit; empty when deleted.
        structured: JSON text, or None.
        thread_id: empty when in none.
        reply_to: id of the message it answers, empty when none.
        authored_by: who acted as the author, empty when the author did.
        disclosed: that is shown with it.
        asserted: the system could not tell who sent it.
        writer, sequence: its place in the log.
        edits: how often it was edited.
        deleted_us: None unless deleted.
    """

    key: int
    ulid: str
    author: AgentRow
    session_id: str
    created_us: int
    format: str
    body: str
    structured: str | None
    thread_id: str
    reply_to: str
    priority: Literal["low", "normal", "high"]
    authored_by: str
    disclosed: bool
    asserted: bool
    writer: str
    sequence: int
    edited_us: int | None
    edits: int
    deleted_us: int | None
    delete_reason: str

    @property
    def message_id(self) -> str:
        """``msg_`` and its ULID."""
        return ids.message_id(self.ulid)


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One recipient of a message; ``via`` is ``agent``, ``role:…``, ``group:…``, ``broadcast``, ``reply``, …"""

    agent: AgentRow
    via: str
    read_us: int | None
    seen_us: int | None


@dataclass(frozen=True, slots=True)
class EditRow:
    """One text that a message had; the first is the one it was created with. Empty once deleted."""

    ulid: str
    edited_us: int
    body: str
    structured: str | None


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A scope, a reference or an entry of the audience."""

    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Labels:
    """What is attached to one message."""

    scopes: tuple[LabelRow, ...] = ()
    refs: tuple[LabelRow, ...] = ()
    audience: tuple[LabelRow, ...] = ()


_MESSAGE = (
    "SELECT m.id, m.ulid, m.author, coalesce(s.session_id, ''), m.created_us, m.format, coalesce(m.body, ''),"
    " m.structured, coalesce(t.thread_id, ''), coalesce('msg_' || m.reply_to, ''), m.priority,"
    " coalesce(m.authored_by, ''), m.flags, w.writer, m.sequence, m.edited_us,"
    " CASE WHEN m.edited_us IS NULL THEN 0 ELSE (SELECT count(*) - 1 FROM edit e WHERE e.message = m.id) END,"
    " m.deleted_us, coalesce(m.delete_reason, '')"
    " FROM message m JOIN writer w ON w.id = m.writer"
    " LEFT JOIN session s ON s.id = m.session LEFT JOIN thread t ON t.id = m.thread"
)
_IN = "IN (SELECT value FROM json_each(?))"


def message_key(cache: Cache, message_id: str) -> int | None:
    """The key of a message, by its id with or without prefix; None when it is not there."""
    ulid = ids.bare(message_id)
    if not ids.is_ulid(ulid):
        return None
    key = ids.ulid_key(ulid)
    if key > MAX_KEY:
        return None
    for row_key, row_ulid in cache.connection.execute(
        "SELECT id, ulid FROM message WHERE id >= ? ORDER BY id", (key,)
    ):
        if row_ulid == ulid:
            return int(row_key)
        if row_ulid > ulid:
            break
    return None


def message(cache: Cache, key: int) -> MessageRow | None:
    """One message, or None."""
    found = messages(cache, [key])
    return found[0] if found else None


def messages(cache: Cache, keys: Sequence[int]) -> list[MessageRow]:
    """Messages in the order of *keys*; keys that name none are left out."""
    rows = {row[0]: row for row in cache.read(f"{_MESSAGE} WHERE m.id {_IN}", (_json(keys),))}
    authors = agents_by_key(cache, {row[2] for row in rows.values()})
    return [_message(rows[key], authors) for key in keys if key in rows]


def _message(row: tuple[Any, ...], authors: dict[int, AgentRow]) -> MessageRow:
    values = [*row[:2], authors[row[2]], row[3], row[4], FORMATS[row[5]], *row[6:10], PRIORITIES[row[10]]]
    values += [row[11], bool(row[12] & DISCLOSED), bool(row[12] & ASSERTED), *row[13:]]
    return MessageRow(*values)


def recipients(cache: Cache, keys: Sequence[int]) -> dict[int, list[DeliveryRow]]:
    """Who each message went to, by name; a message without recipients has an empty list."""
    found: dict[int, list[DeliveryRow]] = {key: [] for key in keys}
    rows = cache.read(
        "SELECT d.message, d.agent, coalesce(v.value, 'agent'), d.read_us, d.seen_us"
        f" FROM delivery d LEFT JOIN label v ON v.id = d.via WHERE d.message {_IN}",
        (_json(keys),),
    )
    agents = agents_by_key(cache, {row[1] for row in rows})
    for key, agent, via, read_us, seen_us in sorted(
        rows, key=lambda row: (row[0], agents[row[1]].name, row[1])
    ):
        found[key].append(DeliveryRow(agents[agent], via, read_us, seen_us))
    return found


def deliveries(cache: Cache, agent_key: int, keys: Sequence[int]) -> dict[int, tuple[int | None, int | None]]:
    """When one agent has read and seen each message, microseconds or None; messages not for it are left out."""
    rows = cache.read(
        f"SELECT message, read_us, seen_us FROM delivery WHERE message {_IN} AND agent = ?",
        (_json(keys), agent_key),
    )
    return {key: (read_us, seen_us) for key, read_us, seen_us in rows}


def labels(cache: Cache, keys: Sequence[int]) -> dict[int, Labels]:
    """Scopes, references and audience of each message, sorted by type and value."""
    found: dict[int, dict[int, list[LabelRow]]] = {key: {SCOPE: [], REF: [], AUDIENCE: []} for key in keys}
    rows = cache.read(
        "SELECT x.message, l.kind, l.type, l.value FROM message_label x JOIN label l ON l.id = x.label"
        f" WHERE x.message {_IN} ORDER BY l.type, l.value",
        (_json(keys),),
    )
    for key, kind, type_, value in rows:
        found[key][kind].append(LabelRow(type_, value))
    return {
        key: Labels(tuple(kinds[SCOPE]), tuple(kinds[REF]), tuple(kinds[AUDIENCE]))
        for key, kinds in found.items()
    }


def edits(cache: Cache, key: int) -> list[EditRow]:
    """Every text that a message had, oldest first; empty when it was never edited."""
    rows = cache.read(
        "SELECT ulid, edited_us, coalesce(body, ''), structured FROM edit WHERE message = ? ORDER BY ulid",
        (key,),
    )
    return [EditRow(*row) for row in rows]


def places(cache: Cache, keys: Iterable[int]) -> dict[int, list[tuple[str, int]]]:
    """Every place ``(writer, sequence)`` of each message: a line that travelled late has two. For receipts."""
    wanted = _json(keys)
    rows = cache.read(
        f"SELECT m.id, w.writer, m.sequence FROM message m JOIN writer w ON w.id = m.writer WHERE m.id {_IN}"
        " UNION ALL SELECT m.id, w.writer, p.sequence FROM message_place p JOIN writer w ON w.id = p.writer"
        f" JOIN message m ON m.ulid = p.ulid AND m.id {_IN} ORDER BY 2, 3",
        (wanted, wanted),
    )
    found: dict[int, list[tuple[str, int]]] = {}
    for key, writer, sequence in rows:
        found.setdefault(key, []).append((writer, sequence))
    return found


def mark(
    cache: Cache, agent_key: int, keys: Sequence[int], kind: Literal["read", "seen"], at_us: int
) -> list[int]:
    """Note that an agent has read or seen messages; what is read is seen.

    Returns:
        The keys for which this was new; messages not for the agent are left out.
    """
    column = "read_us" if kind == "read" else "seen_us"
    also = ", seen_us = coalesce(seen_us, :at)" if kind == "read" else ""
    with cache.transaction() as db:
        rows = db.execute(
            f"UPDATE delivery SET {column} = :at{also} WHERE agent = :agent AND {column} IS NULL"
            " AND message IN (SELECT value FROM json_each(:keys)) RETURNING message",
            {"at": at_us, "agent": agent_key, "keys": _json(keys)},
        ).fetchall()
    return sorted(row[0] for row in rows)


def _json(keys: Iterable[int]) -> str:
    return msgspec.json.encode(list(keys)).decode()

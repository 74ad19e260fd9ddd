"""Messages, their edits and deletions.

An edit or deletion counts only when it is by the message's author and names the message's own timestamp, so that a
purge judges it and its message alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from thrum_kernel import ids
from thrum_kernel.clock import parse_us
from thrum_kernel.events.core import (
    AgentRef,
    Label,
    MessageCreate,
    MessageDelete,
    MessageEdit,
    Recipient,
)
from thrum_kernel.projection.rules.groups import attach_root, is_root
from thrum_kernel.projection.rules.receipts import apply_waiting
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
from thrum_kernel.projection.tables import GONE, Agent, Held, Place, Tables, Verdict

_FORMAT = {name: code for code, name in enumerate(FORMATS)}


def create(tables: Tables, place: Place, event: MessageCreate, hash_: bytes | None) -> Verdict:
    """A message; a second line of it adds its place."""
    created_us = parse_us(event.timestamp)
    if created_us < tables.cutoff_us:
        return GONE
    author = author_of(tables, place, event)
    if isinstance(author, Held):
        return author
    key = tables.message_key(event.ulid)
    if key is None:
        key = make_room(tables, event.ulid)
        insert_message(tables, key, place, event, author.key, created_us, hash_)
        insert_deliveries(tables, key, event.recipients, author.key, created_us)
        tables.note_message(event.ulid)
        if is_root(tables, event.ulid):
            attach_root(tables, event.ulid)
        tables.changed(key)
    else:
        tables.db.execute("UPDATE message SET hash = coalesce(hash, ?) WHERE id = ?", (hash_, key))
        add_place(tables, key, place, event.ulid)
    apply_waiting(tables, key, place)
    return None


def author_of(tables: Tables, place: Place, event: MessageCreate) -> Agent | Held:
    """Who a message is by: an agent of the daemon that wrote it, or one that a user is disclosed to act as."""
    if event.disclosed and event.authored_by.startswith("user:"):
        return tables.registered(event.agent_id, event.incarnation)
    return tables.author(event.agent_id, event.incarnation, place.daemon)


def make_room(tables: Tables, ulid: str) -> int:
    """A free key for a message, in the order of the ULIDs; those in its way with higher ULIDs move up.

    Raises:
        ValueError: the ULID is beyond what keys can tell.
    """
    key = ids.ulid_key(ulid)
    if key > MAX_KEY:
        raise ValueError(f"{ulid} is too far ahead")
    if ulid > tables.newest and not tables.newest.startswith(ulid[:10]):
        return key  # no message is as late, to the millisecond
    run: list[int] = []
    for taken, other in tables.db.execute("SELECT id, ulid FROM message WHERE id >= ? ORDER BY id", (key,)):
        if not run and other < ulid:
            key = taken + 1  # also behind a gap that a purge left
        elif taken == key + len(run):
            run.append(taken)
        else:
            break
    for taken in reversed(run):
        _move(tables, taken, taken + 1)
    return key


def _move(tables: Tables, old: int, new: int) -> None:
    """Give a message another key, everywhere."""
    tables.db.execute("UPDATE message SET id = ? WHERE id = ?", (new, old))
    for table in ("delivery", "edit"):
        tables.db.execute(f"UPDATE {table} SET message = ? WHERE message = ?", (new, old))
    tables.changed(old)
    tables.changed(new)


def insert_message(
    tables: Tables,
    key: int,
    place: Place,
    event: MessageCreate,
    author: int,
    created_us: int,
    hash_: bytes | None,
) -> None:
    """The row of a message."""
    flags = DISCLOSED * event.disclosed | ASSERTED * event.asserted
    tables.db.execute(
        "INSERT INTO message (id, ulid, author, session, created_us, format, body, structured, thread, reply_to,"
        " priority, flags, authored_by, attached, writer, sequence, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key,
            event.ulid,
            author,
            tables.session(event.session_id, author) if event.session_id else None,
            created_us,
            format_code(event.body.format),
            event.body.content,
            structured_text(event.body.structured),
            tables.thread(event.thread_id) if event.thread_id else None,
            ids.bare(event.reply_to) or None,
            PRIORITIES.index(event.priority),
            flags,
            event.authored_by or None,
            attached(tables, event.scopes, event.refs, event.audience),
            place.writer,
            place.sequence,
            hash_,
        ),
    )


def format_code(name: str) -> int:
    """The number of a body's format; a format of a later version is shown as plain text."""
    return _FORMAT.get(name, _FORMAT["plain"])


def structured_text(value: Any) -> str | None:
    """The structured part of a body as JSON text; a string is taken to be JSON text already."""
    if value is None or isinstance(value, str):
        return value or None
    return msgspec.json.encode(value).decode()


def attached(
    tables: Tables, scopes: Iterable[Label], refs: Iterable[Label], audience: Iterable[Label]
) -> int | None:
    """Key of the set of everything attached to a message; None when that is nothing."""
    kinds = ((SCOPE, scopes), (REF, refs), (AUDIENCE, audience))
    return tables.attached(
        tables.label(kind, item.type, item.value) for kind, labels in kinds for item in labels
    )


def insert_deliveries(
    tables: Tables, key: int, recipients: list[Recipient], author: int, created_us: int
) -> None:
    """One delivery a recipient, however often it is named; what an author sends itself it has read."""
    rows: dict[int, tuple[Any, ...]] = {}
    for recipient in recipients:
        agent = tables.agent(AgentRef(recipient.name, recipient.daemon, recipient.incarnation)).key
        at_us = created_us if agent == author else None
        rows.setdefault(agent, (key, agent, tables.via(recipient.via), at_us, at_us))
    tables.db.executemany(
        "INSERT INTO delivery (message, agent, via, read_us, seen_us) VALUES (?, ?, ?, ?, ?)", rows.values()
    )


def add_place(tables: Tables, key: int, place: Place, ulid: str) -> None:
    """Note a further place of a message. Its first is the least of all, whatever came first."""
    first = tables.db.execute("SELECT writer, sequence FROM message WHERE id = ?", (key,)).fetchone()
    new = (place.writer, place.sequence)
    if first == new:
        return
    if (tables.writer_name(new[0]), new[1]) < (tables.writer_name(first[0]), first[1]):
        tables.db.execute("UPDATE message SET writer = ?, sequence = ? WHERE id = ?", (*new, key))
        tables.db.execute("DELETE FROM message_place WHERE writer = ? AND sequence = ?", new)
        new = first
    tables.db.execute("INSERT INTO message_place VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (*new, ulid))


def edit(tables: Tables, place: Place, event: MessageEdit) -> Verdict:
    """New text; of several edits the one with the highest event id holds."""
    found = _subject(tables, place, event)
    if not isinstance(found, int):
        return found
    edited_us = parse_us(event.timestamp)
    tables.db.execute(
        "INSERT INTO edit (message, ulid, edited_us, agent, session, format, body, structured)"
        " SELECT id, ulid, created_us, author, '', format, body, structured FROM message"
        " WHERE id = ? AND edited_us IS NULL",
        (found,),
    )
    code, structured = format_code(event.body.format), structured_text(event.body.structured)
    is_deleted, author = tables.db.execute(
        "SELECT deleted_us IS NOT NULL, author FROM message WHERE id = ?", (found,)
    ).fetchone()
    body = None if is_deleted else event.body.content
    structured = None if is_deleted else structured
    tables.db.execute(
        "INSERT INTO edit (message, ulid, edited_us, agent, session, format, body, structured)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (found, event.ulid, edited_us, author, event.session_id, code, body, structured),
    )
    tables.db.execute(
        "UPDATE message SET format = ?, body = ?, structured = ?, edited_us = ?, edited_ulid = ?"
        " WHERE id = ? AND (edited_ulid IS NULL OR edited_ulid < ?)",
        (code, body, structured, edited_us, event.ulid, found, event.ulid),
    )
    tables.changed(found)
    return None


def delete(tables: Tables, place: Place, event: MessageDelete) -> Verdict:
    """The text is gone, in the message and in all its edits; of several deletions the first is shown."""
    found = _subject(tables, place, event)
    if not isinstance(found, int):
        return found
    db = tables.db
    tables.is_soiled = True
    tables.has_removed = tables.has_removed or _has_text(tables, found)
    db.execute("UPDATE message SET body = NULL, structured = NULL WHERE id = ?", (found,))
    db.execute("UPDATE edit SET body = NULL, structured = NULL WHERE message = ?", (found,))
    db.execute("UPDATE delivery SET hidden = 1 WHERE message = ?", (found,))
    db.execute(
        "UPDATE message SET deleted_us = ?, deleted_ulid = ?, delete_reason = ?"
        " WHERE id = ? AND (deleted_ulid IS NULL OR deleted_ulid > ?)",
        (parse_us(event.timestamp), event.ulid, event.reason, found, event.ulid),
    )
    tables.changed(found)
    return None


def _has_text(tables: Tables, message: int) -> bool:
    """Whether a message says anything, or ever did; where the log was purged already nothing is left of that."""
    rows = tables.db.execute(
        "SELECT 1 FROM message WHERE id = :key AND (body <> '' OR structured IS NOT NULL)"
        " UNION ALL SELECT 1 FROM edit WHERE message = :key AND (body <> '' OR structured IS NOT NULL) LIMIT 1",
        {"key": message},
    )
    return rows.fetchone() is not None


def _subject(tables: Tables, place: Place, event: MessageEdit | MessageDelete) -> int | Verdict:
    """Key of the message that an edit or deletion is about, or why it does not count."""
    subject_us = parse_us(event.subject.timestamp)
    if subject_us < tables.cutoff_us:
        return GONE
    author = tables.author(event.agent_id, event.incarnation, place.daemon)
    if isinstance(author, Held):
        return author
    ulid = ids.bare(event.message_id)
    key = tables.message_key(ulid)
    if key is None:
        return Held("message", ulid, f"msg_{ulid} has not come")
    owner, created_us = tables.db.execute(
        "SELECT author, created_us FROM message WHERE id = ?", (key,)
    ).fetchone()
    if owner != author.key:
        return Held("refused", "", f"{event.agent_id} is not the author of msg_{ulid}")
    if created_us != subject_us:
        return Held("refused", "", f"it names another time for msg_{ulid}")
    return key

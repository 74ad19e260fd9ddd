"""Threads and what happened in them last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.queries.inbox import PageRow


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """A thread.

    Attributes:
        message_count: deleted ones included.
        unread_count: those that wait for the reader asked for; 0 without one.
        last_activity_us: timestamp of its newest message, of its creation without any.
        last_sender: name of that message's author, empty without any.
        last_body: its text, empty without any or when deleted.
    """

    id: int
    thread_id: str
    title: str
    created_us: int
    created_by: str
    root: str
    message_count: int
    unread_count: int
    last_activity_us: int
    last_sender: str
    last_body: str


_THREAD = (
    "SELECT t.id, t.thread_id, t.title, coalesce(t.created_us, 0), t.created_by,"
    " coalesce('msg_' || nullif(t.root, ''), ''),"
    " (SELECT max(m.id) FROM message m WHERE m.thread = t.id) AS last"
    " FROM thread t"
)
_SHOWN = "(t.created_us IS NOT NULL OR EXISTS (SELECT 1 FROM message m WHERE m.thread = t.id))"


def thread(cache: Cache, thread_id: str, *, reader: int | None = None) -> ThreadRow | None:
    """One thread; None when nothing is known of it. *reader* is the key of the agent whose unread is counted."""
    rows = cache.read(f"{_THREAD} WHERE t.thread_id = ? AND {_SHOWN}", (thread_id,))
    return _filled(cache, rows[0], reader) if rows else None


def threads_page(
    cache: Cache, *, reader: int | None = None, limit: int = 10, offset: int = 0
) -> list[ThreadRow]:
    """Threads, the one with the newest message first, those without any last."""
    rows = cache.read(
        f"{_THREAD} WHERE {_SHOWN} ORDER BY last DESC, t.created_us DESC, t.thread_id LIMIT ? OFFSET ?",
        (limit, offset),
    )
    return [_filled(cache, row, reader) for row in rows]


def threads_count(cache: Cache) -> int:
    """How many threads there are."""
    return int(cache.read(f"SELECT count(*) FROM thread t WHERE {_SHOWN}")[0][0])


def thread_messages(
    cache: Cache, thread_id: str, *, reader: int | None = None, limit: int = -1, offset: int = 0
) -> list[PageRow]:
    """The messages of a thread, oldest first, with when *reader* read and saw them."""
    rows = cache.read(
        "SELECT m.id, d.read_us, d.seen_us FROM message m"
        " LEFT JOIN delivery d ON d.message = m.id AND d.agent = ?"
        " WHERE m.thread = (SELECT id FROM thread WHERE thread_id = ?) ORDER BY m.id LIMIT ? OFFSET ?",
        (reader, thread_id, limit, offset),
    )
    return [PageRow(*row) for row in rows]


def unread_in_thread(cache: Cache, thread_id: str, readers: Iterable[int]) -> dict[int, int]:
    """How many messages of a thread wait for each of *readers*, keys of agents; those without any are left out."""
    rows = cache.read(
        "SELECT d.agent, count(*) FROM message m CROSS JOIN delivery d ON d.message = m.id"
        " WHERE m.thread = (SELECT id FROM thread WHERE thread_id = ?) AND d.read_us IS NULL AND d.hidden = 0"
        " AND d.agent IN (SELECT value FROM json_each(?)) GROUP BY d.agent",
        (thread_id, msgspec.json.encode(list(readers)).decode()),
    )
    return dict(rows)


def thread_of_root(cache: Cache, message_id: str) -> str | None:
    """The thread that was made for a message, None when there is none."""
    rows = cache.read(
        "SELECT thread_id FROM thread WHERE root = ? AND root <> '' ORDER BY created_ulid LIMIT 1",
        (message_id[4:],),
    )
    return rows[0][0] if rows else None


def _filled(cache: Cache, row: tuple[Any, ...], reader: int | None) -> ThreadRow:
    key, last = row[0], row[6]
    count = cache.read("SELECT count(*) FROM message WHERE thread = ?", (key,))[0][0]
    unread = 0
    if reader is not None:
        unread = cache.read(
            "SELECT count(*) FROM message m JOIN delivery d ON d.message = m.id AND d.agent = ?"
            " WHERE m.thread = ? AND d.read_us IS NULL AND d.hidden = 0",
            (reader, key),
        )[0][0]
    newest = cache.read(
        "SELECT m.created_us, a.name, coalesce(m.body, '') FROM message m JOIN agent a ON a.id = m.author"
        " WHERE m.id = ?",
        (last,),
    )
    activity, sender, body = newest[0] if newest else (row[3], "", "")
    values = [*row[:6], count, unread, activity, sender, body]
    return ThreadRow(*values)

"""Pages of messages: what came to an agent, what it sent, and everything.

Pages are found in an index by agent and key, newest first; the inbox without filters is counted by one row that
triggers keep. Deleted messages are listed as tombstones and never unread.

Source: spec/kernel.md §5.2, §5.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from thrum_kernel.ids import key_floor
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.schema import AUDIENCE, REF, SCOPE

Order = Literal["newest", "oldest", "chronological", "changed", "changed_first"]

AFTER_SLACK_US = 24 * 3600 * 1_000_000
"""How far a message's ULID may lie before its timestamp and still be found by ``after_us``."""

_ORDERS = {
    "newest": "{key} DESC",
    "oldest": "{key}",
    "chronological": "coalesce(m.reply_to, m.ulid), m.created_us, m.id",
    "changed": "coalesce(m.edited_us, m.created_us) DESC, {key} DESC",
    "changed_first": "coalesce(m.edited_us, m.created_us), {key}",
}
_KEY_ORDERS = ("newest", "oldest")
"""Orders that need no look at the message itself."""

_ADDRESSED_AS_SCOPE = ("group", "broadcast")


def scope_kinds(type_: str) -> tuple[int, ...]:
    """The kinds of `label` that a scope of a type may be: ``group:ops`` also finds what was sent to that group."""
    return (SCOPE, AUDIENCE) if type_ in _ADDRESSED_AS_SCOPE else (SCOPE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which messages of a page to keep; all that are given must hold.

    Attributes:
        author: key of the author.
        not_author: key of an author to leave out, but for what they wrote to themselves by name.
        scope: ``(type, value)``; one of a group or broadcast is also what the message was addressed to.
        ref: ``(type, value)``.
        mention: names or roles, one of which was addressed.
        thread: a thread id.
        after_us: only messages with a later timestamp, microseconds.
        before_key: only messages before this one, for paging without an offset.
    """

    author: int | None = None
    not_author: int | None = None
    scope: tuple[str, str] | None = None
    ref: tuple[str, str] | None = None
    mention: Sequence[str] | None = None
    thread: str | None = None
    after_us: int | None = None
    before_key: int | None = None


@dataclass(frozen=True, slots=True)
class PageRow:
    """One message on a page, with when the page's agent read and saw it; None also when it was not for it."""

    key: int
    read_us: int | None
    seen_us: int | None


@dataclass(slots=True)
class Where:
    """Conditions on a query, with their parameters.

    Attributes:
        key: the column that holds the message's key.
        joins_message: a condition looks at ``m``, the message.
    """

    key: str
    parts: list[str] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)
    joins_message: bool = False

    def add(self, sql: str, *params: Any, on_message: bool = False) -> None:
        """One more condition."""
        self.parts.append(sql)
        self.params.extend(params)
        self.joins_message = self.joins_message or on_message

    def add_filter(self, filter_: Filter) -> None:
        """The conditions of *filter_*."""
        if filter_.author is not None:
            self.add("m.author = ?", filter_.author, on_message=True)
        if filter_.not_author is not None:
            to_oneself = (
                "SELECT 1 FROM delivery s WHERE s.message = m.id AND s.agent = m.author AND s.via = 0"
            )
            self.add(f"(m.author <> ? OR EXISTS ({to_oneself}))", filter_.not_author, on_message=True)
        if filter_.scope is not None:
            kinds = ", ".join(map(str, scope_kinds(filter_.scope[0])))
            self._label(f"kind IN ({kinds}) AND type = ? AND value = ?", *filter_.scope)
        if filter_.ref is not None:
            self._label("kind = ? AND type = ? AND value = ?", REF, *filter_.ref)
        if filter_.mention is not None:
            names = msgspec.json.encode(list(filter_.mention)).decode()
            mentioned = "kind = ? AND type IN ('agent', 'role') AND value IN (SELECT value FROM json_each(?))"
            self._label(mentioned, AUDIENCE, names)
        if filter_.thread is not None:
            self.add(
                "m.thread = (SELECT id FROM thread WHERE thread_id = ?)", filter_.thread, on_message=True
            )
        if filter_.after_us is not None:
            self.add(f"{self.key} >= ?", key_floor(filter_.after_us - AFTER_SLACK_US))
            self.add("m.created_us > ?", filter_.after_us, on_message=True)
        if filter_.before_key is not None:
            self.add(f"{self.key} < ?", filter_.before_key)

    def _label(self, chosen: str, *params: Any) -> None:
        labels = f"SELECT id FROM label WHERE {chosen}"
        found = (
            f"EXISTS (SELECT 1 FROM message_label x WHERE x.message = {self.key} AND x.label IN ({labels}))"
        )
        self.add(found, *params)

    @property
    def sql(self) -> str:
        """``WHERE …``, empty without conditions."""
        return f" WHERE {' AND '.join(self.parts)}" if self.parts else ""


def inbox_page(
    cache: Cache,
    agent_key: int,
    *,
    unread: bool = False,
    author: int | None = None,
    not_author: int | None = None,
    scope: tuple[str, str] | None = None,
    ref: tuple[str, str] | None = None,
    mention: Sequence[str] | None = None,
    thread: str | None = None,
    after_us: int | None = None,
    before_key: int | None = None,
    limit: int = 10,
    offset: int = 0,
    order: Order = "newest",
) -> list[PageRow]:
    """Messages delivered to an agent; see `Filter` for the conditions.

    ``chronological`` puts replies behind what they answer: by the message answered or itself, then by time;
    ``changed`` goes by the last edit, of a message without any by its own time, the newest first.
    """
    filter_ = Filter(
        author=author,
        not_author=not_author,
        scope=scope,
        ref=ref,
        mention=mention,
        thread=thread,
        after_us=after_us,
        before_key=before_key,
    )
    return inbox_rows(cache, agent_key, filter_, unread=unread, limit=limit, offset=offset, order=order)


def inbox_rows(
    cache: Cache,
    agent_key: int,
    filter_: Filter,
    *,
    unread: bool = False,
    limit: int = 10,
    offset: int = 0,
    order: Order = "newest",
) -> list[PageRow]:
    """`inbox_page` with its conditions in one object."""
    sql, params = inbox_sql(agent_key, filter_, unread=unread, order=order)
    return [PageRow(*row) for row in cache.read(sql, [*params, limit, offset])]


def inbox_sql(agent_key: int, filter_: Filter, *, unread: bool, order: Order) -> tuple[str, list[Any]]:
    """The query of an inbox page, without the last two parameters, limit and offset."""
    where = _inbox_where(agent_key, filter_, unread=unread)
    if order not in _KEY_ORDERS:
        where.joins_message = True
    return (
        f"SELECT d.message, d.read_us, d.seen_us FROM {_inbox_tables(where, unread=unread)}{where.sql}"
        f" ORDER BY {_ORDERS[order].format(key='d.message')} LIMIT ? OFFSET ?",
        where.params,
    )


def inbox_count(cache: Cache, agent_key: int, filter_: Filter | None = None, *, unread: bool = False) -> int:
    """How many messages an inbox page with these conditions has in all."""
    if filter_ is None or filter_ == Filter():
        rows = cache.read("SELECT total, unread FROM tally WHERE agent = ?", (agent_key,))
        return int(rows[0][unread]) if rows else 0
    where = _inbox_where(agent_key, filter_, unread=unread)
    rows = cache.read(f"SELECT count(*) FROM {_inbox_tables(where, unread=unread)}{where.sql}", where.params)
    return int(rows[0][0])


def unread_count(cache: Cache, agent_key: int, filter_: Filter | None = None) -> int:
    """How many messages wait for an agent; deleted ones do not."""
    return inbox_count(cache, agent_key, filter_, unread=True)


def _inbox_where(agent_key: int, filter_: Filter, *, unread: bool) -> Where:
    where = Where("d.message")
    where.add("d.agent = ?", agent_key)
    if unread:
        where.add("d.read_us IS NULL AND d.hidden = 0")
    where.add_filter(filter_)
    return where


def _inbox_tables(where: Where, *, unread: bool) -> str:
    index = "delivery_unread" if unread else "delivery_inbox"
    # CROSS keeps the planner from starting at the messages: the agent's own rows are always fewer.
    join = " CROSS JOIN message m ON m.id = d.message" if where.joins_message else ""
    return f"delivery d INDEXED BY {index}{join}"


def outbox_page(
    cache: Cache,
    agent_key: int,
    *,
    to: str | None = None,
    unread: bool = False,
    before_key: int | None = None,
    limit: int = 10,
    offset: int = 0,
) -> list[int]:
    """Keys of what an agent sent, newest first.

    Args:
        to: a recipient's name, or a role, group or ``everyone`` that was addressed; see `is_addressee`.
        unread: only messages that some recipient has not read.
    """
    where = _outbox_where(agent_key, to=to, unread=unread, before_key=before_key)
    rows = cache.read(
        f"SELECT m.id FROM message m INDEXED BY message_author{where.sql} ORDER BY m.id DESC LIMIT ? OFFSET ?",
        [*where.params, limit, offset],
    )
    return [row[0] for row in rows]


def outbox_count(cache: Cache, agent_key: int, *, to: str | None = None, unread: bool = False) -> int:
    """How many messages an outbox page with these conditions has in all."""
    where = _outbox_where(agent_key, to=to, unread=unread, before_key=None)
    rows = cache.read(f"SELECT count(*) FROM message m INDEXED BY message_author{where.sql}", where.params)
    return int(rows[0][0])


def is_addressee(cache: Cache, name: str) -> bool:
    """Whether something was ever addressed to *name*, or an agent of that name was ever known."""
    found = cache.read(
        "SELECT EXISTS (SELECT 1 FROM agent WHERE name = ?)"
        " OR EXISTS (SELECT 1 FROM label WHERE kind = ? AND value = ?)",
        (name, AUDIENCE, name),
    )
    return bool(found[0][0])


def _outbox_where(agent_key: int, *, to: str | None, unread: bool, before_key: int | None) -> Where:
    where = Where("m.id")
    where.add("m.author = ?", agent_key)
    if before_key is not None:
        where.add("m.id < ?", before_key)
    if unread:
        where.add(
            "EXISTS (SELECT 1 FROM delivery d WHERE d.message = m.id AND d.read_us IS NULL AND d.hidden = 0)"
        )
    if to is not None:
        addressed = f"kind = {AUDIENCE} AND value = ?"
        where.add(
            "(EXISTS (SELECT 1 FROM message_label x WHERE x.message = m.id AND x.label IN"
            f" (SELECT id FROM label WHERE {addressed})) OR EXISTS (SELECT 1 FROM delivery d"
            " JOIN agent a ON a.id = d.agent WHERE d.message = m.id AND a.name = ?))",
            to,
            to,
        )
    return where


def messages_page(
    cache: Cache,
    filter_: Filter,
    *,
    reader: int | None = None,
    limit: int = 10,
    offset: int = 0,
    order: Order = "newest",
) -> list[PageRow]:
    """All messages, whoever they were for; read and seen times are those of *reader*."""
    where = Where("m.id")
    where.add_filter(filter_)
    rows = cache.read(
        "SELECT m.id, d.read_us, d.seen_us FROM message m LEFT JOIN delivery d ON d.message = m.id AND d.agent = ?"
        f"{where.sql} ORDER BY {_ORDERS[order].format(key='m.id')} LIMIT ? OFFSET ?",
        [reader, *where.params, limit, offset],
    )
    return [PageRow(*row) for row in rows]


def messages_count(cache: Cache, filter_: Filter | None = None) -> int:
    """How many messages `messages_page` has in all."""
    where = Where("m.id")
    where.add_filter(filter_ or Filter())
    return int(cache.read(f"SELECT count(*) FROM message m{where.sql}", where.params)[0][0])

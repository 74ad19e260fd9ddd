"""Looking at messages: the inbox, what was sent, one message. Source: spec/kernel.md §5.2, §5.3; issue 2."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from thrum_kernel.api import Call, Caller, Evidence
from thrum_kernel.clock import parse_us
from thrum_kernel.errors import NotFound, Refused, UsageError
from thrum_kernel.messaging.directory import EVERYONE
from thrum_kernel.messaging.facts import Facts
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.messaging.model import (
    MESSAGE_IDS,
    GetParams,
    GetResult,
    ListParams,
    ListResult,
    MarkReadParams,
    MarkReadResult,
    OutboxParams,
    OutboxResult,
)
from thrum_kernel.messaging.people import People
from thrum_kernel.messaging.receipts import Receipts
from thrum_kernel.messaging.views import Views
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow, Filter, Order, PageRow

MAX_PAGE_SIZE = 100
MAX_PAGE = 1_000_000
_AT_ONCE = 200
"""Messages that are marked in one turn of the loop."""


class Inbox:
    """The methods that list and mark.

    Args:
        only_looks: whether a caller, though it acts as an agent, only looks over its shoulder: the agent's runtime
            lives elsewhere. What such a caller is shown is not marked.
        noticed: told by incarnation when an agent saw something.
    """

    def __init__(
        self,
        ground: Ground,
        people: People,
        views: Views,
        receipts: Receipts,
        facts: Facts,
        *,
        only_looks: Callable[[Caller], bool],
        noticed: Callable[[str], None],
    ) -> None:
        self._ground = ground
        self._people = people
        self._views = views
        self._receipts = receipts
        self._facts = facts
        self._only_looks = only_looks
        self._noticed = noticed

    def page(self, call: Call, params: ListParams) -> ListResult:
        """A page of the inbox, or of all messages without ``for_agent``.

        Raises:
            UsageError: a page or page size out of range, or a time that is none.
            Refused: ``for_agent`` is somebody else, or ``unread`` without a caller.
        """
        limit, offset = paging(params.page, params.page_size)
        owner = self._owner(call.caller, params)
        reader = self._people.of(call.caller)
        if params.unread and owner is None and reader is None:
            raise Refused("unread needs to know who reads", hint="run it from a registered agent's worktree")
        counted, whose = owner or reader, owner or (reader if params.unread else None)
        filter_ = self._filter(params, reader or owner)
        rows, total = self._rows(params, whose, reader, filter_, limit, offset)
        unread = queries.unread_count(self._ground.cache, counted.id, filter_) if counted is not None else 0
        if params.mark_shown and reader is not None and (owner is None or owner.id == reader.id):
            self._mark_when_shown(call, reader, [row.key for row in rows])
        return ListResult(
            messages=self._views.page([row.key for row in rows], reader or owner),
            total=total,
            unread=unread,
            hidden_by_filter=self._hidden(owner, filter_, unread),
            page=params.page,
            page_size=limit,
            total_pages=-(-total // limit),
        )

    def outbox(self, call: Call, params: OutboxParams) -> OutboxResult:
        """What the caller sent, newest first, with how far each message came with each recipient.

        Raises:
            NotFound: ``to`` is nobody who was ever known.
        """
        limit, offset = paging(params.page, params.page_size)
        caller = self._people.known(call.caller)
        to = self._addressee(params.to)
        cache = self._ground.cache
        keys = queries.outbox_page(cache, caller.id, to=to, unread=params.unread, limit=limit, offset=offset)
        total = queries.outbox_count(cache, caller.id, to=to, unread=params.unread)
        return OutboxResult(
            messages=self._views.page(keys, caller, with_states=True),
            total=total,
            page=params.page,
            page_size=limit,
            total_pages=-(-total // limit),
        )

    def _addressee(self, name: str) -> str | None:
        """The name in ``to``, of somebody deleted, too; None when it is empty.

        Raises:
            NotFound: there never was an agent, role or group of that name.
        """
        plain = name.strip().removeprefix("@")
        directory = self._people.directory
        if not plain:
            return None
        if "@" in plain and (agent := directory.find(plain)) is not None:
            return agent.name
        if plain == EVERYONE or directory.kind_of(plain) or queries.is_addressee(self._ground.cache, plain):
            return plain
        near = " or ".join(f"@{other}" for other in directory.near(plain))
        raise NotFound(
            "agent",
            plain,
            message=f"unknown recipient: @{plain}",
            hint=f"did you mean {near}?" if near else "`thrum team --all` lists everyone",
        )

    def get(self, call: Call, params: GetParams) -> GetResult:
        """One message with full details.

        Raises:
            NotFound: there is none.
        """
        key = self.key(params.message_id)
        detail = self._views.detail(key)
        reader = self._people.of(call.caller)
        if params.mark_shown and reader is not None:
            self._mark_when_shown(call, reader, [key])
        return GetResult(message=detail)

    async def mark_read(self, call: Call, params: MarkReadParams) -> MarkReadResult:
        """Mark messages as read by the caller; ids that are unknown or were not for it are passed over.

        Raises:
            UsageError: neither ids nor ``all``, or a watermark that is no time.
        """
        if not params.message_ids and not params.all:
            raise UsageError("message_ids is required", hint="or pass all to mark everything unread")
        before_us = moment(params.marked_before, "marked_before") if params.marked_before else None
        reader = self._people.known(call.caller)
        result = MarkReadResult(marked_count=0)
        for keys in self._unread(reader) if params.all else batched(self._keys(params.message_ids), _AT_ONCE):
            old = self._not_after(keys, before_us)
            marked = self.mark(reader, old, call.caller)
            result.marked_count += len(marked)
            result.skipped_count += len(keys) - len(old)
            result.also_read_by |= self._also_read_by(reader, self._keys(marked))
            await asyncio.sleep(0)  # others get their turn
        result.markable_remaining = queries.unread_count(self._ground.cache, reader.id)
        return result

    def mark(self, reader: AgentRow, keys: Sequence[int], caller: Caller) -> list[str]:
        """Mark messages as read now, with the evidence that the reader's own runtime gives; ids of the new ones."""
        marked = self._receipts.mark(reader, keys)
        if marked:
            means = f"inbox:{caller.runtime}" if caller.runtime else "inbox"
            self._facts.record(reader.incarnation, Evidence("read", means, tuple(marked)))
            self._noticed(reader.incarnation)
        return marked

    def key(self, message_id: str) -> int:
        """The key of a message.

        Raises:
            NotFound: there is none.
        """
        key = queries.message_key(self._ground.cache, message_id)
        if key is None:
            raise NotFound("message", message_id, hint=MESSAGE_IDS)
        return key

    def _mark_when_shown(self, call: Call, reader: AgentRow, keys: Sequence[int]) -> None:
        """Read means that the client took the whole answer; keys may be others after a rebuild, ids are not."""
        caller = call.caller
        if self._only_looks(caller):
            return
        ids = [message.message_id for message in queries.messages(self._ground.cache, keys)]

        def effect() -> None:
            row = queries.agent_by_incarnation(self._ground.cache, reader.incarnation)
            if row is not None:
                self.mark(row, self._keys(ids), caller)

        call.when_shown(effect)

    def _owner(self, caller: Caller, params: ListParams) -> AgentRow | None:
        """Whose inbox is asked for; None for all messages.

        Raises:
            Refused: somebody else's, and the caller is no user.
        """
        name = params.for_agent or params.unread_for_agent
        if not name:
            return self._people.known(caller) if params.mine else None
        owner = self._people.find(name)
        reader = self._people.of(caller)
        if caller.kind in ("user", "kernel") or (reader is not None and reader.id == owner.id):
            if params.for_agent_role and params.for_agent_role != owner.role:
                raise Refused(f"@{owner.name} has role {owner.role}, not {params.for_agent_role}")
            return owner
        raise Refused(
            f"the inbox of @{owner.name} is only shown to @{owner.name}",
            hint="leave for_agent out to see messages to anyone",
        )

    def _author(self, name: str) -> AgentRow:
        """Who wrote: an agent, or a name that writes here without being registered.

        Raises:
            NotFound: nobody did.
        """
        try:
            return self._people.find(name)
        except NotFound:
            local = self._people.directory.local
            sender = queries.sender_named(self._ground.cache, name.strip().removeprefix("@"), local)
            if sender is None:
                raise
            return sender

    def _filter(self, params: ListParams, reader: AgentRow | None) -> Filter:
        return Filter(
            author=self._author(params.author_id).id if params.author_id else None,
            not_author=reader.id if params.exclude_self and reader is not None else None,
            scope=(params.scope.type, params.scope.value) if params.scope else None,
            ref=(params.ref.type, params.ref.value) if params.ref else None,
            mention=_mention(params, reader),
            thread=params.thread_id or None,
            after_us=moment(params.created_after, "created_after") if params.created_after else None,
        )

    def _rows(
        self,
        params: ListParams,
        whose: AgentRow | None,
        reader: AgentRow | None,
        filter_: Filter,
        limit: int,
        offset: int,
    ) -> tuple[Sequence[PageRow], int]:
        cache, order = self._ground.cache, _order(params)
        if whose is not None:
            unread = params.unread or bool(params.unread_for_agent)
            rows = queries.inbox_rows(
                cache, whose.id, filter_, unread=unread, limit=limit, offset=offset, order=order
            )
            return rows, queries.inbox_count(cache, whose.id, filter_, unread=unread)
        reader_id = reader.id if reader is not None else None
        rows = queries.messages_page(
            cache, filter_, reader=reader_id, limit=limit, offset=offset, order=order
        )
        return rows, queries.messages_count(cache, filter_)

    def _hidden(self, owner: AgentRow | None, filter_: Filter, unread: int) -> int:
        """Unread messages of the owner that the filters leave out."""
        if owner is None:
            return 0
        own = Filter(not_author=filter_.not_author)
        return max(0, queries.unread_count(self._ground.cache, owner.id, own) - unread)

    def _keys(self, message_ids: Sequence[str]) -> list[int]:
        found = (queries.message_key(self._ground.cache, message_id) for message_id in message_ids)
        return list(dict.fromkeys(key for key in found if key is not None))

    def _unread(self, reader: AgentRow) -> Iterator[list[int]]:
        """What waits for an agent, newest first, some at a time."""
        before: int | None = None
        while True:
            rows = queries.inbox_page(
                self._ground.cache, reader.id, unread=True, before_key=before, limit=_AT_ONCE
            )
            if not rows:
                return
            yield [row.key for row in rows]
            before = rows[-1].key

    def _not_after(self, keys: Sequence[int], before_us: int | None) -> list[int]:
        """Those of *keys* that are no newer than a watermark."""
        if before_us is None:
            return list(keys)
        return [m.key for m in queries.messages(self._ground.cache, keys) if m.created_us <= before_us]

    def _also_read_by(self, reader: AgentRow, keys: Sequence[int]) -> dict[str, list[str]]:
        cache = self._ground.cache
        found: dict[str, list[str]] = {}
        recipients = queries.recipients(cache, keys)
        for message in queries.messages(cache, keys):
            others = [
                self._people.shown(row.agent)
                for row in recipients[message.key]
                if row.read_us is not None and row.agent.id not in (reader.id, message.author.id)
            ]
            if others:
                found[message.message_id] = others
        return found


def paging(page: int, page_size: int) -> tuple[int, int]:
    """Limit and offset of a page.

    Raises:
        UsageError: the page or its size is out of range.
    """
    if not 1 <= page <= MAX_PAGE:
        raise UsageError(f"invalid page: {page}", hint="pages are counted from 1")
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        raise UsageError(f"invalid page size: {page_size} (must be 1 to {MAX_PAGE_SIZE})")
    return page_size, (page - 1) * page_size


def moment(text: str, name: str) -> int:
    """Microseconds since 1970 of an RFC 3339 time.

    Raises:
        UsageError: it is none.
    """
    try:
        return parse_us(text)
    except ValueError as error:
        raise UsageError(
            f"{name} is no RFC 3339 time: {text}", hint="for example 2026-03-15T10:00:00Z"
        ) from error


def _order(params: ListParams) -> Order:
    if params.sort_by == "updated_at" and not params.chronological:
        return "changed_first" if params.sort_order == "asc" else "changed"
    if params.sort_order:
        return "oldest" if params.sort_order == "asc" else "newest"
    return "chronological" if params.chronological else "newest"


def _mention(params: ListParams, reader: AgentRow | None) -> tuple[str, ...] | None:
    """The names one of which must have been addressed."""
    named = params.mention_role or params.caller_mention_role
    if named:
        return (named.removeprefix("@"),)
    if not params.mentions:
        return None
    return (reader.name, reader.role) if reader is not None else (EVERYONE,)


def batched(keys: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """*keys* in their order, at most *size* at a time."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]

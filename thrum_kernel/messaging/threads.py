"""Threads: conversations that messages belong to. Source: spec/decisions.md, "Messaging"."""

from __future__ import annotations

from collections.abc import Sequence

from thrum_kernel import ids
from thrum_kernel.api import Call
from thrum_kernel.clock import format_us
from thrum_kernel.errors import NotFound, UsageError
from thrum_kernel.events import Event
from thrum_kernel.events.core import MessageCreate, ThreadCreate
from thrum_kernel.messaging import body
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.messaging.inbox import paging
from thrum_kernel.messaging.model import Lean, MessageView, Params, Priority, Result, SendParams, Tag
from thrum_kernel.messaging.people import People
from thrum_kernel.messaging.quota import Quota
from thrum_kernel.messaging.recall import event_of
from thrum_kernel.messaging.send import Place, Sending
from thrum_kernel.messaging.views import Views
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import ThreadRow

MAX_TITLE = 200


class ThreadCreateParams(Params, kw_only=True):
    """``message`` begins the thread; it goes to ``to``, or to everyone."""

    title: str
    message: str = ""
    to: str | list[str] = []
    format: str = "markdown"
    priority: Priority = "normal"


class ThreadListParams(Params, kw_only=True):
    """``scope`` keeps threads with a message of that scope."""

    scope: Tag | None = None
    page_size: int = 10
    page: int = 1


class ThreadGetParams(Params, kw_only=True):
    thread_id: str
    page_size: int = 10
    page: int = 1


class ThreadCreated(Lean, kw_only=True):
    thread_id: str
    message_id: str = ""


class ThreadView(Result, kw_only=True):
    """``unread_count`` is the caller's; ``preview`` the beginning of the newest message."""

    thread_id: str
    title: str
    created_at: str
    created_by: str
    message_count: int
    unread_count: int
    last_activity: str
    last_sender: str
    preview: str


class ThreadList(Result, kw_only=True):
    threads: list[ThreadView]
    total: int
    page: int
    page_size: int
    total_pages: int


class ThreadShown(Result, kw_only=True):
    """Messages oldest first."""

    thread: ThreadView
    messages: list[MessageView]
    total: int
    page: int
    page_size: int
    total_pages: int


class Threads:
    """The ``thread.*`` methods."""

    def __init__(self, ground: Ground, people: People, views: Views, sending: Sending, quota: Quota) -> None:
        self._ground = ground
        self._people = people
        self._views = views
        self._sending = sending
        self._quota = quota

    async def create(self, call: Call, params: ThreadCreateParams) -> ThreadCreated:
        """Make a thread, with its first message when there is one; both or none.

        Raises:
            UsageError: no title, one that is too long, or recipients without a message.
            ThrumError: as `Sending.send`.
        """
        title = params.title.strip()
        if not title or len(title) > MAX_TITLE or "\0" in title:
            raise UsageError(
                "title is required" if not title else f"invalid title (at most {MAX_TITLE} characters)"
            )
        if params.to and not params.message:
            raise UsageError("to needs a message")
        message = SendParams(
            content=params.message or "-", format=params.format, to=params.to, priority=params.priority
        )
        content = self._sending.checked(message)
        sender = self._people.sender(call)
        event = self._ground.committer.draft(ThreadCreate, thread_id="", title=title, created_by=sender.name)
        event.thread_id = ids.thread_id(event.ulid)
        if not params.message:
            self._quota.take(sender.name, len(title))
            await self._ground.committer.commit(event, request_id=call.request_id)
            return ThreadCreated(thread_id=event.thread_id)
        to = [params.to] if isinstance(params.to, str) else params.to
        reached = self._sending.resolve(sender, to=[name for name in to if name])
        place = Place(thread_id=event.thread_id)
        sent = await self._sending.commit(call, sender, message, content, place, reached, before=[event])
        return ThreadCreated(thread_id=event.thread_id, message_id=sent.message_id)

    def recall_create(self, call: Call, events: Sequence[Event]) -> ThreadCreated:
        """The answer given when these events were committed."""
        event = event_of(call, events, ThreadCreate)
        message = next((ids.message_id(e.ulid) for e in events if isinstance(e, MessageCreate)), "")
        return ThreadCreated(thread_id=event.thread_id, message_id=message)

    def page(self, call: Call, params: ThreadListParams) -> ThreadList:
        """Threads, the one with the newest message first."""
        limit, offset = paging(params.page, params.page_size)
        cache = self._ground.cache
        reader = self._people.of(call.caller)
        reader_id = reader.id if reader is not None else None
        if params.scope is None:
            rows = queries.threads_page(cache, reader=reader_id, limit=limit, offset=offset)
            total = queries.threads_count(cache)
        else:
            found = self._with_scope(params.scope)
            shown = (
                queries.thread(cache, thread_id, reader=reader_id)
                for thread_id in found[offset : offset + limit]
            )
            rows, total = [row for row in shown if row is not None], len(found)
        return ThreadList(
            threads=[_view(row) for row in rows],
            total=total,
            page=params.page,
            page_size=limit,
            total_pages=-(-total // limit),
        )

    def get(self, call: Call, params: ThreadGetParams) -> ThreadShown:
        """A thread with a page of its messages, which are not marked as read.

        Raises:
            NotFound: there is no such thread.
        """
        limit, offset = paging(params.page, params.page_size)
        reader = self._people.of(call.caller)
        reader_id = reader.id if reader is not None else None
        cache = self._ground.cache
        row = queries.thread(cache, params.thread_id, reader=reader_id)
        if row is None:
            raise NotFound("thread", params.thread_id, hint="thrum thread list")
        messages = queries.thread_messages(
            cache, params.thread_id, reader=reader_id, limit=limit, offset=offset
        )
        return ThreadShown(
            thread=_view(row),
            messages=self._views.page([message.key for message in messages], reader),
            total=row.message_count,
            page=params.page,
            page_size=limit,
            total_pages=-(-row.message_count // limit),
        )

    def _with_scope(self, scope: Tag) -> list[str]:
        """Ids of the threads with a message of that scope, the one with the newest such message first."""
        kinds = ", ".join(map(str, queries.scope_kinds(scope.type)))
        rows = self._ground.cache.read(
            "SELECT t.thread_id FROM label l JOIN message_label x ON x.label = l.id JOIN message m ON m.id = x.message"
            f" JOIN thread t ON t.id = m.thread WHERE l.kind IN ({kinds}) AND l.type = ? AND l.value = ?"
            " GROUP BY t.id ORDER BY max(m.id) DESC",
            (scope.type, scope.value),
        )
        return [row[0] for row in rows]


def _view(row: ThreadRow) -> ThreadView:
    return ThreadView(
        thread_id=row.thread_id,
        title=row.title,
        created_at=format_us(row.created_us),
        created_by=row.created_by,
        message_count=row.message_count,
        unread_count=row.unread_count,
        last_activity=format_us(row.last_activity_us),
        last_sender=row.last_sender,
        preview=body.preview(row.last_body),
    )

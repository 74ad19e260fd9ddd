"""Finding messages by their words, with the inbox's filters."""

from __future__ import annotations

from thrum_kernel.api import Call
from thrum_kernel.errors import NotFound
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.messaging.inbox import moment, paging
from thrum_kernel.messaging.model import Hit, SearchParams, SearchResult
from thrum_kernel.messaging.people import People
from thrum_kernel.messaging.views import Views
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import Filter
from thrum_kernel.projection.search import Search


class Searching:
    """The method ``message.search``."""

    def __init__(self, ground: Ground, people: People, views: Views, search: Search) -> None:
        self._ground = ground
        self._people = people
        self._views = views
        self._search = search

    async def search(self, call: Call, params: SearchParams) -> SearchResult:
        """A page of the messages that a query finds: the best first, above 10,000 hits the newest.

        Raises:
            UsageError: no words, a page out of range, or a time that is none.
            NotFound: an unknown author, or thread.
            Refused: ``mine``, ``unread`` or ``mentions`` without a registered caller.
            Projecting: the index is being filled.
        """
        limit, offset = paging(params.page, params.page_size)
        if params.thread_id and queries.thread(self._ground.cache, params.thread_id) is None:
            raise NotFound("thread", params.thread_id, hint="thrum thread list")
        author = self._people.find(params.from_agent).id if params.from_agent else None
        wants_self = params.mine or params.unread or params.mentions
        reader = self._people.known(call.caller) if wants_self else None
        filter_ = Filter(
            author=author,
            scope=(params.scope.type, params.scope.value) if params.scope else None,
            mention=(reader.name, reader.role) if reader is not None and params.mentions else None,
            thread=params.thread_id or None,
            after_us=moment(params.created_after, "created_after") if params.created_after else None,
        )
        found = await self._search.find(
            params.query,
            party=reader.id if reader is not None and params.mine else None,
            recipient=reader.id if reader is not None and params.unread else None,
            unread=params.unread,
            filter_=filter_,
            limit=limit,
            offset=offset,
        )
        pages = -(-found.total // limit)
        return SearchResult(
            hits=self._hits(call, {hit.key: hit.snippet for hit in found.hits}),
            total=found.total_text if found.has_more else found.total,
            page=params.page,
            page_size=limit,
            total_pages=f"{pages}+" if found.has_more else pages,
        )

    def _hits(self, call: Call, snippets: dict[int, str]) -> list[Hit]:
        """Hits in the order of *snippets*; a message that went meanwhile is left out."""
        keys = {m.message_id: m.key for m in queries.messages(self._ground.cache, list(snippets))}
        views = self._views.page(list(snippets), self._people.of(call.caller))
        return [
            Hit(message=view, snippet=snippets[keys[view.message_id]]) for view in views if not view.deleted
        ]

"""Push: a thread got a message. Everyone who hears of the message hears it, with their own count of unread ones.

Source: spec/kernel.md §9.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from thrum_kernel.clock import format_us
from thrum_kernel.messaging import body
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.messaging.model import Result
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import ThreadRow

THREAD_UPDATED = "notification.thread.updated"
"""The method of this push."""


class ThreadNews(Result, kw_only=True):
    """``unread_count`` is that of whoever is told; ``preview`` null when the newest message was deleted."""

    thread_id: str
    message_count: int
    unread_count: int
    last_activity: str
    last_sender: str
    preview: str | None
    timestamp: str


def thread_topic_of(incarnation: str) -> str:
    """The topic on which an agent's connections hear about threads."""
    return f"threads.{incarnation}"


class ThreadPush:
    """Tells about threads; see `push.Push` for the arguments."""

    def __init__(
        self, ground: Ground, *, publish: Callable[[str, Any], object], listeners: Callable[[str], int]
    ) -> None:
        self._ground = ground
        self._publish = publish
        self._listeners = listeners

    def tell(self, thread_id: str, incarnations: Iterable[str], *, timestamp: str) -> None:
        """Tell those of *incarnations* that listen how a thread stands since *timestamp*."""
        cache = self._ground.cache
        topics = {name: thread_topic_of(name) for name in incarnations}
        found = (
            queries.agent_by_incarnation(cache, name)
            for name, topic in topics.items()
            if self._listeners(topic)
        )
        readers = {agent.id: topics[agent.incarnation] for agent in found if agent is not None}
        thread = queries.thread(cache, thread_id) if readers else None
        if thread is None:
            return
        unread = queries.unread_in_thread(cache, thread_id, readers)
        for reader, topic in readers.items():
            self._publish(topic, _news(thread, unread.get(reader, 0), timestamp))


def _news(thread: ThreadRow, unread: int, timestamp: str) -> ThreadNews:
    return ThreadNews(
        thread_id=thread.thread_id,
        message_count=thread.message_count,
        unread_count=unread,
        last_activity=format_us(thread.last_activity_us),
        last_sender=thread.last_sender,
        preview=body.preview(thread.last_body) if thread.last_body else None,
        timestamp=timestamp,
    )

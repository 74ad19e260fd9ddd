"""The room as the daemon sees it: its methods, its tables, what it listens to."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from thrum_kernel import ids
from thrum_kernel.api import Caller, Evidence, Method
from thrum_kernel.clock import Clock, parse_us
from thrum_kernel.commit.committer import Committer
from thrum_kernel.errors import Projecting
from thrum_kernel.events import Event
from thrum_kernel.events.core import AgentCleanup, AgentRegister, MessageCreate, PurgeExecuted
from thrum_kernel.messaging.change import Changing
from thrum_kernel.messaging.deliver import Unseen, Waker
from thrum_kernel.messaging.facts import FACTS_MIGRATION, Facts
from thrum_kernel.messaging.ground import Ground, Withheld, nothing_withheld
from thrum_kernel.messaging.groups import Groups
from thrum_kernel.messaging.inbox import Inbox
from thrum_kernel.messaging.methods import methods
from thrum_kernel.messaging.model import Priority
from thrum_kernel.messaging.people import People
from thrum_kernel.messaging.push import SUBSCRIPTIONS_MIGRATION, Push, topics_of
from thrum_kernel.messaging.quota import Limits, Quota
from thrum_kernel.messaging.receipts import MARKS_MIGRATION, Receipts
from thrum_kernel.messaging.search import Searching
from thrum_kernel.messaging.send import Sending
from thrum_kernel.messaging.threads import Threads
from thrum_kernel.messaging.views import Views
from thrum_kernel.messaging.waits import POSITIONS_MIGRATION, Waits
from thrum_kernel.projection import queries
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.local import LocalDb
from thrum_kernel.projection.search import Search

LOCAL_MIGRATIONS = (MARKS_MIGRATION, FACTS_MIGRATION, POSITIONS_MIGRATION, SUBSCRIPTIONS_MIGRATION)
"""Tables in `local.db`: marks on their way into the log, delivery facts, positions of waits, subscriptions."""

_AT_ONCE = 100
"""Messages that one wake is for, the newest of them."""

_PRIORITIES: tuple[Priority, ...] = ("low", "normal", "high")

_log = logging.getLogger(__name__)


class Messaging:
    """Everything about messages. Belongs to the loop's thread.

    Args:
        archives: folder for `message.archive`.
        search: the full-text index; without one there is no `message.search`.
        limits: what the settings allow; asked for every message.
        publish, listeners: the topics of the bus.
        claimed: whether a plugin hears what is sent to a name that nobody registered.
        only_looks: whether a caller acts as an agent whose runtime lives elsewhere.
        touch: told the name of an agent that writes or looks.
        erase: takes the text of deleted messages, given by their ids, out of every file.
        marked: called when messages were read or seen; `journal_receipts` has something to do then.
        withheld: whether an event that was committed stays on this machine, and why.

    Attributes:
        people: who is there, for names as they are shown.
        waker: the wake ladder; its rungs are added by whoever can wake.
    """

    def __init__(
        self,
        *,
        cache: Cache,
        local: LocalDb,
        committer: Committer,
        clock: Clock,
        archives: Path,
        search: Search | None = None,
        limits: Callable[[], Limits] = Limits,
        publish: Callable[[str, Any], object] = lambda topic, payload: 0,
        listeners: Callable[[str], int] = lambda topic: 0,
        claimed: Callable[[str], bool] = lambda name: False,
        only_looks: Callable[[Caller], bool] = lambda caller: False,
        touch: Callable[[str], None] = lambda name: None,
        erase: Callable[[Sequence[str]], Awaitable[None]],
        marked: Callable[[], None] = lambda: None,
        withheld: Withheld = nothing_withheld,
    ) -> None:
        ground = Ground(cache, local, committer, clock, withheld)
        quota = Quota(clock, limits)
        self._ground = ground
        self.people = People(ground, touch=touch)
        self.facts = Facts(ground)
        self.receipts = Receipts(ground, marked=marked)
        self.views = Views(ground, self.people, self.facts)
        self.waker = Waker(unseen=self._unseen, record=self.record)
        self.inbox = Inbox(
            ground,
            self.people,
            self.views,
            self.receipts,
            self.facts,
            only_looks=only_looks,
            noticed=self.waker.notice,
        )
        self.sending = Sending(ground, self.people, quota, limits=limits, claimed=claimed)
        self.changing = Changing(
            ground, self.people, self.inbox, self.views, quota, limits=limits, archives=archives, erase=erase
        )
        self.groups = Groups(ground, self.people, delete_messages=self.changing.delete_group_messages)
        self.threads = Threads(ground, self.people, self.views, self.sending, quota)
        self.searching = Searching(ground, self.people, self.views, search) if search is not None else None
        self.waits = Waits(ground, self.people, self.views)
        self.push = Push(ground, self.people, publish=publish, listeners=listeners)
        committer.listeners.append(self.heard)

    def methods(self) -> Sequence[Method]:
        """Every method of this room."""
        return methods(self)

    def heard(self, event: Event) -> None:
        """An event that counts now, local or synced."""
        self.people.heard(event)
        self.waits.heard(event)
        self.push.heard(event)
        if isinstance(event, MessageCreate):
            self._wake(event)
        elif isinstance(event, AgentCleanup):
            self.waker.notice(event.incarnation)
        elif isinstance(event, AgentRegister) and event.agent_pid:
            self.waker.begun(event.incarnation)
        elif isinstance(event, PurgeExecuted):
            cutoff_us = parse_us(event.cutoff)
            self.receipts.forget_before(cutoff_us)
            self.facts.forget_before(cutoff_us)

    async def journal_receipts(self) -> None:
        """Put the read marks since the last time into the log; called before each cut of the journal.

        Raises:
            StoreError: the log took nothing; the marks stay for the next time.
        """
        try:
            await self.receipts.journal()
        except Projecting:  # nothing can be packed now; the marks stay for the next time
            _log.debug("receipts wait until the cache is rebuilt")

    def rebuilt(self) -> None:
        """The cache was made anew: apply what is not in the log, and look again at what came meanwhile."""
        self.people.forget()
        self.receipts.reapply()
        self.waits.rebuilt()
        self.wake_all()

    def wake_all(self) -> None:
        """Look at what every agent of this daemon has not seen: after a start, or when a rung was added."""
        if not self.waker.rungs:
            return
        for agent in self.people.directory.agents:
            if agent.home == self.people.directory.local:
                self.waker.notice(agent.incarnation)

    def record(self, incarnation: str, evidence: Evidence) -> None:
        """Keep evidence about deliveries to one agent; ``seen`` and ``read`` also mark the messages."""
        self.facts.record(incarnation, evidence)
        if evidence.fact not in ("seen", "read"):
            return
        reader = queries.agent_by_incarnation(self._ground.cache, incarnation)
        found = (queries.message_key(self._ground.cache, message_id) for message_id in evidence.message_ids)
        keys = [key for key in found if key is not None]
        if reader is not None and keys:
            self.receipts.mark(reader, keys, "read" if evidence.fact == "read" else "seen")
            self.waker.notice(incarnation)

    def topics_for(self, caller: Caller) -> list[tuple[str, str]]:
        """The topics that a connection of this caller listens on, with the method that each is pushed as."""
        row = self.people.of(caller)
        return topics_of(row.incarnation) if row is not None else []

    async def close(self) -> None:
        """Stop waking."""
        await self.waker.close()

    def _wake(self, event: MessageCreate) -> None:
        if event.priority == "low" or not self.waker.rungs:
            return
        directory = self.people.directory
        for recipient in event.recipients:
            agent = directory.by_incarnation.get(recipient.incarnation)
            if (
                agent is not None
                and agent.home == directory.local
                and recipient.incarnation != event.incarnation
            ):
                self.waker.notice(recipient.incarnation, can_wait=event.priority != "high")

    def _unseen(self, incarnation: str) -> tuple[str, list[Unseen]]:
        """An agent's name and what it has neither seen nor read, oldest first."""
        agent = self.people.directory.by_incarnation.get(incarnation)
        if agent is None:
            return "", []
        rows = self._ground.cache.read(
            "SELECT m.ulid, m.author, m.priority FROM delivery d INDEXED BY delivery_unread"
            " CROSS JOIN message m ON m.id = d.message WHERE d.agent = ? AND d.read_us IS NULL AND d.hidden = 0"
            " AND d.seen_us IS NULL AND m.author <> d.agent ORDER BY d.message DESC LIMIT ?",
            (agent.id, _AT_ONCE),
        )
        authors = queries.agents_by_key(self._ground.cache, [row[1] for row in rows])
        return agent.name, [
            Unseen(ids.message_id(ulid), self.people.shown(authors[author]), _PRIORITIES[priority])
            for ulid, author, priority in reversed(rows)
        ]

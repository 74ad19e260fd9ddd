"""Push: every new or edited message is told at once to those who listen.

An agent's connections listen on the topic of that agent. What is pushed there is what is addressed to it, unless one
of its open sessions narrows or widens that by subscriptions. The frame's payload is encoded once a message; a
subscription's own part is spliced in.

Messages in a thread are told once more as news of the thread (`thread_news`).

Source: spec/kernel.md §9.3; spec/decisions.md, "Messaging".
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from thrum_kernel import ids
from thrum_kernel.api import Call, Migration
from thrum_kernel.clock import format_us
from thrum_kernel.errors import NotFound, UsageError
from thrum_kernel.events import Event
from thrum_kernel.events.core import Label, MessageCreate, MessageEdit, SessionEnd
from thrum_kernel.messaging import body
from thrum_kernel.messaging.audience import MAX_ADDRESS
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.messaging.model import Lean, Params, Result, Tag
from thrum_kernel.messaging.people import People
from thrum_kernel.messaging.thread_news import THREAD_UPDATED, ThreadPush, thread_topic_of
from thrum_kernel.projection import queries

NOTIFICATION = "notification.message"
"""The method of a push, and the topic that carries every message, for plugins."""

SUBSCRIPTIONS_MIGRATION = Migration(
    "messaging.0004_subscriptions",
    (
        "CREATE TABLE subscription (id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, incarnation TEXT NOT NULL,"
        " scope_type TEXT NOT NULL DEFAULT '', scope_value TEXT NOT NULL DEFAULT '',"
        " mention TEXT NOT NULL DEFAULT '', created_us INTEGER NOT NULL)",
    ),
)

_AUDIENCES = ("agent", "role", "group", "broadcast")


class SubscribeParams(Params, kw_only=True):
    """At most one of the three; with none the connection hears what is addressed to the caller."""

    scope: Tag | None = None
    mention: str = ""
    all: bool = False


class Subscribed(Lean, kw_only=True):
    """``subscription_id`` is 0 when nothing was narrowed."""

    subscription_id: int
    created_at: str


class UnsubscribeParams(Params, kw_only=True):
    subscription_id: int | str


class Unsubscribed(Result, kw_only=True):
    removed: bool


class ListSubscriptionsParams(Params, kw_only=True):
    pass


class SubscriptionView(Lean, kw_only=True):
    subscription_id: int
    scope: Tag | None = None
    mention: str = ""
    all: bool = False
    created_at: str = ""


class SubscriptionList(Result, kw_only=True):
    subscriptions: list[SubscriptionView]


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one session asked for; neither scope nor mention means every message."""

    id: int
    session_id: str
    incarnation: str
    scope: tuple[str, str]
    mention: str
    created_us: int

    @property
    def kind(self) -> Literal["scope", "mention", "all"]:
        """How it matches."""
        if self.scope[0]:
            return "scope"
        return "mention" if self.mention else "all"


@dataclass(frozen=True, slots=True)
class _Told:
    """What a push is about."""

    message_id: str
    author: tuple[str, str]
    thread_id: str
    session_id: str
    preview: str
    scopes: list[Tag]
    audience: list[Label]
    recipients: frozenset[str]
    timestamp: str


def topic_of(incarnation: str) -> str:
    """The topic that an agent's connections listen on."""
    return f"messages.{incarnation}"


def topics_of(incarnation: str) -> list[tuple[str, str]]:
    """Every topic that an agent's connections listen on, with the method that it is pushed as."""
    return [(topic_of(incarnation), NOTIFICATION), (thread_topic_of(incarnation), THREAD_UPDATED)]


class Push:
    """Publishes messages, and keeps the subscriptions.

    Args:
        publish: sends a payload to a topic (`bus.topics.Topics.publish`).
        listeners: how many listen to a topic (`Topics.subscribers`).
    """

    def __init__(
        self,
        ground: Ground,
        people: People,
        *,
        publish: Callable[[str, Any], object],
        listeners: Callable[[str], int],
    ) -> None:
        self._ground = ground
        self._people = people
        self._publish = publish
        self._listeners = listeners
        self._threads = ThreadPush(ground, publish=publish, listeners=listeners)
        self._subscriptions: dict[int, Subscription] | None = None
        self._ids = itertools.count(1)

    # --- methods -----------------------------------------------------------------------------------------------------

    async def subscribe(self, call: Call, params: SubscribeParams) -> Subscribed:
        """Have this connection hear messages, and narrow what its session hears.

        Raises:
            UsageError: more than one of scope, mention and all, or one that is too long.
            Refused: the caller has no open session.
        """
        if sum((params.scope is not None, bool(params.mention), params.all)) > 1:
            raise UsageError("scope, mention and all are mutually exclusive")
        if params.scope is not None:
            body.check_label(params.scope, what="scope")
        if len(params.mention) > MAX_ADDRESS:
            raise UsageError(f"mention is too long: {len(params.mention)} characters, at most {MAX_ADDRESS}")
        row = self._people.known(call.caller)
        session_id = self._people.session(row)
        for topic, method in topics_of(row.incarnation):
            call.subscribe(topic, as_method=method)
        now_us = self._ground.clock.now_us()
        if params.scope is None and not params.mention and not params.all:
            return Subscribed(subscription_id=0, created_at=format_us(now_us))
        known = self._known()
        scope = (params.scope.type, params.scope.value) if params.scope else ("", "")
        wanted = (session_id, scope, params.mention.removeprefix("@"))
        for old in known.values():
            if (old.session_id, old.scope, old.mention) == wanted:
                return Subscribed(subscription_id=old.id, created_at=format_us(old.created_us))
        made = Subscription(next(self._ids), session_id, row.incarnation, scope, wanted[2], now_us)
        known[made.id] = made
        values = (made.id, session_id, row.incarnation, *scope, made.mention, now_us)
        await self._ground.local.write(
            lambda db: db.execute("INSERT INTO subscription VALUES (?, ?, ?, ?, ?, ?, ?)", values).rowcount
        )
        return Subscribed(subscription_id=made.id, created_at=format_us(now_us))

    async def unsubscribe(self, call: Call, params: UnsubscribeParams) -> Unsubscribed:
        """End a subscription of one's own.

        Raises:
            NotFound: there is none of that id.
        """
        row = self._people.known(call.caller)
        text = str(params.subscription_id)
        found = self._known().get(int(text)) if text.isdecimal() else None
        if found is None or found.incarnation != row.incarnation:
            raise NotFound("subscription", text, hint="thrum subscriptions")
        await self._forget([found])
        return Unsubscribed(removed=True)

    def page(self, call: Call, params: ListSubscriptionsParams) -> SubscriptionList:
        """The subscriptions of the caller's open session."""
        row = self._people.known(call.caller)
        sessions = {session.session_id for session in queries.open_sessions(self._ground.cache, row.id)}
        return SubscriptionList(
            subscriptions=[
                SubscriptionView(
                    subscription_id=found.id,
                    scope=Tag(*found.scope) if found.scope[0] else None,
                    mention=found.mention,
                    all=found.kind == "all",
                    created_at=format_us(found.created_us),
                )
                for found in self._known().values()
                if found.session_id in sessions
            ]
        )

    # --- pushing -----------------------------------------------------------------------------------------------------

    def heard(self, event: Event) -> None:
        """A committed event, local or synced."""
        if isinstance(event, MessageCreate):
            if self._is_awaited(event):
                told = self._created(event)
                self._push(told)
                if event.thread_id:
                    hearers = {*self._hearers(told), event.incarnation}
                    self._threads.tell(event.thread_id, hearers, timestamp=event.timestamp)
        elif isinstance(event, MessageEdit):
            changed = self._edited(event)
            if changed is not None:
                self._push(changed)
        elif isinstance(event, SessionEnd):
            ended = [s for s in self._known().values() if s.session_id == event.session_id]
            for subscription in ended:
                del self._known()[subscription.id]
            if ended:
                self._ground.local.write_later(lambda db: _delete(db, ended))

    def _is_awaited(self, event: MessageCreate) -> bool:
        """Whether anybody may listen, so that nothing is built for nobody."""
        if self._known() or self._listeners(NOTIFICATION):
            return True
        if event.thread_id and self._listeners(thread_topic_of(event.incarnation)):
            return True
        return any(self._listeners(topic_of(recipient.incarnation)) for recipient in event.recipients)

    def _hearers(self, told: _Told) -> dict[str, Subscription | None]:
        """Whom to tell, by incarnation, with the subscription that asks for it; None where none narrows."""
        narrowed = {subscription.incarnation for subscription in self._known().values()}
        matching = {s.incarnation: s for s in reversed(self._known().values()) if _matches(s, told)}
        return dict.fromkeys(told.recipients - narrowed) | matching

    def _push(self, told: _Told) -> None:
        raw = b""
        for incarnation, subscription in self._hearers(told).items():
            if self._listeners(topic_of(incarnation)):
                raw = raw or _encoded(told)
                payload = raw if subscription is None else _with_match(raw, subscription)
                self._publish(topic_of(incarnation), msgspec.Raw(payload))
        if self._listeners(NOTIFICATION):
            self._publish(NOTIFICATION, msgspec.json.decode(raw or _encoded(told)))

    def _created(self, event: MessageCreate) -> _Told:
        own = event.incarnation
        return _Told(
            message_id=ids.message_id(event.ulid),
            author=(
                self._people.directory.shown_name(event.agent_id, event.origin_daemon, own),
                event.agent_id,
            ),
            thread_id=event.thread_id,
            session_id=event.session_id,
            preview=body.preview(event.body.content),
            scopes=[Tag(label.type, label.value) for label in event.scopes],
            audience=event.audience,
            recipients=frozenset(r.incarnation for r in event.recipients if r.incarnation not in ("", own)),
            timestamp=event.timestamp,
        )

    def _edited(self, event: MessageEdit) -> _Told | None:
        """An edit, told to whom its message went; None while the message is not there."""
        cache = self._ground.cache
        key = queries.message_key(cache, event.message_id)
        message = queries.message(cache, key) if key is not None else None
        if key is None or message is None or message.deleted_us is not None:
            return None
        labels = queries.labels(cache, [key])[key]
        own = message.author.incarnation
        return _Told(
            message_id=message.message_id,
            author=(self._people.shown(message.author), message.author.name),
            thread_id=message.thread_id,
            session_id=message.session_id,
            preview=body.preview(message.body),
            scopes=[Tag(label.type, label.value) for label in labels.scopes],
            audience=[Label(label.type, label.value) for label in labels.audience],
            recipients=frozenset(
                row.agent.incarnation
                for row in queries.recipients(cache, [key])[key]
                if row.agent.incarnation != own
            ),
            timestamp=event.timestamp,
        )

    # --- subscriptions kept ------------------------------------------------------------------------------------------

    def _known(self) -> dict[int, Subscription]:
        if self._subscriptions is None:
            rows = self._ground.local.read(
                "SELECT id, session_id, incarnation, scope_type, scope_value, mention, created_us FROM subscription"
            )
            found = [Subscription(row[0], row[1], row[2], (row[3], row[4]), row[5], row[6]) for row in rows]
            self._subscriptions = {subscription.id: subscription for subscription in found}
            self._ids = itertools.count(max(self._subscriptions, default=0) + 1)
        return self._subscriptions

    async def _forget(self, gone: Iterable[Subscription]) -> None:
        for subscription in gone:
            self._known().pop(subscription.id, None)
        await self._ground.local.write(lambda db: _delete(db, gone))


def _delete(db: sqlite3.Connection, gone: Iterable[Subscription]) -> None:
    db.executemany("DELETE FROM subscription WHERE id = ?", [(subscription.id,) for subscription in gone])


def _matches(subscription: Subscription, told: _Told) -> bool:
    if subscription.scope[0]:
        has = {(tag.type, tag.value) for tag in told.scopes} | {
            (entry.type, entry.value) for entry in told.audience
        }
        return subscription.scope in has
    if subscription.mention:
        return any(a.type in _AUDIENCES and a.value == subscription.mention for a in told.audience)
    return True


def _encoded(told: _Told) -> bytes:
    agent_id, name = told.author
    return msgspec.json.encode(
        {
            "message_id": told.message_id,
            "thread_id": told.thread_id,
            "author": {"agent_id": agent_id, "name": name},
            "preview": told.preview,
            "scopes": told.scopes,
            "timestamp": told.timestamp,
            "message": {
                "id": told.message_id,
                "thread_id": told.thread_id,
                "agent_id": agent_id,
                "session_id": told.session_id,
                "body": {"content": told.preview},
                "scopes": told.scopes,
                "timestamp": told.timestamp,
            },
        }
    )


def _with_match(raw: bytes, subscription: Subscription) -> bytes:
    match = {"subscription_id": subscription.id, "match_type": subscription.kind}
    return raw[:-1] + b',"matched_subscription":' + msgspec.json.encode(match) + b"}"

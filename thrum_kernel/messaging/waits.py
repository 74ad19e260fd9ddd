"""Waiting for messages: told, never polling. Source: spec/decisions.md, "Messaging"; spec/kernel.md §5.5.

A wait begins at its session's position (see `position`), reports every message that came since, oldest first, and
moves the position once the client has taken the answer. A pending wait costs a send one look-up by recipient.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from thrum_kernel import ids
from thrum_kernel.api import Call, Migration
from thrum_kernel.clock import format_us
from thrum_kernel.errors import Projecting, UsageError
from thrum_kernel.events import Event
from thrum_kernel.events.core import MessageCreate, SessionEnd
from thrum_kernel.messaging.ground import Ground
from thrum_kernel.messaging.inbox import MAX_PAGE_SIZE
from thrum_kernel.messaging.model import MessageView, WaitParams, WaitResult
from thrum_kernel.messaging.people import People
from thrum_kernel.messaging.position import Place, Position
from thrum_kernel.messaging.views import Views
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow
from thrum_kernel.projection.schema import AUDIENCE

POSITIONS_MIGRATION = Migration(
    "messaging.0003_wait_positions",
    ("CREATE TABLE wait_position (session_id TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID",),
)

MAX_TIMEOUT_MS = 24 * 3600 * 1000
_BACK_US = 1_000_000
_PART = re.compile(r"(\d+(?:\.\d+)?)(us|µs|ms|s|m|h|d|)")
_UNIT_US = {
    "us": 1,
    "µs": 1,
    "ms": 1_000,
    "": 1_000_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_AUDIENCES = ("agent", "role", "group", "broadcast")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages a wait is for.

    Attributes:
        incarnation: what is addressed to it counts, unless a filter is given.
        from_us: only messages with this timestamp or a later one; 0 for any.
    """

    incarnation: str
    scope: tuple[str, str] | None = None
    mention: str = ""
    from_us: int = 0

    @property
    def is_filtered(self) -> bool:
        return self.scope is not None or bool(self.mention)


@dataclass(slots=True, eq=False)
class _Waiter:
    """One pending wait.

    Attributes:
        known: ids of messages to the agent since the wait began, whether it is for them or not.
        found: those that it is for.
        is_stale: it has to look at the cache for what came before.
    """

    wanted: Wanted
    known: dict[str, None] = field(default_factory=dict)
    found: dict[str, None] = field(default_factory=dict)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    is_stale: bool = True


class Waits:
    """The method ``message.wait`` and the positions of sessions."""

    def __init__(self, ground: Ground, people: People, views: Views) -> None:
        self._ground = ground
        self._people = people
        self._views = views
        self._by_recipient: dict[str, set[_Waiter]] = {}
        self._filtered: set[_Waiter] = set()
        self._positions: dict[str, Position] = {}

    def heard(self, event: Event) -> None:
        """A committed event, local or synced."""
        if isinstance(event, MessageCreate):
            self._arrived(event)
        elif isinstance(event, SessionEnd):
            self._positions.pop(event.session_id, None)
            ended = (event.session_id,)
            self._ground.local.write_later(
                lambda db: db.execute("DELETE FROM wait_position WHERE session_id = ?", ended)
            )

    async def wait(self, call: Call, params: WaitParams) -> WaitResult:
        """Return as soon as there is a message to report, or after the timeout.

        Raises:
            UsageError: a parameter is out of range.
            Refused: the caller has no open session.
            Projecting: the cache is being rebuilt.
        """
        limit, timeout_s = _limits(params)
        from_us = _start(params.after, self._ground.clock.now_us())
        agent = self._people.known(call.caller)
        session_id = self._people.session(agent)
        scope = (params.scope.type, params.scope.value) if params.scope else None
        wanted = Wanted(agent.incarnation, scope, params.mention.strip().removeprefix("@"), from_us)
        waiter = _Waiter(wanted)
        self._enter(waiter)
        try:
            await self._until_found(waiter, session_id, timeout_s)
            return await self._answer(call, waiter, session_id, limit)
        finally:
            self._leave(waiter)

    @property
    def pending(self) -> int:
        """How many agents' waits are under way."""
        return sum(map(len, self._by_recipient.values()))

    def rebuilt(self) -> None:
        """The cache was rebuilt: what came meanwhile was told to nobody, so every wait looks back again."""
        for waiters in self._by_recipient.values():
            for waiter in waiters:
                waiter.is_stale = True
                waiter.woken.set()

    async def _until_found(self, waiter: _Waiter, session_id: str, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s or None) as deadline:
                while True:
                    self._refresh(waiter, session_id)
                    if waiter.found or not timeout_s:
                        return
                    await waiter.woken.wait()
        except TimeoutError:
            if not deadline.expired():
                raise

    def _refresh(self, waiter: _Waiter, session_id: str) -> None:
        """Look back where that has not been done since the cache was made.

        Raises:
            Projecting: the cache is being rebuilt.
        """
        if not waiter.is_stale:
            return
        waiter.woken.clear()
        agent = queries.agent_by_incarnation(self._ground.cache, waiter.wanted.incarnation)
        if agent is not None:
            self._look_back(waiter, agent, self._position(session_id, agent))
        waiter.is_stale = False

    def _arrived(self, event: MessageCreate) -> None:
        message_id = ids.message_id(event.ulid)
        for recipient in event.recipients:
            for waiter in self._by_recipient.get(recipient.incarnation, ()):
                if event.incarnation != waiter.wanted.incarnation:
                    waiter.known[message_id] = None
                    if not waiter.wanted.is_filtered:
                        self._found(waiter, event)
        for waiter in self._filtered:
            if event.incarnation != waiter.wanted.incarnation and _matches(waiter.wanted, event):
                self._found(waiter, event)

    def _found(self, waiter: _Waiter, event: MessageCreate) -> None:
        if waiter.wanted.from_us and event.timestamp < format_us(waiter.wanted.from_us):
            return
        waiter.found[ids.message_id(event.ulid)] = None
        waiter.woken.set()

    def _enter(self, waiter: _Waiter) -> None:
        self._by_recipient.setdefault(waiter.wanted.incarnation, set()).add(waiter)
        if waiter.wanted.is_filtered:
            self._filtered.add(waiter)

    def _leave(self, waiter: _Waiter) -> None:
        waiting = self._by_recipient[waiter.wanted.incarnation]
        waiting.discard(waiter)
        if not waiting:
            del self._by_recipient[waiter.wanted.incarnation]
        self._filtered.discard(waiter)

    def _look_back(self, waiter: _Waiter, agent: AgentRow, position: Position) -> None:
        """What came before the wait began and was not reported: in `known` what is addressed to the agent, in
        `found` what the wait is for."""
        wanted = waiter.wanted
        addressed = "EXISTS (SELECT 1 FROM delivery d WHERE d.message = m.id AND d.agent = ?)"
        news = self._coverage().beyond(position)
        waiter.known.update(dict.fromkeys(self._within(news, agent, addressed, (agent.id,))))
        if wanted.from_us:
            clause, params = _clause(wanted) if wanted.is_filtered else (addressed, (agent.id,))
            earlier = self._since(wanted.from_us, agent, clause, params)
        elif wanted.is_filtered:
            earlier = self._within(news, agent, *_clause(wanted))
        else:
            earlier = list(waiter.known)
        waiter.found.update(dict.fromkeys(earlier))

    def _within(
        self, ranges: dict[str, list[tuple[int, int]]], agent: AgentRow, clause: str, params: Sequence[object]
    ) -> list[str]:
        """Ids of messages by others at places in *ranges* for which *clause* holds."""
        sql = (
            "SELECT m.ulid FROM message m WHERE m.writer = (SELECT id FROM writer WHERE writer = ?)"
            f" AND m.sequence BETWEEN ? AND ? AND m.author <> ? AND m.deleted_us IS NULL AND {clause}"
        )
        found: list[str] = []
        for writer, spans in ranges.items():
            for first, last in spans:
                rows = self._ground.cache.read(sql, (writer, first, last, agent.id, *params))
                found += [ids.message_id(row[0]) for row in rows]
        return found

    def _since(self, from_us: int, agent: AgentRow, clause: str, params: Sequence[object]) -> list[str]:
        """Ids of messages by others with that timestamp or a later one for which *clause* holds."""
        rows = self._ground.cache.read(
            "SELECT m.ulid FROM message m WHERE m.id >= ? AND m.created_us >= ? AND m.author <> ?"
            f" AND m.deleted_us IS NULL AND {clause}",
            (ids.key_floor(from_us - _BACK_US), from_us, agent.id, *params),
        )
        return [ids.message_id(row[0]) for row in rows]

    async def _answer(self, call: Call, waiter: _Waiter, session_id: str, limit: int) -> WaitResult:
        while True:
            try:
                self._refresh(waiter, session_id)
                return self._built(call, waiter, session_id, limit)
            except Projecting:  # what came is known; only its text has to wait for the rebuilt cache
                await asyncio.sleep(0.2)

    def _built(self, call: Call, waiter: _Waiter, session_id: str, limit: int) -> WaitResult:
        cache = self._ground.cache
        agent = queries.agent_by_incarnation(cache, waiter.wanted.incarnation)
        keys = sorted(self._keys(waiter.found).values())[:limit]
        views = [view for view in self._views.page(keys, agent) if not view.deleted]
        passed = self._passed(waiter, views)
        if not views:
            self._advance(session_id, passed, durably=False)
            return WaitResult(status="timeout")
        call.when_shown(lambda: self._advance(session_id, passed, durably=True))
        return WaitResult(status="received", messages=views, action=_action(waiter.wanted))

    def _passed(self, waiter: _Waiter, shown: Sequence[MessageView]) -> Position:
        """The places that need no report any more once *shown* was taken: all but those of messages left out."""
        told = {view.message_id for view in shown}
        left_out = self._keys(key for key in (waiter.known | waiter.found) if key not in told)
        places: list[Place] = []
        for message in queries.messages(self._ground.cache, list(left_out.values())):
            if message.deleted_us is None:
                places.append((message.writer, message.sequence))
        return self._coverage().without(places)

    def _keys(self, message_ids: Iterable[str]) -> dict[str, int]:
        found = {
            message_id: queries.message_key(self._ground.cache, message_id) for message_id in message_ids
        }
        return {message_id: key for message_id, key in found.items() if key is not None}

    def _position(self, session_id: str, agent: AgentRow) -> Position:
        """Where a session's waits stand; the first one begins a second ago."""
        position = self._positions.get(session_id)
        if position is None:
            rows = self._ground.local.read(
                "SELECT position FROM wait_position WHERE session_id = ?", (session_id,)
            )
            position = Position.load(rows[0][0]) if rows else None
        if position is None:
            clause = "EXISTS (SELECT 1 FROM delivery d WHERE d.message = m.id AND d.agent = ?)"
            recent = self._since(self._ground.clock.now_us() - _BACK_US, agent, clause, (agent.id,))
            messages = queries.messages(self._ground.cache, list(self._keys(recent).values()))
            position = self._coverage().without((message.writer, message.sequence) for message in messages)
            self._advance(session_id, position, durably=True)
        self._positions[session_id] = position
        return position

    def _advance(self, session_id: str, passed: Position, *, durably: bool) -> None:
        position = self._positions.get(session_id)
        position = passed if position is None else position | passed
        self._positions[session_id] = position
        if durably:
            row = (session_id, position.dump())

            def write(db: sqlite3.Connection) -> None:
                db.execute(
                    "INSERT INTO wait_position VALUES (?, ?)"
                    " ON CONFLICT DO UPDATE SET position = excluded.position",
                    row,
                )

            self._ground.local.write_later(write)

    def _coverage(self) -> Position:
        """Every place whose message, if it is one, is there: what is held back may still become one."""
        held = self._ground.cache.read(
            "SELECT w.writer, h.sequence FROM held h JOIN writer w ON w.id = h.writer"
            " WHERE h.kind IN ('agent', 'ahead')"
        )
        return Position(queries.projected(self._ground.cache)).without(held)


def _limits(params: WaitParams) -> tuple[int, float]:
    if not 1 <= params.limit <= MAX_PAGE_SIZE:
        raise UsageError(f"invalid limit: {params.limit} (must be 1 to {MAX_PAGE_SIZE})")
    if not 0 <= params.timeout_ms <= MAX_TIMEOUT_MS:
        raise UsageError(f"invalid timeout: {params.timeout_ms} ms (at most {MAX_TIMEOUT_MS})")
    return params.limit, params.timeout_ms / 1000


def _start(after: str, now_us: int) -> int:
    """The earliest timestamp wanted, 0 for none: ``-30s`` is half a minute ago, ``+60s`` and ``60s`` in a minute."""
    text = after.strip()
    if not text:
        return 0
    digits = text.lstrip("+-")
    parts = _PART.findall(digits)
    if len(text) - len(digits) > 1 or not parts or "".join(n + unit for n, unit in parts) != digits:
        raise UsageError(
            f'invalid after "{after}"', hint="-30s: what came up to 30 s ago; +60s: only what comes later"
        )
    offset_us = round(sum(float(number) * _UNIT_US[unit] for number, unit in parts))
    return max(1, now_us - offset_us if text.startswith("-") else now_us + offset_us)


def _matches(wanted: Wanted, event: MessageCreate) -> bool:
    """Whether a message has the scope and the mention that a wait asks for."""
    if wanted.scope is not None:
        type_, value = wanted.scope
        labels = [*event.scopes, *event.audience] if AUDIENCE in queries.scope_kinds(type_) else event.scopes
        if not any((label.type, label.value) == (type_, value) for label in labels):
            return False
    return not wanted.mention or any(
        label.value == wanted.mention and label.type in _AUDIENCES for label in event.audience
    )


def _clause(wanted: Wanted) -> tuple[str, list[object]]:
    """The same as `_matches` as a condition on ``message m``, with its parameters."""
    parts: list[str] = []
    params: list[object] = []
    has = (
        "EXISTS (SELECT 1 FROM message_label x JOIN label l ON l.id = x.label WHERE x.message = m.id AND {})"
    )
    if wanted.scope is not None:
        kinds = ", ".join(map(str, queries.scope_kinds(wanted.scope[0])))
        parts.append(has.format(f"l.kind IN ({kinds}) AND l.type = ? AND l.value = ?"))
        params += wanted.scope
    if wanted.mention:
        types = ", ".join(f"'{name}'" for name in _AUDIENCES)
        parts.append(has.format(f"l.kind = ? AND l.type IN ({types}) AND l.value = ?"))
        params += [AUDIENCE, wanted.mention]
    return " AND ".join(parts), params


def _action(wanted: Wanted) -> str:
    if wanted.scope is not None:
        return f"thrum inbox --scope {wanted.scope[0]}:{wanted.scope[1]}"
    return "thrum inbox --unread"

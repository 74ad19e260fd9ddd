"""How things stood at one point of the log: what `log.replay` answers, asked of a database projected up to there.

The point is an event (everything up to it in causal order) or a time (everything with a timestamp up to it). What was
purged or deleted since is gone here too. Agents are called as everywhere: by the long form where the bare name means
another.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from thrum_kernel.clock import format_us, parse_us
from thrum_kernel.errors import NotFound, UsageError
from thrum_kernel.ids import is_ulid
from thrum_kernel.jsonlines import decoder
from thrum_kernel.projection.queries import names_of_hosts
from thrum_kernel.store.ranges import LogLine


class ReplayedAgent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An agent that existed then. ``session_since`` is empty when it had no open session."""

    agent_id: str
    home_daemon: str
    role: str
    module: str
    sent: int
    unread: int
    session_since: str = ""
    intent: str = ""


class ReplayedMessage(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A message as it read then, with those who had not read it."""

    message_id: str
    agent_id: str
    created_at: str
    content: str
    deleted: bool = False
    edited_at: str = ""
    unread_by: list[str] = []


class ReplayResult(msgspec.Struct, kw_only=True):
    """How things stood.

    ``to`` is the point as asked for, ``at`` and ``last_event`` the newest event before it, ``log_events`` how many
    lines of the log it took. ``recent`` holds the newest messages, of the agent's inbox when one was asked for, oldest
    first.
    """

    to: str
    at: str
    last_event: str
    log_events: int
    agents: int
    open_sessions: int
    messages: int
    unread: int
    team: list[ReplayedAgent]
    recent: list[ReplayedMessage]


class Summary(NamedTuple):
    """What was played: the point, the newest event before it, and how many lines there were."""

    to: str
    at: str
    last_event: str
    log_events: int


class _Head(msgspec.Struct):
    event_id: str
    timestamp: str


_head = decoder(_Head)


class Point:
    """A point of the log.

    Raises:
        UsageError: *to* is neither an event id nor an RFC 3339 time.
    """

    def __init__(self, to: str) -> None:
        self._to = to
        self._is_event = to.startswith("evt_") and is_ulid(to[4:])
        self._found = False
        self._newest = ("", "")
        self._count = 0
        try:
            self._until = to if self._is_event else format_us(parse_us(to))
        except ValueError as error:
            raise UsageError(f"to: neither an event id nor an RFC 3339 time: {to!r}") from error

    def before(self, batches: Iterable[Sequence[LogLine]]) -> Iterator[list[LogLine]]:
        """The lines up to and including the point."""
        for batch in batches:
            kept = [line for line in batch if self._take(line[3])]
            if kept:
                yield kept

    def summary(self) -> Summary:
        """What was played.

        Raises:
            NotFound: there is no such event in the log.
        """
        if self._is_event and not self._found:
            raise NotFound("event", self._to)
        return Summary(self._to, self._newest[1], self._newest[0], self._count)

    def _take(self, line: bytes) -> bool:
        try:
            head = _head(line)
        except msgspec.MsgspecError:
            return False
        if (head.event_id if self._is_event else head.timestamp) > self._until:
            return False
        self._found = self._found or head.event_id == self._to
        self._newest = max(self._newest, (head.event_id, head.timestamp))
        self._count += 1
        return True


_TEAM = """
SELECT a.agent_id, a.home_daemon, a.role, a.module,
    (SELECT count(*) FROM messages m WHERE m.incarnation = a.incarnation),
    (SELECT count(*) FROM message_deliveries d JOIN messages m USING (message_id)
        WHERE d.incarnation = a.incarnation AND d.read_at IS NULL AND NOT m.deleted),
    coalesce((SELECT max(s.started_at) FROM sessions s WHERE s.incarnation = a.incarnation AND s.ended_at IS NULL), ''),
    coalesce((SELECT w.intent FROM agent_work_contexts w JOIN sessions s USING (session_id)
        WHERE s.incarnation = a.incarnation ORDER BY s.started_at DESC LIMIT 1), ''), a.incarnation
FROM agents a ORDER BY a.agent_id, a.home_daemon
"""

_RECENT = """
SELECT m.message_id, m.agent_id, m.created_at, CASE WHEN m.deleted THEN '' ELSE m.body_content END, m.deleted,
    coalesce(m.updated_at, ''), m.incarnation
FROM messages m
WHERE :agents = '[]' OR m.message_id IN
    (SELECT d.message_id FROM message_deliveries d WHERE d.incarnation IN (SELECT value FROM json_each(:agents)))
ORDER BY m.message_id DESC LIMIT :limit
"""

_UNREAD_BY = """
SELECT recipient_agent_id, incarnation FROM message_deliveries WHERE message_id = ? AND read_at IS NULL ORDER BY 1
"""

_REGISTERED = (
    "SELECT agent_id, home_daemon, hostname, incarnation FROM agents ORDER BY registered_at, incarnation"
)

Names = Mapping[str, str]
"""What to call agents, by incarnation; those that were deleted are left out."""


def replay_result(
    connection: sqlite3.Connection, played: Summary, *, daemon: str, agent: str, limit: int
) -> ReplayResult:
    """What a database that was projected up to a point says.

    Args:
        connection: to the database, with the cache's views.
        played: what was projected.
        daemon: this daemon's id: a bare name means its agent first.
        agent: whose inbox to show, as a bare name everybody's who has it; everyone's messages when empty.
        limit: how many messages.

    Raises:
        NotFound: there was no such agent then.
    """
    names = _names(connection, daemon)
    played_team = connection.execute(_TEAM).fetchall()
    meant = sorted(row[-1] for row in played_team if agent in (row[0], names[row[-1]]))
    if agent and not meant:
        raise NotFound("agent", agent, message=f"there was no agent @{agent} at {played.to}")
    team = [_agent(row, names) for row in played_team]
    wanted = {"agents": msgspec.json.encode(meant).decode(), "limit": limit}
    rows = connection.execute(_RECENT, wanted).fetchall()
    return ReplayResult(
        to=played.to,
        at=played.at,
        last_event=played.last_event,
        log_events=played.log_events,
        agents=len(team),
        open_sessions=sum(bool(member.session_since) for member in team),
        messages=connection.execute("SELECT count(*) FROM messages").fetchone()[0],
        unread=sum(member.unread for member in team),
        team=team,
        recent=[_message(connection, row, names) for row in reversed(rows)],
    )


def _names(connection: sqlite3.Connection, daemon: str) -> Names:
    registered = connection.execute(_REGISTERED).fetchall()
    hosts = names_of_hosts((home, hostname) for _, home, hostname, _ in registered)
    namesakes = Counter(name for name, _, _, _ in registered)
    return {
        incarnation: name if home == daemon or namesakes[name] == 1 else f"{name}@{hosts.get(home) or home}"
        for name, home, _, incarnation in registered
    }


def _agent(row: tuple[Any, ...], names: Names) -> ReplayedAgent:
    _, home_daemon, role, module, sent, unread, session_since, intent, incarnation = row
    return ReplayedAgent(
        agent_id=names[incarnation],
        home_daemon=home_daemon,
        role=role,
        module=module,
        sent=sent,
        unread=unread,
        session_since=session_since,
        intent=intent,
    )


def _message(connection: sqlite3.Connection, row: tuple[Any, ...], names: Names) -> ReplayedMessage:
    message_id, agent_id, created_at, content, deleted, edited_at, incarnation = row
    return ReplayedMessage(
        message_id=message_id,
        agent_id=names.get(incarnation, agent_id),
        created_at=created_at,
        content=content,
        deleted=bool(deleted),
        edited_at=edited_at,
        unread_by=[names.get(key, name) for name, key in connection.execute(_UNREAD_BY, (message_id,))],
    )

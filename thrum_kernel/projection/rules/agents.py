"""Agents, their moves, sessions and work.

Of several events about one thing the one with the highest event id holds, whatever order they came in; a deletion is
for good.
"""

from __future__ import annotations

from typing import Final

import msgspec

from thrum_kernel.clock import parse_us
from thrum_kernel.events.core import (
    AgentCleanup,
    AgentMove,
    AgentRef,
    AgentRegister,
    AgentUpdate,
    SessionEnd,
    SessionStart,
)
from thrum_kernel.projection.tables import Agent, Held, Place, Tables, Verdict

_DATED: Final = "0000000001"
"""Incarnations below have no time in them; see `migrate.names`."""


def register(tables: Tables, place: Place, event: AgentRegister) -> Verdict:
    """An agent exists, or changed."""
    if event.incarnation in ("", event.ulid):
        agent = _begin(tables, place, event)
    else:
        found = tables.author(event.agent_id, event.incarnation, place.daemon)
        if isinstance(found, Held):
            return found
        agent = found
    tables.db.execute(
        "UPDATE agent SET kind = ?, role = ?, module = ?, display = ?, hostname = ?, worktree = ?, runtime = ?,"
        " agent_pid = ?, registered_ulid = ? WHERE id = ? AND registered_ulid < ?",
        (
            event.kind,
            event.role,
            event.module,
            event.display,
            event.hostname,
            event.worktree,
            event.runtime,
            event.agent_pid,
            event.ulid,
            agent.key,
            event.ulid,
        ),
    )
    _date(tables, agent, event)
    return None


def _date(tables: Tables, agent: Agent, event: AgentRegister) -> None:
    """What an earlier layout knew begins undated: the earliest registration with a time says when that was."""
    at_us = parse_us(event.timestamp)
    if not event.incarnation or event.incarnation >= _DATED:
        return
    tables.db.execute(
        "UPDATE agent SET registered_us = ? WHERE id = ? AND incarnation < ?"
        " AND (registered_us = 0 OR registered_us > ?)",
        (at_us, agent.key, _DATED, at_us),
    )


def _begin(tables: Tables, place: Place, event: AgentRegister) -> Agent:
    """The first registration, which the incarnation is named after."""
    agent = tables.agent(AgentRef(event.agent_id, place.daemon, event.ulid))
    daemon = tables.daemon(place.daemon)
    tables.db.execute(
        "UPDATE agent SET name = ?, daemon = ?, registered_us = ?,"
        " home = CASE moved_ulid WHEN '' THEN ? ELSE home END WHERE id = ?",
        (event.agent_id, daemon, parse_us(event.timestamp), daemon, agent.key),
    )
    agent.name, agent.daemon, agent.is_registered = event.agent_id, place.daemon, True
    tables.add_home(event.ulid, agent, place.daemon)
    return agent


def cleanup(tables: Tables, place: Place, event: AgentCleanup) -> Verdict:
    """An incarnation is deleted; of several deletions the first is shown."""
    agent = tables.author(event.agent_id, event.incarnation, place.daemon)
    if isinstance(agent, Held):
        return agent
    tables.db.execute(
        "UPDATE agent SET deleted_us = ?, deleted_ulid = ?, deleted_reason = ?"
        " WHERE id = ? AND (deleted_ulid IS NULL OR deleted_ulid > ?)",
        (parse_us(event.timestamp), event.ulid, event.reason, agent.key, event.ulid),
    )
    return None


def move(tables: Tables, place: Place, event: AgentMove) -> Verdict:
    """An incarnation, and with it all that was delivered to it, has another home."""
    if event.adopted:
        agent = tables.known_agent(event.incarnation)
        if agent is None or not agent.is_registered:
            return Held("agent", event.incarnation, f"{event.agent_id}, which it moves, is not registered")
        if agent.name != event.agent_id or place.daemon != event.to_daemon:
            return Held("refused", "", f"{place.daemon} adopts {event.agent_id} for {event.to_daemon}")
    else:
        found = tables.author(event.agent_id, event.incarnation, place.daemon)
        if isinstance(found, Held):
            return found
        if place.daemon != event.from_daemon:
            return Held("refused", "", f"{place.daemon} moves {event.agent_id} away from {event.from_daemon}")
        agent = found
    tables.add_home(event.incarnation, agent, event.to_daemon)
    tables.db.execute(
        "UPDATE agent SET home = ?, adopted = ?, moved_ulid = ? WHERE id = ? AND moved_ulid < ?",
        (tables.daemon(event.to_daemon), event.adopted, event.ulid, agent.key, event.ulid),
    )
    return None


def session_start(tables: Tables, place: Place, event: SessionStart) -> Verdict:
    """A work period began; of several beginnings the first holds."""
    agent = tables.author(event.agent_id, event.incarnation, place.daemon)
    if isinstance(agent, Held):
        return agent
    key = tables.session(event.session_id, agent.key)
    tables.db.execute(
        "UPDATE session SET started_us = ?, started_ulid = ?"
        " WHERE id = ? AND (started_ulid IS NULL OR started_ulid > ?)",
        (parse_us(event.timestamp), event.ulid, key, event.ulid),
    )
    purge_session(tables, key)
    return None


def session_end(tables: Tables, place: Place, event: SessionEnd) -> Verdict:
    """A work period ended, perhaps before its beginning is known; of several ends the last holds."""
    agent = tables.author(event.agent_id, event.incarnation, place.daemon)
    if isinstance(agent, Held):
        return agent
    key = tables.session(event.session_id, agent.key)
    tables.db.execute(
        "UPDATE session SET ended_us = ?, end_reason = ?, ended_ulid = ?"
        " WHERE id = ? AND (ended_ulid IS NULL OR ended_ulid < ?)",
        (parse_us(event.timestamp), event.reason, event.ulid, key, event.ulid),
    )
    purge_session(tables, key)
    return None


def purge_session(tables: Tables, key: int | None = None) -> None:
    """Hide a session, or any, that began before a purge's cutoff and had ended when the purge was made."""
    chosen = "id = ?" if key is not None else "? IS NULL"
    tables.db.execute(
        f"UPDATE session SET purged = started_us IS NOT NULL AND ended_ulid IS NOT NULL AND EXISTS"
        " (SELECT 1 FROM purge p WHERE session.started_us < p.cutoff_us AND session.ended_ulid < p.ulid)"
        f" WHERE {chosen}",
        (key,),
    )


def update(tables: Tables, place: Place, event: AgentUpdate) -> Verdict:
    """What an agent works on, session by session."""
    agent = tables.author(event.agent_id, event.incarnation, place.daemon)
    if isinstance(agent, Held):
        return agent
    for context in event.work_contexts:
        tables.db.execute(
            "INSERT INTO work_context (session_id, agent, ulid, context) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (session_id, agent) DO UPDATE SET ulid = excluded.ulid, context = excluded.context"
            " WHERE excluded.ulid > ulid",
            (context.session_id, agent.key, event.ulid, msgspec.json.encode(context).decode()),
        )
    return None

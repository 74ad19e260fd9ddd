"""Who is there: agents by name, key and address, and their sessions and work."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from thrum_kernel.errors import AmbiguousName, UnknownAgent
from thrum_kernel.events.core import WorkContext
from thrum_kernel.projection.db import Cache


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One incarnation of an agent.

    Attributes:
        id: its key in the cache, `messages` and others take it; never leaves the process.
        daemon: id of the daemon that it was registered on first.
        home: id of the daemon that it lives on now.
        registered_us: first registration; 0 for one that is only known from messages, or a pseudo-sender.
        incarnation: empty for a pseudo-sender, which ``name`` and ``daemon`` name.
        kind: ``agent``, ``user``, or ``sender`` for a name that writes without being registered (``system``).
        adopted: its home took it over from a daemon that was gone.
        deleted: it was cleaned up; its messages stay.
    """

    id: int
    name: str
    daemon: str
    incarnation: str
    kind: str
    role: str
    module: str
    display: str
    hostname: str
    worktree: str
    runtime: str
    agent_pid: int
    registered_us: int
    home: str
    adopted: bool
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A work period of an agent; ``ended_us`` is None while it lasts."""

    session_id: str
    agent: int
    started_us: int
    ended_us: int | None
    end_reason: str | None


_AGENT = (
    "SELECT a.id, a.name, d.daemon_id,"
    " CASE a.kind WHEN 'sender' THEN '' ELSE a.incarnation END, a.kind, a.role, a.module, a.display, a.hostname, a.worktree,"
    " a.runtime, a.agent_pid, coalesce(a.registered_us, 0), h.daemon_id, a.adopted, a.deleted_us IS NOT NULL"
    " FROM agent a JOIN daemon d ON d.id = a.daemon JOIN daemon h ON h.id = a.home"
)
_LIVE = "a.registered_us IS NOT NULL AND a.deleted_us IS NULL"
_SESSION = "SELECT session_id, agent, started_us, ended_us, end_reason FROM session"


def _agent(row: tuple[Any, ...]) -> AgentRow:
    values = [*row[:14], bool(row[14]), bool(row[15])]
    return AgentRow(*values)


def live_agents(cache: Cache) -> list[AgentRow]:
    """Every registered agent and user of every daemon, newest registered first."""
    return [
        _agent(row)
        for row in cache.read(f"{_AGENT} WHERE {_LIVE} ORDER BY a.registered_us DESC, a.incarnation DESC")
    ]


def agents_named(cache: Cache, name: str) -> list[AgentRow]:
    """The registered agents of that name, one a daemon, newest registered first."""
    order = "ORDER BY a.registered_us DESC, a.incarnation DESC"
    return [_agent(row) for row in cache.read(f"{_AGENT} WHERE a.name = ? AND {_LIVE} {order}", (name,))]


def local_agent(cache: Cache, name: str, daemon_id: str) -> AgentRow | None:
    """The registered agent of that name which lives on *daemon_id*."""
    return next((agent for agent in agents_named(cache, name) if agent.home == daemon_id), None)


def sender_named(cache: Cache, name: str, daemon_id: str) -> AgentRow | None:
    """The name that wrote on this daemon without being registered: the daemon's own, or a plugin's."""
    rows = cache.read(
        f"{_AGENT} WHERE a.kind = 'sender' AND a.name = ? AND d.daemon_id = ?",
        (name, daemon_id),
    )
    return _agent(rows[0]) if rows else None


def agent_by_incarnation(cache: Cache, incarnation: str) -> AgentRow | None:
    """One incarnation, also when deleted; None when nothing is known of it."""
    rows = cache.read(f"{_AGENT} WHERE a.incarnation = ?", (incarnation,))
    return _agent(rows[0]) if rows else None


def has_lived_on(cache: Cache, agent: int, daemon_id: str) -> bool:
    """Whether the agent of a key lives on a daemon or once did, so that the daemon may write in its name."""
    return bool(
        cache.read(
            "SELECT 1 FROM agent_home h JOIN daemon d ON d.id = h.daemon WHERE h.agent = ? AND d.daemon_id = ?",
            (agent, daemon_id),
        )
    )


def agent_by_key(cache: Cache, key: int) -> AgentRow:
    """The agent of a key that a row of the cache named.

    Raises:
        LookupError: there is none.
    """
    rows = cache.read(f"{_AGENT} WHERE a.id = ?", (key,))
    if not rows:
        raise LookupError(f"no agent has the key {key}")
    return _agent(rows[0])


def agents_by_key(cache: Cache, keys: Iterable[int]) -> dict[int, AgentRow]:
    """Several agents at once, by key; keys that name none are left out."""
    wanted = msgspec.json.encode(sorted(set(keys))).decode()
    rows = cache.read(f"{_AGENT} WHERE a.id IN (SELECT value FROM json_each(?))", (wanted,))
    return {row[0]: _agent(row) for row in rows}


def daemon_names(cache: Cache) -> dict[str, str]:
    """How daemons are shown: by the host name last registered there, plus the end of the id where two share it."""
    return names_of_hosts((agent.home, agent.hostname) for agent in reversed(live_agents(cache)))


def names_of_hosts(registered: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The same, from the daemon and host name of every registration, oldest first."""
    hosts = {daemon: host for daemon, host in registered if host}
    shared = {host for host in hosts.values() if list(hosts.values()).count(host) > 1}
    return {daemon: f"{host}-{daemon[-4:]}" if host in shared else host for daemon, host in hosts.items()}


def long_name(agent: AgentRow, daemon_names: Mapping[str, str]) -> str:
    """``name@daemon``, with the daemon as it is shown."""
    return f"{agent.name}@{daemon_names.get(agent.home) or agent.home}"


def resolve_address(cache: Cache, address: str, daemon_id: str, daemon_names: Mapping[str, str]) -> AgentRow:
    """The agent that ``bob``, ``@bob`` or ``@bob@host`` means to a caller on *daemon_id*.

    A bare name is the local agent, else the only one. ``host`` is a daemon as it is shown, or its id.

    Raises:
        UnknownAgent: nobody is registered by that name there; offers the names nearest to it.
        AmbiguousName: the bare name fits agents of several other daemons.
    """
    name, _, host = address.removeprefix("@").partition("@")
    namesakes = found = agents_named(cache, name)
    if host:
        found = [agent for agent in found if host in (agent.home, daemon_names.get(agent.home))]
    local = [agent for agent in found if agent.home == daemon_id]
    if local:
        return local[0]
    if not found:
        near = [long_name(agent, daemon_names) for agent in namesakes] or near_names(cache, name)
        raise UnknownAgent(address.removeprefix("@"), near)
    if len(found) > 1:
        raise AmbiguousName(name, [long_name(agent, daemon_names) for agent in found])
    return found[0]


def near_names(cache: Cache, name: str) -> list[str]:
    """Up to three registered names that look like *name*, in whatever case, nearest first."""
    names = [row[0] for row in cache.read(f"SELECT DISTINCT a.name FROM agent a WHERE {_LIVE}")]
    return difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)


def open_sessions(cache: Cache, agent_key: int) -> list[SessionRow]:
    """The sessions of an agent that have not ended, newest first."""
    return [
        SessionRow(*row)
        for row in cache.read(
            f"{_SESSION} WHERE agent = ? AND ended_us IS NULL AND started_us IS NOT NULL AND purged = 0"
            " ORDER BY started_us DESC",
            (agent_key,),
        )
    ]


def all_open_sessions(cache: Cache) -> list[SessionRow]:
    """Every session that has not ended, newest first."""
    return [
        SessionRow(*row)
        for row in cache.read(
            f"{_SESSION} WHERE ended_us IS NULL AND started_us IS NOT NULL AND purged = 0 ORDER BY started_us DESC"
        )
    ]


def sessions(cache: Cache, *, agent_key: int | None = None, limit: int = -1) -> list[SessionRow]:
    """Open and ended sessions, of one agent or of all, newest first."""
    chosen = "agent = ?" if agent_key is not None else "? IS NULL"
    return [
        SessionRow(*row)
        for row in cache.read(
            f"{_SESSION} WHERE {chosen} AND started_us IS NOT NULL AND purged = 0"
            " ORDER BY started_us DESC, session_id DESC LIMIT ?",
            (agent_key, limit),
        )
    ]


def session(cache: Cache, session_id: str) -> SessionRow | None:
    """One session, open or ended; None when it is not known or was purged."""
    rows = cache.read(
        f"{_SESSION} WHERE session_id = ? AND started_us IS NOT NULL AND purged = 0 ORDER BY started_ulid LIMIT 1",
        (session_id,),
    )
    return SessionRow(*rows[0]) if rows else None


def work_contexts(cache: Cache, *, agent_key: int | None = None) -> dict[int, list[WorkContext]]:
    """What agents said last about their work, by agent key; only what travelled as events."""
    chosen = "agent = ?" if agent_key is not None else "? IS NULL"
    found: dict[int, list[WorkContext]] = {}
    rows = cache.read(
        f"SELECT agent, context FROM work_context w WHERE {chosen} AND NOT EXISTS (SELECT 1 FROM session s"
        " WHERE s.session_id = w.session_id AND s.agent = w.agent AND s.purged = 1) ORDER BY session_id",
        (agent_key,),
    )
    for agent, context in rows:
        found.setdefault(agent, []).append(msgspec.json.decode(context, type=WorkContext))
    return found

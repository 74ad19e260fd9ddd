"""Names and the integers that stand for them in the tables, remembered once looked up."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from thrum_kernel.events.core import AgentRef
from thrum_kernel.projection.lines import Held, HeldKind
from thrum_kernel.projection.schema import VIA


@dataclass(slots=True)
class Agent:
    """What is remembered of one row of ``agent``."""

    key: int
    name: str
    daemon: str
    is_registered: bool
    homes: set[str] = field(default_factory=set)


class Names:
    """Keys of daemons, writers, agents, sessions, threads and labels; rows are made where there are none.

    Attributes:
        db: the connection, in a transaction while rules run.
        released: what became known in this transaction and may be waited for: ``(kind, subject)``.
    """

    def __init__(self, db: sqlite3.Connection, *, is_sender: Callable[[str], bool]) -> None:
        self.db = db
        self.released: list[tuple[HeldKind, str]] = []
        self._is_sender = is_sender
        self._daemons: dict[str, int] = {}
        self._writers: dict[str, int] = {}
        self._agents: dict[str, Agent] = {}
        self._sessions: dict[tuple[str, int], int] = {}
        self._threads: dict[str, int] = {}
        self._labels: dict[tuple[int, str, str], int] = {}
        self._attached: dict[str, int] = {}

    def forget(self) -> None:
        """Look keys up again: what was written in part of a transaction was undone."""
        for known in (self._daemons, self._writers, self._agents, self._sessions, self._threads):
            known.clear()
        self.forget_labels()

    def daemon(self, daemon_id: str) -> int:
        """Key of a daemon."""
        return self._intern(self._daemons, daemon_id, "daemon", "daemon_id")

    def thread(self, thread_id: str) -> int:
        """Key of a thread, known or not."""
        return self._intern(self._threads, thread_id, "thread", "thread_id")

    def _intern(self, known: dict[str, int], name: str, table: str, column: str) -> int:
        key = known.get(name)
        if key is None:
            row = self.db.execute(f"SELECT id FROM {table} WHERE {column} = ?", (name,)).fetchone()
            if row is None:
                row = self.db.execute(
                    f"INSERT INTO {table} ({column}) VALUES (?) RETURNING id", (name,)
                ).fetchone()
            key = known[name] = row[0]
        return key

    def writer(self, writer: str, daemon_id: str) -> int:
        """Key of a writer, bound to its daemon the first time it is seen."""
        key = self._writers.get(writer)
        if key is None:
            key = self._writers[writer] = self.writer_of_receipt(writer)
            daemon = self.daemon(daemon_id)
            self.db.execute("UPDATE writer SET daemon = ? WHERE id = ? AND daemon IS NULL", (daemon, key))
        return key

    def writer_of_receipt(self, writer: str) -> int:
        """Key of a writer of whom perhaps nothing but receipts has come."""
        known = self._writers.get(writer)
        if known is not None:
            return known
        row = self.db.execute("SELECT id FROM writer WHERE writer = ?", (writer,)).fetchone()
        if row is None:
            row = self.db.execute("INSERT INTO writer (writer) VALUES (?) RETURNING id", (writer,)).fetchone()
        return int(row[0])

    def writer_name(self, key: int) -> str:
        """The id of a writer."""
        return str(self.db.execute("SELECT writer FROM writer WHERE id = ?", (key,)).fetchone()[0])

    def session(self, session_id: str, agent: int) -> int:
        """Key of an agent's session, started or not."""
        key = self._sessions.get((session_id, agent))
        if key is None:
            found = (session_id, agent)
            row = self.db.execute(
                "SELECT id FROM session WHERE session_id = ? AND agent = ?", found
            ).fetchone()
            if row is None:
                row = self.db.execute(
                    "INSERT INTO session (session_id, agent) VALUES (?, ?) RETURNING id", found
                ).fetchone()
            key = self._sessions[found] = row[0]
        return key

    def label(self, kind: int, type_: str, value: str) -> int:
        """Key of a scope, reference, audience entry or way of being addressed."""
        name = (kind, type_, value)
        key = self._labels.get(name)
        if key is None:
            row = self.db.execute(
                "SELECT id FROM label WHERE kind = ? AND type = ? AND value = ?", name
            ).fetchone()
            if row is None:
                row = self.db.execute(
                    "INSERT INTO label (kind, type, value) VALUES (?, ?, ?) RETURNING id", name
                ).fetchone()
            key = self._labels[name] = row[0]
        return key

    def via(self, via: str) -> int:
        """Key of a way of being addressed; 0 for the plain ``agent``."""
        return 0 if via == "agent" else self.label(VIA, "via", via)

    def attached(self, labels: Iterable[int]) -> int | None:
        """Key of a set of labels, None for the empty one."""
        members = sorted(set(labels))
        if not members:
            return None
        name = ",".join(map(str, members))
        key = self._attached.get(name)
        if key is None:
            text = f"[{name}]"
            row = self.db.execute("SELECT id FROM attached WHERE labels = ?", (text,)).fetchone()
            if row is None:
                row = self.db.execute(
                    "INSERT INTO attached (labels) VALUES (?) RETURNING id", (text,)
                ).fetchone()
                self.db.executemany(
                    "INSERT INTO attached_label VALUES (?, ?)", [(row[0], member) for member in members]
                )
            key = self._attached[name] = row[0]
        return key

    def forget_labels(self) -> None:
        """Labels were removed."""
        self._labels.clear()
        self._attached.clear()

    # --- agents ------------------------------------------------------------------------------------------------------

    def known_agent(self, incarnation: str) -> Agent | None:
        """The agent of an incarnation, None when nothing points at it yet."""
        agent = self._agents.get(incarnation)
        if agent is not None:
            return agent
        row = self.db.execute(
            "SELECT a.id, a.name, d.daemon_id, a.registered_us IS NOT NULL FROM agent a JOIN daemon d ON d.id = a.daemon"
            " WHERE a.incarnation = ?",
            (incarnation,),
        ).fetchone()
        if row is None:
            return None
        homes = self.db.execute(
            "SELECT d.daemon_id FROM agent_home h JOIN daemon d ON d.id = h.daemon WHERE h.agent = ?",
            (row[0],),
        )
        agent = Agent(row[0], row[1], row[2], bool(row[3]), {home[0] for home in homes})
        self._agents[incarnation] = agent
        return agent

    def agent(self, ref: AgentRef) -> Agent:
        """The agent that *ref* names; a row is made where there is none, to be filled by its registration."""
        if not ref.incarnation:
            return self._sender(ref.name, ref.daemon)
        agent = self.known_agent(ref.incarnation)
        if agent is None:
            return self._add_agent(ref.incarnation, ref.name, ref.daemon, "agent")
        if not agent.is_registered and (ref.name, ref.daemon) < (agent.name, agent.daemon):
            # Nobody registered it: of what others call it the least holds, whatever came first.
            agent.name, agent.daemon = ref.name, ref.daemon
            daemon = self.daemon(ref.daemon)
            self.db.execute(
                "UPDATE agent SET name = ?, daemon = ?, home = ? WHERE id = ?",
                (ref.name, daemon, daemon, agent.key),
            )
        return agent

    def _sender(self, name: str, daemon_id: str) -> Agent:
        """A name that writes without being registered, such as ``system``; each daemon has its own."""
        incarnation = f"{name}@{daemon_id}"
        return self.known_agent(incarnation) or self._add_agent(incarnation, name, daemon_id, "sender")

    def _add_agent(self, incarnation: str, name: str, daemon_id: str, kind: str) -> Agent:
        daemon = self.daemon(daemon_id)
        row = self.db.execute(
            "INSERT INTO agent (incarnation, name, daemon, home, kind) VALUES (?, ?, ?, ?, ?) RETURNING id",
            (incarnation, name, daemon, daemon, kind),
        ).fetchone()
        agent = self._agents[incarnation] = Agent(row[0], name, daemon_id, False)
        return agent

    def author(self, name: str, incarnation: str, daemon_id: str) -> Agent | Held:
        """The agent that an event of *daemon_id* says it is by, if it may say so.

        An agent speaks from the daemons it has lived on, nobody else for it. Source: DESIGN.md D1, "Provenance".
        """
        if not incarnation:
            if not self._is_sender(name):
                return Held("refused", "", f"{name} is not registered and no sender name")
            return self._sender(name, daemon_id)
        agent = self.registered(name, incarnation)
        if isinstance(agent, Agent) and daemon_id not in agent.homes:
            return Held("agent", incarnation, f"{name} does not live on {daemon_id}")
        return agent

    def registered(self, name: str, incarnation: str) -> Agent | Held:
        """The agent of a name and incarnation, wherever it lives."""
        agent = self.known_agent(incarnation)
        if agent is None or not agent.is_registered:
            return Held("agent", incarnation, f"its author {name} is not registered")
        if agent.name != name:
            return Held("refused", "", f"{name} writes as an incarnation of {agent.name}")
        return agent

    def add_home(self, incarnation: str, agent: Agent, daemon_id: str) -> None:
        """The agent lives, or has lived, on that daemon."""
        self.db.execute(
            "INSERT INTO agent_home VALUES (?, ?) ON CONFLICT DO NOTHING", (agent.key, self.daemon(daemon_id))
        )
        agent.homes.add(daemon_id)
        self.released.append(("agent", incarnation))

"""What every rule of the projection writes through: interned names, places taken, lines held back.

One `Tables` lives as long as its connection and remembers the integer keys of names; after a rollback it is dropped.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from thrum_kernel import ids
from thrum_kernel.events import Event, UnknownEvent
from thrum_kernel.events.core import AgentRef
from thrum_kernel.projection.marks import Mark
from thrum_kernel.projection.schema import VIA
from thrum_kernel.projection.spans import Spans

MAX_KEY = (1 << 63) - 1

HeldKind = Literal["agent", "message", "ahead", "type", "refused", "conflict"]


class Projected(NamedTuple):
    """One line of the log on its way into the projection.

    Attributes:
        writer: whose file it lies in.
        daemon: the daemon that the file belongs to.
        sequence: its number in that file; with *writer* its place.
        event: the line, decoded.
        line: its bytes without the newline.
    """

    writer: str
    daemon: str
    sequence: int
    event: Event | UnknownEvent
    line: bytes


LogLine: TypeAlias = tuple[str, str, int, bytes]
"""(writer, daemon, sequence, line), as the store reads lines."""


class Place(NamedTuple):
    """Where an event lies, by key of its writer, and the daemon that wrote it."""

    writer: int
    sequence: int
    daemon: str


class Held(NamedTuple):
    """Why an event does not count now; see `queries.HeldRow`."""

    kind: HeldKind
    subject: str
    note: str


class Gone(NamedTuple):
    """The event is about something that was purged."""


GONE = Gone()
Verdict = Held | Gone | None
"""What a rule answers: None when the event counts."""


@dataclass(slots=True)
class Agent:
    """What is remembered of one row of ``agent``."""

    key: int
    name: str
    daemon: str
    is_registered: bool
    homes: set[str] = field(default_factory=set)


class Tables:
    """The tables of one connection.

    Attributes:
        db: the connection, in a transaction while rules run.
        released: what became known in this transaction and may be waited for: ``(kind, subject)``.
        mark_sink: takes the marks of receipts while messages are loaded in bulk, when what is in the tables is not all
            there is; None otherwise.
        touched: writers whose places were taken or released in this transaction.
    """

    def __init__(self, db: sqlite3.Connection, *, is_sender: Callable[[str], bool]) -> None:
        self.db = db
        self.released: list[tuple[HeldKind, str]] = []
        self.touched: set[int] = set()
        self.mark_sink: Callable[[Mark], None] | None = None
        self._is_sender = is_sender
        self._daemons: dict[str, int] = {}
        self._writers: dict[str, int] = {}
        self._agents: dict[str, Agent] = {}
        self._sessions: dict[tuple[str, int], int] = {}
        self._threads: dict[str, int] = {}
        self._labels: dict[tuple[int, str, str], int] = {}
        self._attached: dict[str, int] = {}
        self._spans: dict[int, Spans] = {}
        self._saved: dict[int, dict[int, int]] = {}
        self._newest: str | None = None
        self._waits: set[str] | None = None
        self._ranged: set[int] | None = None
        self._cutoff: int | None = None

    def forget(self) -> None:
        """Look keys up again: what was written in part of a transaction was undone."""
        for known in (self._daemons, self._writers, self._agents, self._sessions, self._threads):
            known.clear()
        self.forget_labels()
        self._newest = self._waits = self._ranged = self._cutoff = None

    def begin(self) -> None:
        """A transaction begins."""
        self.released.clear()
        self.touched.clear()

    # --- names -------------------------------------------------------------------------------------------------------

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

    # --- messages ----------------------------------------------------------------------------------------------------

    def message_key(self, ulid: str) -> int | None:
        """Key of a message that is there, None when it is not."""
        if ulid > self.newest or not ids.is_ulid(ulid):
            return None
        key = ids.ulid_key(ulid)
        if key > MAX_KEY:
            return None
        for row_key, row_ulid in self.db.execute(
            "SELECT id, ulid FROM message WHERE id >= ? ORDER BY id", (key,)
        ):
            if row_ulid >= ulid:
                return row_key if row_ulid == ulid else None
        return None

    @property
    def newest(self) -> str:
        """A ULID that no message is above: nothing has to be looked up for one that is."""
        if self._newest is None:
            row = self.db.execute("SELECT ulid FROM message ORDER BY id DESC LIMIT 1").fetchone()
            self._newest = row[0] if row else ""
        return self._newest

    def note_newest(self, ulid: str) -> None:
        """A message was inserted, perhaps the newest."""
        self._newest = max(self.newest, ulid)

    def note_message(self, ulid: str) -> None:
        """A message was inserted for which edits may wait."""
        self.note_newest(ulid)
        if self._waits is None:
            self._waits = {
                row[0] for row in self.db.execute("SELECT subject FROM held WHERE kind = 'message'")
            }
        if ulid in self._waits:
            self._waits.discard(ulid)
            self.released.append(("message", ulid))

    def changed(self, message: int) -> None:
        """The text of a message is new, other, or gone: the full-text index has to look at it."""
        self.db.execute("INSERT INTO change (message) VALUES (?)", (message,))

    @property
    def cutoff_us(self) -> int:
        """Messages with an earlier timestamp are purged."""
        if self._cutoff is None:
            self._cutoff = self.db.execute("SELECT coalesce(max(cutoff_us), 0) FROM purge").fetchone()[0]
        return self._cutoff

    def raise_cutoff(self, cutoff_us: int) -> None:
        """A purge up to *cutoff_us* was recorded."""
        self._cutoff = max(self.cutoff_us, cutoff_us)

    # --- places ------------------------------------------------------------------------------------------------------

    def taken(self, writer: int) -> Spans:
        """The sequences of a writer that were taken; `save_places` writes what was added."""
        spans = self._spans.get(writer)
        if spans is None:
            rows = self.db.execute("SELECT first, last FROM projected WHERE writer = ?", (writer,)).fetchall()
            self._saved[writer] = dict(rows)
            spans = self._spans[writer] = Spans(rows)
        return spans

    def take(self, place: Place) -> None:
        """A place is done, whatever came of it."""
        self.taken(place.writer).add(place.sequence)
        self.touched.add(place.writer)

    def take_many(self, writer: int, sequences: Iterable[int]) -> None:
        """Many places of one writer are done."""
        numbers = Spans.of(sequences)
        self._spans[writer] = Spans([*self.taken(writer), *numbers])
        self.touched.add(writer)

    def save_places(self) -> None:
        """Write the ranges of the writers that were touched."""
        for writer in self.touched:
            old, new = self._saved.get(writer, {}), dict(self.taken(writer))
            gone = [(writer, first) for first in old if first not in new]
            self.db.executemany("DELETE FROM projected WHERE writer = ? AND first = ?", gone)
            self.db.executemany(
                "INSERT OR REPLACE INTO projected VALUES (?, ?, ?)",
                [(writer, first, last) for first, last in new.items() if old.get(first) != last],
            )
            self._saved[writer] = new

    def unresolved(self, writer: int, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of a range where a message may still turn up: not taken, or taken and held back."""
        parts = self.taken(writer).missing(first, last)
        held = self.db.execute(
            "SELECT DISTINCT sequence FROM held WHERE writer = ? AND sequence BETWEEN ? AND ?"
            " AND kind IN ('agent', 'ahead', 'type')",
            (writer, first, last),
        )
        return list(Spans([*parts, *((row[0], row[0]) for row in held)]))

    def has_ranges(self, writer: int) -> bool:
        """Whether receipts wait for places of a writer."""
        if self._ranged is None:
            self._ranged = {row[0] for row in self.db.execute("SELECT DISTINCT writer FROM receipt_range")}
        return writer in self._ranged

    def keep_range(self, mark: Mark) -> None:
        """Keep a receipt until what it covers has come."""
        self.has_ranges(mark.writer)
        assert self._ranged is not None
        self._ranged.add(mark.writer)
        self.db.execute(
            "INSERT INTO receipt_range (writer, first, last, agent, kind, at_us) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            mark,
        )

    def hold(self, place: Place, ulid: str, why: Held, line: bytes) -> None:
        """Keep a line that does not count now."""
        if why.kind == "message" and self._waits is not None:
            self._waits.add(why.subject)
        self.db.execute(
            "INSERT OR REPLACE INTO held (kind, subject, writer, sequence, ulid, note, line) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (why.kind, why.subject, place.writer, place.sequence, ulid, why.note, line),
        )
        self.touched.add(place.writer)

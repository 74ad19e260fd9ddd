"""What the projection costs: a million messages rebuilt, and questions at that size.

- Rebuild: from a log of JSON lines on disk to a cache that is synced and in place, against inserting one constant row
  for each message into four unindexed tables with columns and bodies like ours. Of several rounds, in turn, the
  fastest of each. With full text: the filling of the index is added.
- Questions: as the daemon asks them, on the loop's connection, each of another agent.
- Search: as the daemon asks, in the index's own thread; one page of twenty.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, repeat
from pathlib import Path
from typing import Any

from bench.figure import Effort, Figure
from thrum_kernel.clock import SystemClock, format_us
from thrum_kernel.events import Event, EventTypes, core
from thrum_kernel.ids import encode_ulid, event_id
from thrum_kernel.projection import queries, replay
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.search import Search
from thrum_kernel.projection.tables import LogLine

BATCH = 4096
DAEMON = "d_01JZZZZZZZZZZZZZZZZZZZZZZZ"
WRITER = "01JZZZZZZZZZZZZZZZZZZZZZZW"
WORDS = (
    "build",
    "green",
    "review",
    "merge",
    "branch",
    "tests",
    "panic",
    "socket",
    "journal",
    "tokens",
    "shape",
)
BODY_BYTES = 120
BLOCK = 1 << 21


AGENTS = 100


def figures(effort: Effort) -> Iterable[Figure]:
    """Rebuild, with and without full text; the inbox; search."""
    messages = effort.count(1_000_000, 50_000)
    types = EventTypes(core.CORE_EVENT_TYPES)
    log, path = effort.folder / "log.jsonl", effort.folder / "messages.db"
    write_log(log, types, messages, AGENTS)
    constant_s, rebuild_s = [], []
    for _ in range(effort.count(3, 1)):
        constant_s.append(timed(lambda: insert_constant(effort.folder / "constant.db", messages)))
        rebuild_s.append(timed(lambda: replay.rebuild(lambda: read_log(log), path, types)))
        effort.say(f"constant rows {constant_s[-1]:.1f} s, rebuild {rebuild_s[-1]:.1f} s")
    constant, rebuild = min(constant_s), min(rebuild_s)
    cache = Cache(path)
    try:
        found = asyncio.run(ask_search(cache, effort.folder / "search.db"))
        size = f"{messages:,} messages"
        yield Figure(
            name=f"rebuild of {size}, against constant rows",
            measured=rebuild / constant,
            target=2,
            numbers=f"{rebuild:.1f} s against {constant:.1f} s",
        )
        yield Figure(
            name=f"rebuild of {size} with full text, against constant rows",
            measured=(rebuild + found.filling_s) / constant,
            target=4,
            numbers=f"{rebuild:.1f} s and {found.filling_s:.1f} s for the index, against {constant:.1f} s",
        )
        yield from asked(cache, size)
    finally:
        cache.close()
    yield Figure(
        name=f"search in {size}, a word with 1,000 hits, ranked",
        measured=found.seldom_ms,
        target=5,
        unit="ms",
        numbers=f"total {found.seldom_total}",
    )
    yield Figure(
        name=f"search in {size}, a word in half of them, newest first",
        measured=found.half_ms,
        target=5,
        unit="ms",
        numbers=f"total {found.half_total}",
    )


def timed(work: Callable[[], Any]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# --- the log ----------------------------------------------------------------------------------------------------------


def write_log(path: Path, types: EventTypes, messages: int, agents: int) -> None:
    """A log of one writer: registrations and messages, none of them read."""
    random.seed(7)
    start_us = SystemClock().now_us() - messages * 1000
    with path.open("wb") as file:
        names = []
        for number in range(agents):
            ulid = _ulid(start_us // 1000 - 5000, number)
            event: Event = core.AgentRegister(
                **_envelope(ulid, start_us), agent_id=f"agent{number}", role="r", module="m"
            )
            _write(file, types, event, number + 1)
            names.append((f"agent{number}", ulid))
        for number in range(messages):
            event = _message(number, names, start_us + number * 1000, messages)
            _write(file, types, event, agents + number + 1)


def _message(number: int, names: list[tuple[str, str]], at_us: int, messages: int) -> Event:
    author, recipient = names[number % len(names)], names[(number * 7 + 3) % len(names)]
    words = random.choices(WORDS, k=16)
    words.append("half" if number % 2 else "other")
    if number % max(1, messages // 1000) == 0:
        words.append("seldom")
    content = " ".join(words)[: BODY_BYTES - 8].ljust(BODY_BYTES - 8, ".") + f"{number:08d}"
    if "seldom" in words:
        content = "seldom " + content[7:]
    if "half" in words:
        content = "half " + content[5:] if "seldom" not in words else "seldom half " + content[12:]
    return core.MessageCreate(
        **_envelope(_ulid(at_us // 1000, number & 0xFFFF), at_us),
        agent_id=author[0],
        incarnation=author[1],
        session_id=f"ses_{author[1]}",
        body=core.Body(content=content),
        recipients=[core.Recipient(recipient[0], DAEMON, recipient[1])],
        audience=[core.Label("agent", recipient[0])],
        scopes=[core.Label("module", "m")] if number % 3 == 0 else [],
    )


def _envelope(ulid: str, at_us: int) -> dict[str, Any]:
    return {"event_id": event_id(ulid), "timestamp": format_us(at_us), "origin_daemon": DAEMON}


def _ulid(ms: int, counter: int) -> str:
    return encode_ulid(ms << 80 | counter << 64 | random.getrandbits(64))


def _write(file: Any, types: EventTypes, event: Event, sequence: int) -> None:
    event.sequence = sequence
    file.write(types.encode(event) + b"\n")


def read_log(path: Path) -> Iterator[list[LogLine]]:
    """The lines with their places, as the store reads its files: whole, then split."""
    sequence, rest = 1, b""
    with path.open("rb") as file:
        while data := file.read(BLOCK):
            *lines, rest = (rest + data).split(b"\n")
            yield list(zip(repeat(WRITER), repeat(DAEMON), count(sequence), lines, strict=False))
            sequence += len(lines)


# --- what it is compared with -----------------------------------------------------------------------------------------


def insert_constant(path: Path, rows: int) -> None:
    """One constant row for each message into each of four tables: message, delivery, label, scope."""
    path.unlink(missing_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = MEMORY")
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -65536")
    db.executescript(
        "CREATE TABLE message (ulid, author, session, created_us, format, body, structured, thread, reply_to,"
        " priority, flags, authored_by, attached, writer, sequence);"
        "CREATE TABLE delivery (message, agent, via, read_us, seen_us);"
        "CREATE TABLE label (message, label); CREATE TABLE scope (message, label)"
    )
    body = "x" * BODY_BYTES
    at_us = 1_790_000_000_000_000
    message = ("01JZZZZZZZZZZZZZZZZZZZZZZZ", 1, 1, at_us, 0, body, None, None, None, 1, 0, None, 1, 1, None)
    key = 900_000_000_000_000_000
    tables = (
        ("message", message),
        ("delivery", (key, 1, 0, None, None)),
        ("label", (key, 1)),
        ("scope", (key, 2)),
    )
    for first in range(0, rows, BATCH):
        count = min(BATCH, rows - first)
        db.execute("BEGIN")
        for table, row in tables:
            marks = ", ".join("?" * len(row))
            db.executemany(f"INSERT INTO {table} VALUES ({marks})", [row] * count)
        db.execute("COMMIT")
    db.close()
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)  # as a rebuild does
    os.close(descriptor)


# --- questions --------------------------------------------------------------------------------------------------------


def median_ms(ask: Callable[[int], Any], times: int = 300) -> float:
    took = []
    for number in range(times):
        start = time.perf_counter()
        ask(number)
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1000


def asked(cache: Cache, size: str) -> Iterable[Figure]:
    """An unread page and the unread count, each of another agent, and whether their plans scan a table."""
    agents = [agent.id for agent in queries.live_agents(cache)]

    def page(number: int) -> Any:
        return queries.inbox_page(cache, agents[number % len(agents)], unread=True, limit=10)

    def count(number: int) -> Any:
        return queries.unread_count(cache, agents[number % len(agents)])

    def assembled(number: int) -> Any:
        keys = [row.key for row in page(number)]
        return queries.messages(cache, keys), queries.recipients(cache, keys), queries.labels(cache, keys)

    whole = f"with texts, recipients and labels {median_ms(assembled):.2f} ms"
    for name, ask, more in (("page", page, whole), ("count", count, f"{count(0)} unread")):
        scans = scans_of(cache, ask)
        yield Figure(
            name=f"unread inbox {name} in {size}, {AGENTS} agents",
            measured=median_ms(ask),
            target=0.2 if not scans else 0.0,
            unit="ms",
            numbers="; ".join((more, f"scans {', '.join(scans)}" if scans else "no scan in the plan")),
        )


def scans_of(cache: Cache, ask: Callable[[int], Any]) -> list[str]:
    """The scans of whole tables in the plans of everything that *ask* asks."""
    asked: list[str] = []
    connection = cache.connection
    connection.set_trace_callback(asked.append)
    try:
        ask(0)
    finally:
        connection.set_trace_callback(None)
    plans = (connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall() for sql in asked)
    steps = (str(step[3]) for plan in plans for step in plan)
    return [
        step for step in steps if step.startswith("SCAN") and "CONSTANT" not in step and " INDEX " not in step
    ]


@dataclass(frozen=True, slots=True)
class Searched:
    """Seconds of filling the index, median milliseconds of the two questions, and the totals told."""

    filling_s: float
    seldom_ms: float
    seldom_total: str
    half_ms: float
    half_total: str


async def ask_search(cache: Cache, path: Path) -> Searched:
    """Fill the full-text index, then search."""
    search = Search(cache, path)
    start = time.perf_counter()
    await search.settle()
    filling_s = time.perf_counter() - start
    told: list[Any] = []
    for word in ("seldom", "half"):
        times = []
        for _ in range(100):
            begin = time.perf_counter()
            found = await search.find(word, limit=20)
            times.append(time.perf_counter() - begin)
        told += [statistics.median(times) * 1000, found.total_text]
    await search.close()
    return Searched(filling_s, *told)

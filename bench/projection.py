"""The projection: rebuild against inserting constant rows, and questions at full size.

    python bench/projection.py [--messages N] [--agents N] [--rounds N] [--keep FOLDER]

Every figure is a ratio or a median measured in this run. The log is read from a JSON lines file on disk; the constant
rows have the columns of our tables and bodies of the same size.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from thrum_kernel.clock import SystemClock, format_us
from thrum_kernel.events import Event, EventTypes, core
from thrum_kernel.ids import encode_ulid, event_id
from thrum_kernel.projection import queries, replay
from thrum_kernel.projection.db import Cache
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


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--messages", type=int, default=100_000)
    options.add_argument("--agents", type=int, default=100)
    options.add_argument("--rounds", type=int, default=3, help="the best time of so many is taken")
    options.add_argument("--keep", type=Path, help="make the files here and leave them")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        run(folder, args.messages, args.agents, args.rounds)
    return 0


def run(folder: Path, messages: int, agents: int, rounds: int) -> None:
    """Everything once; prints as it goes."""
    print(
        f"{messages} messages, {agents} agents, bodies of {BODY_BYTES} bytes, sqlite {sqlite3.sqlite_version}"
    )
    types = EventTypes(core.CORE_EVENT_TYPES)
    log = folder / "log.jsonl"
    if not log.exists():
        timed("writing the log (not judged)", lambda: write_log(log, types, messages, agents))
    path = folder / "messages.db"
    constant = rebuild = float("inf")
    for _ in range(rounds):
        took = timed(
            "constant rows into four unindexed tables", lambda: insert_constant(folder / "c.db", messages)
        )
        constant = min(constant, took)
        took = timed("rebuild", lambda: replay.rebuild(lambda: read_log(log), path, types))
        rebuild = min(rebuild, took)
    judge("rebuild / constant rows", rebuild / constant, 2.0)
    cache = Cache(path)
    try:
        indexing = ask_search(cache, folder / "search.db", messages)
        judge("rebuild with full text / constant rows", (rebuild + indexing) / constant, 4.0)
        ask_inbox(cache)
    finally:
        cache.close()


def timed(name: str, work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    took = time.perf_counter() - start
    print(f"  {name}: {took:.2f} s")
    sys.stdout.flush()
    return took


def judge(name: str, value: float, target: float, unit: str = "x") -> None:
    verdict = "ok" if value <= target else "MISSED"
    print(f"{name}: {value:.2f} {unit} (target <= {target:g} {unit}) {verdict}")
    sys.stdout.flush()


# --- the log ----------------------------------------------------------------------------------------------------------


def write_log(path: Path, types: EventTypes, messages: int, agents: int) -> None:
    """A log of one writer: registrations, sessions, messages, and receipts of about half of them."""
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


def _envelope(ulid: str, at_us: int) -> dict[str, str]:
    return {"event_id": event_id(ulid), "timestamp": format_us(at_us), "origin_daemon": DAEMON}


def _ulid(ms: int, counter: int) -> str:
    return encode_ulid(ms << 80 | counter << 64 | random.getrandbits(64))


def _write(file: Any, types: EventTypes, event: Event, sequence: int) -> None:
    event.sequence = sequence
    file.write(types.encode(event) + b"\n")


def read_log(path: Path) -> Iterator[list[LogLine]]:
    """The lines with their places."""
    batch: list[LogLine] = []
    with path.open("rb") as file:
        for sequence, line in enumerate(file, 1):
            batch.append((WRITER, DAEMON, sequence, line[:-1]))
            if len(batch) == BATCH:
                yield batch
                batch = []
    yield batch


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


def ask_inbox(cache: Cache) -> None:
    """An unread page and the unread count, each of another agent."""
    agents = [agent.id for agent in queries.live_agents(cache)]

    def page(number: int) -> object:
        return queries.inbox_page(cache, agents[number % len(agents)], unread=True, limit=10)

    def count(number: int) -> object:
        return queries.unread_count(cache, agents[number % len(agents)])

    def assembled(number: int) -> object:
        keys = [
            row.key for row in queries.inbox_page(cache, agents[number % len(agents)], unread=True, limit=10)
        ]
        return queries.messages(cache, keys), queries.recipients(cache, keys), queries.labels(cache, keys)

    judge("unread inbox page, median", median_ms(page), 0.2, "ms")
    judge("unread count, median", median_ms(count), 0.2, "ms")
    print(f"  the page with texts, recipients and labels: {median_ms(assembled):.3f} ms")


def ask_search(cache: Cache, path: Path, messages: int) -> float:
    """Fill the full-text index, then search; gives the seconds of filling."""
    return asyncio.run(_ask_search(cache, path))


async def _ask_search(cache: Cache, path: Path) -> float:
    from thrum_kernel.projection.search import Search

    search = Search(cache, path)
    start = time.perf_counter()
    await search.settle()
    took = time.perf_counter() - start
    print(f"  filling the full-text index: {took:.2f} s")
    for name, word in (
        ("a word with 1,000 hits, ranked", "seldom"),
        ("a word in half of all messages", "half"),
    ):
        times = []
        for _ in range(100):
            begin = time.perf_counter()
            found = await search.find(word, limit=20)
            times.append(time.perf_counter() - begin)
        print(f"  {word}: total {found.total_text}, {len(found.hits)} on the page")
        judge(f"search, {name}, median", statistics.median(times) * 1000, 5.0, "ms")
    await search.close()
    return took


if __name__ == "__main__":
    sys.exit(main())

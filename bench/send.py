"""Durable sending over the Unix socket: one client against the bare disk, twenty against one sync a message.

- One client: messages a second, each acknowledged before the next is sent, against appending a line of the same size
  and syncing it, alone, on the same disk. The two take turns.
- Twenty clients: the daemon against the same daemon with a committer that syncs for every message by itself
  (`bench.one_by_one`). Both run all the time and take turns.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from bench.figure import Effort, Figure
from bench.ground import KERNEL, Ground

CLIENTS = 20
LINE = b"x" * 700 + b"\n"
FAST_SYNC_S = 0.0001


def figures(effort: Effort) -> Iterable[Figure]:
    """Both figures."""
    rounds, seconds = effort.count(7, 2), effort.seconds(5, 1)
    with Ground(effort.room("batches"), agents=2) as ground:
        yield one_client(ground, effort.folder, rounds, seconds)
        program = (KERNEL[0], "-m", "bench.one_by_one")
        with Ground(effort.room("one-by-one"), agents=2, daemon=program) as single:
            yield twenty_clients(ground, single, rounds, seconds)


def one_client(ground: Ground, folder: Path, rounds: int, seconds: float) -> Figure:
    """Against the bare disk."""
    sends, appends, syncs = [], [], []
    rate(ground, 1, 0.5)
    for _ in range(rounds):
        per_second, sync_s = lone_appends(folder, seconds)
        appends.append(per_second)
        syncs.append(sync_s)
        sends.append(rate(ground, 1, seconds))
    sync_s = statistics.median(syncs)
    return Figure(
        name="`send`, durable, 1 client, against lone append + fdatasync",
        measured=statistics.median(a / b for a, b in zip(sends, appends, strict=True)),
        target=0.4,
        at_least=True,
        numbers=f"{statistics.median(sends):,.0f} messages/s against {statistics.median(appends):,.0f} appends/s; "
        f"fdatasync {sync_s * 1e3:.3f} ms",
        not_judged="fdatasync below 0.1 ms is no disk to judge by" if sync_s < FAST_SYNC_S else "",
    )


def twenty_clients(ground: Ground, single: Ground, rounds: int, seconds: float) -> Figure:
    """Against one sync a message."""
    batched, one_by_one = [], []
    for each in (ground, single):
        rate(each, CLIENTS, 0.5)
    for _ in range(rounds):
        batched.append(rate(ground, CLIENTS, seconds))
        one_by_one.append(rate(single, CLIENTS, seconds))
    return Figure(
        name=f"`send`, durable, {CLIENTS} clients, against one fdatasync a message",
        measured=statistics.median(a / b for a, b in zip(batched, one_by_one, strict=True)),
        target=3,
        at_least=True,
        numbers=f"{statistics.median(batched):,.0f} messages/s against {statistics.median(one_by_one):,.0f}",
    )


def rate(ground: Ground, clients: int, seconds: float) -> float:
    """Messages a second that ``agent0`` sends to ``agent1``."""
    told = ground.run(0, "sender", ground.socket, clients, seconds, "@agent1")
    return float(told["sent"] / told["took_s"])


def lone_appends(folder: Path, seconds: float) -> tuple[float, float]:
    """Lines a second, each appended and synced with nothing around it, and the median seconds of one sync."""
    syncs = []
    descriptor = os.open(folder / "lone", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        start = now = time.perf_counter()
        while now - start < seconds:
            os.write(descriptor, LINE)
            before = time.perf_counter()
            os.fdatasync(descriptor)
            now = time.perf_counter()
            syncs.append(now - before)
    finally:
        os.close(descriptor)
    return len(syncs) / (now - start), statistics.median(syncs)

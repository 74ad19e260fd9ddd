"""What a hundred pending ``wait`` commands cost those who send.

Real commands, each a process, of agents that are not written to; the 99th percentile of what a `send` takes over the
Unix socket, with and without them, in turn.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from bench.figure import Effort, Figure
from bench.ground import Ground
from thrum_kernel.testing.harness import launcher
from thrum_kernel.testing.spawner import Process

WAITS = 100
WAITERS = 5
BEGIN_S = 5.0


def figures(effort: Effort) -> Iterable[Figure]:
    """The one figure."""
    rounds, seconds = effort.count(9, 2), effort.seconds(5, 1)
    alone, beside = [], []
    with Ground(effort.room("repository"), agents=2 + WAITERS, cli=(str(launcher()),)) as ground:
        percentile(ground, 0.5)
        for _ in range(rounds):
            alone.append(percentile(ground, seconds))
            waits = pending(ground)
            beside.append(percentile(ground, seconds))
            check_pending(waits)
            for process in waits:
                process.end()
    yield Figure(
        name=f"{WAITS} `wait` pending: `send` p99, against none",
        measured=statistics.median(a / b for a, b in zip(beside, alone, strict=True)),
        target=1.5,
        numbers=f"{statistics.median(beside):.2f} ms against {statistics.median(alone):.2f} ms",
    )


def percentile(ground: Ground, seconds: float) -> float:
    """Milliseconds that 99 of 100 sends stay below."""
    told = ground.run(0, "sender", ground.socket, 1, seconds, "@agent1")
    return float(statistics.quantiles(told["each_us"], n=100)[98]) / 1000


def pending(ground: Ground) -> list[Process]:
    """Start the commands; gives them when the daemon has had time to hear of all."""
    output = ground.repo.path.parent / "waits.out"
    started = [
        ground.at(2 + number % WAITERS).background("wait", "--timeout", "10m", output=output)
        for number in range(WAITS)
    ]
    time.sleep(BEGIN_S)
    return started


def check_pending(waits: list[Process]) -> None:
    """None may have ended.

    Raises:
        RuntimeError: one has: what was measured is not what is claimed.
    """
    states = (
        Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] for process in waits
    )
    if "Z" in states:
        raise RuntimeError("a wait ended by itself")

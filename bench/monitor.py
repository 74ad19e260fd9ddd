"""A hundred monitors, twenty of them printing 10 MB/s one after the other: what it costs those who send and ask.

The 99th percentile of `send` and `health` over the Unix socket while the monitors run, against the same daemon before
they were started and after they were deleted; then how long it takes from a line that matches to the alarm's push.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable
from typing import Any, Final

from bench.figure import Effort, Figure
from bench.ground import ROOT, Ground
from thrum_kernel.testing.harness import launcher

MONITORS: Final = 100
LOUD: Final = 20
BYTES_A_SECOND: Final = 10_000_000
TURN_S: Final = 2.0
EVERY_S: Final = 40.0
"""Above the shortest debounce, so that every alarm is told at once."""


def figures(effort: Effort) -> Iterable[Figure]:
    """Percentiles of `send` and `health`, and of the time to an alarm."""
    seconds, rounds = effort.seconds(10, 1), effort.count(3, 1)
    with Ground(effort.room("repository"), agents=3, cli=(str(launcher()),)) as ground:
        percentiles(ground, 0.5)
        before = [percentiles(ground, seconds) for _ in range(rounds)]
        start(ground, monitors=effort.count(MONITORS, 10), effort=effort)
        beside = [percentiles(ground, seconds) for _ in range(2 * rounds)]
        told = ground.run(2, "alarms", ground.socket, effort.seconds(2 * EVERY_S, EVERY_S))
        delete(ground)
        after = [percentiles(ground, seconds) for _ in range(rounds)]
    for number, method in enumerate(("send", "health")):
        idle = statistics.median(each[number] for each in (*before, *after))
        loaded = statistics.median(each[number] for each in beside)
        yield Figure(
            name=f"{MONITORS} monitors, {LOUD} printing 10 MB/s in turn: `{method}` p99, against none",
            measured=loaded / idle,
            target=5,
            numbers=f"{loaded:.2f} ms against {idle:.2f} ms",
        )
    yield alarms(told["each_ms"])


def percentiles(ground: Ground, seconds: float) -> tuple[float, float]:
    """Milliseconds that 99 of 100 sends, and answers to `health`, stay below."""
    sent = ground.run(0, "sender", ground.socket, 1, seconds, "@agent1")
    asked = ground.run(0, "asker", ground.socket, "health", seconds)
    return percentile(sent["each_us"], 99) / 1000, percentile(asked["each_us"], 99) / 1000


def percentile(values: list[Any], number: int) -> float:
    return float(statistics.quantiles(values, n=100)[number - 1])


def alarms(each_ms: list[float]) -> Figure:
    """Those that were waited for while the loud ones printed."""
    return Figure(
        name="from a printed line to its alarm, while 20 monitors print 10 MB/s in turn: p95",
        measured=percentile(each_ms, 95),
        target=200,
        unit="ms",
        numbers=f"{len(each_ms)} alarms, median {statistics.median(each_ms):.1f} ms, most {max(each_ms):.0f} ms",
    )


def start(ground: Ground, *, monitors: int, effort: Effort) -> None:
    """Start them all for agent2."""
    effort.say(f"starting {monitors} monitors")
    loud = min(LOUD, monitors)
    program = str(ROOT / "bench" / "printer.py")
    calls = [
        {
            "name": f"m{number}",
            "argv": [
                *(sys.executable, program),
                *map(str, (number, monitors, loud, BYTES_A_SECOND, TURN_S, EVERY_S)),
            ],
            "match": "ALARM",
            "target": "@agent2",
            "cwd": str(ground.repo.path),
            "debounce_seconds": 30,
        }
        for number in range(monitors)
    ]
    ground.run(0, "caller", ground.socket, "monitor.start", stdin=json.dumps(calls))


def delete(ground: Ground) -> None:
    """End them all."""
    (monitors,) = ground.run(0, "caller", ground.socket, "monitor.list", stdin="[{}]")
    calls = [{"id": monitor["id"]} for monitor in monitors]
    ground.run(0, "caller", ground.socket, "monitor.delete", stdin=json.dumps(calls))

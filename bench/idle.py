"""What a daemon costs while nothing happens: kernel only, local only, twenty agents registered.

Read from ``/proc``: processor time, resident memory, bytes that went to storage, bytes handed to write calls. The
ten minutes begin when the daemon has been left alone for a while: what the registrations led to is done by then.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.figure import Effort, Figure
from bench.ground import Ground

AGENTS = 20
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a process; times in seconds, sizes in bytes."""

    at_s: float
    cpu_s: float
    resident: int
    stored: int
    written: int
    switches: int

    @classmethod
    def of(cls, pid: int) -> Reading:
        proc = Path(f"/proc/{pid}")
        io = dict(line.split(": ") for line in (proc / "io").read_text().splitlines())
        status = dict(
            line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line
        )
        return cls(
            at_s=time.monotonic(),
            cpu_s=sum(_run_ns(task) for task in (proc / "task").iterdir()) / 1e9,
            resident=int(status["VmRSS"].split()[0]) * 1024,
            stored=int(io["write_bytes"]),
            written=int(io["wchar"]),
            switches=int(status["voluntary_ctxt_switches"]),
        )


def _run_ns(task: Path) -> int:
    """Nanoseconds that a thread ran; ``/proc/PID/stat`` counts in hundredths of a second."""
    return int((task / "schedstat").read_text().split()[0])


def figures(effort: Effort) -> Iterable[Figure]:
    """Processor time, memory, bytes written."""
    settle_s, length_s = effort.seconds(60, 15), effort.seconds(600, 30)
    with Ground(effort.room("repository"), agents=AGENTS) as ground:
        time.sleep(settle_s)
        first = Reading.of(ground.process.pid)
        time.sleep(length_s)
        last = Reading.of(ground.process.pid)
    took_s = last.at_s - first.at_s
    cpu_s = last.cpu_s - first.cpu_s
    name = (
        f"idle, {AGENTS} agents, {took_s / 60:.0f} min: " if not effort.quick else f"idle, {took_s:.0f} s: "
    )
    yield Figure(
        name=f"{name}processor time",
        measured=100 * cpu_s / took_s,
        target=0.1,
        unit="%",
        numbers=f"{cpu_s:.2f} s in {took_s:.0f} s; {(last.switches - first.switches) / took_s:.1f} wake-ups/s of its loop",
    )
    yield Figure(name=f"{name}resident memory", measured=last.resident / MIB, target=90, unit="MiB")
    yield Figure(
        name=f"{name}bytes written",
        measured=float(last.stored - first.stored),
        target=0,
        unit="bytes",
        numbers=f"{last.written - first.written} bytes handed to write calls (sockets and wake-ups counted)",
    )

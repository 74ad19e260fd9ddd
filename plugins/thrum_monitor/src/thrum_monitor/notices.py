"""What a monitor says of itself."""

from __future__ import annotations

from typing import Final

from thrum_monitor.frames import Ended
from thrum_monitor.runner.ended import how_it_ended
from thrum_monitor.store import Alarm, Monitor
from thrum_monitor.times import length_of_time

FAILED_STARTS: Final = 5
"""Scheduled runs that cannot be started, in a row, until the monitor is given up."""


def alarm(monitor: Monitor, key: str, content: str, at: str) -> Alarm:
    """A message that is due; *key* tells it from the monitor's other messages."""
    return Alarm(
        key=f"{monitor.id}.{key}",
        monitor=monitor.id,
        name=monitor.name,
        target=monitor.target,
        content=content,
        created_at=at,
    )


def how(ended: Ended) -> str:
    """How a run ended, in words."""
    return f"could not be started: {ended.error}" if ended.error else how_it_ended(ended.status)


def died(monitor: Monitor, why: str, ended: Ended) -> str:
    """It was given up."""
    return (
        f"Monitor {monitor.name} is dead: {why}, the last {how(ended)}.\n"
        f"What it printed: thrum monitor logs {monitor.name}\n"
        f"Start it again: thrum monitor restart {monitor.name}"
    )


def timed_out(monitor: Monitor, timeout_s: float) -> str:
    """A scheduled run took too long."""
    return (
        f"Monitor {monitor.name}: its run was ended, it took longer than {length_of_time(timeout_s)}.\n"
        f"What it printed: thrum monitor logs {monitor.name}"
    )


def skipped(monitor: Monitor, count: int, bytes_a_second: int) -> str:
    """Output was thrown away unseen."""
    return (
        f"Monitor {monitor.name}: {count} bytes of output were skipped and not looked at, there is too much of it "
        f"(more than {bytes_a_second} bytes a second, or a pattern that takes long).\n"
        f"How much in all: thrum monitor show {monitor.name}"
    )

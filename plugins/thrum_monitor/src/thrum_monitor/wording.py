"""A monitor as lines of text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from thrum_monitor.runner.ended import how_it_ended
from thrum_monitor.times import length_of_time

_MARKS = {"running": "●", "stopped": "○", "dead": "✗"}


def row(monitor: dict[str, Any]) -> str:
    """One line of a list."""
    state = monitor["status"]
    if monitor.get("pid"):
        state += f" (PID {monitor['pid']})"
    elif monitor.get("next_run_at"):
        state += f" (next run {monitor['next_run_at']})"
    told = f"{_MARKS[monitor['status']]} {monitor['name']}  {state}  → {monitor['target']}"
    return f"{told}  {command(monitor['argv'])}"


def command(argv: Sequence[str], *, most: int = 80) -> str:
    """What it runs, as one would type it, in one line of *most* characters."""
    line = " ".join(shlex.join(argv).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def details(monitor: dict[str, Any]) -> Iterator[str]:
    """Everything about it, a line each."""
    yield f"{_MARKS[monitor['status']]} {monitor['name']}  ({monitor['id']})"
    for label, text in _facts(monitor):
        if text:
            yield f"  {label + ':':<12} {text}"


def _facts(monitor: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Status", monitor["status"] + (f" (PID {monitor['pid']})" if monitor.get("pid") else "")
    yield "Reason", monitor.get("reason", "")
    yield "Command", command(monitor["argv"], most=1000)
    yield "Cwd", monitor["cwd"]
    yield "Env", ", ".join(f"{name}={value}" for name, value in monitor["env"].items())
    yield "Match", monitor["match"]
    target = monitor["target"]
    if monitor.get("rerouted_to"):
        target += f" (gone: alarms go to {monitor['rerouted_to']})"
    yield "To", target
    yield "Debounce", length_of_time(monitor["debounce_seconds"])
    yield "Schedule", monitor.get("schedule", "")
    yield "Timeout", length_of_time(monitor["timeout_seconds"]) if monitor.get("timeout_seconds") else ""
    yield "Next run", monitor.get("next_run_at", "")
    yield "Started", monitor.get("last_started_at") or ""
    if monitor.get("last_exit_code") is not None:
        yield "Last end", f"{how_it_ended(monitor['last_exit_code'])} at {monitor.get('last_exit_at')}"
    if monitor.get("suppressed"):
        yield "Suppressed", f"{monitor['suppressed']} matches, told at the end of the window"
    if monitor.get("skipped_bytes"):
        yield "Skipped", f"{monitor['skipped_bytes']} bytes of output were never looked at"
    if monitor.get("undelivered"):
        problem = f": {monitor['problem']}" if monitor.get("problem") else ""
        yield "Undelivered", f"{monitor['undelivered']} alarms{problem}"
    yield (
        "Created",
        monitor["created_at"] + (f" by @{monitor['created_by']}" if monitor.get("created_by") else ""),
    )

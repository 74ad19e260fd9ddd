"""Ends what an earlier daemon left behind: commands whose output nobody reads any more. Blocking.

A process is ended only when its id and start time are those that were written down before it became the command, or,
where the leader is gone, when a process of its session carries the mark of its run.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from thrum_kernel.api import Process
from thrum_monitor import sessions

_LOOK_S: Final = 0.05
_KILLED_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Left:
    """What was written down of a command."""

    run: str
    pid: int
    start_time: int


def end(
    left: Iterable[Left],
    *,
    process: Callable[[int], Process | None],
    grace_s: float,
    runner: Left | None,
    runner_s: float,
) -> list[int]:
    """End them and all of their sessions; gives the ids of processes that did not go away even when killed.

    Args:
        process: looks at a process.
        grace_s: between SIGTERM and SIGKILL.
        runner: the one that started them: it ends them itself, and keeps their last output.
        runner_s: how long it may take for that, before it is killed.
    """
    remaining = {}
    if runner is not None and _is(runner, process):
        found = _until_gone({runner.pid: [runner.pid]}, runner_s, None)
        remaining = _until_gone(found, _KILLED_S, signal.SIGKILL)
    ours = {each.pid: each for each in left}
    found = {
        session: pids
        for session, pids in sessions.members(ours).items()
        if pids and _is_ours(ours[session], pids, process)
    }
    for session, pids in found.items():
        sessions.send(signal.SIGTERM, session, pids)
        sessions.send(signal.SIGCONT, session, pids)
    found = _until_gone(found, grace_s, None)
    remaining |= _until_gone(found, _KILLED_S, signal.SIGKILL)
    return [pid for pids in remaining.values() for pid in pids]


def _until_gone(
    found: dict[int, list[int]], seconds: float, number: signal.Signals | None
) -> dict[int, list[int]]:
    """Wait until nothing is left, sending *number* meanwhile."""
    deadline = time.monotonic() + seconds
    while found:
        for session, pids in found.items():
            if number is not None:
                sessions.send(number, session, pids)
        if time.monotonic() >= deadline:
            break
        time.sleep(_LOOK_S)
        found = {session: pids for session, pids in sessions.members(found).items() if pids}
    return found


def _is_ours(left: Left, pids: list[int], process: Callable[[int], Process | None]) -> bool:
    if left.pid in pids:
        return _is(left, process)
    return any(sessions.mark_of(pid) == left.run for pid in pids)


def _is(left: Left, process: Callable[[int], Process | None]) -> bool:
    found = process(left.pid)
    return found is not None and found.start_time == left.start_time

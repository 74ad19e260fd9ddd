"""Who belongs to a session: the processes that a command started, also after it ended itself.

A command is started as the leader of a session of its own, so its pid names the session. Used by the runner for what it
started, and by the daemon for what an earlier one left behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Mapping
from typing import Final

import psutil

MARK: Final = "THRUM_MONITOR_RUN"
"""In the environment of every command, so that what is left of a session can be told from another with its number."""


def members(sessions: Collection[int]) -> dict[int, list[int]]:
    """The live processes of each of these sessions; those that are only zombies do not count."""
    found: dict[int, list[int]] = {session: [] for session in sessions}
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            session = os.getsid(pid)
            if session in found and not is_zombie(pid):
                found[session].append(pid)
    return found


def is_zombie(pid: int) -> bool:
    """Whether it has ended and nobody has asked for its status yet, or is gone."""
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return True


def mark_of(pid: int) -> str:
    """The run that a process was started in; empty when it tells none."""
    try:
        environment: Mapping[str, str] = psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return ""
    return environment.get(MARK, "")


def send(number: signal.Signals, session: int, pids: Collection[int]) -> None:
    """Send a signal to the group of a session's leader, and to members that made groups of their own."""
    if session in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(session, number)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) != session or session not in pids:
                os.kill(pid, number)

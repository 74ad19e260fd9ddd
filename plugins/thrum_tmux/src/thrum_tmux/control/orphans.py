"""Control clients that outlived the daemon which attached them.

A client ends when its daemon does, for its input ends then. But tmux 3.3a lets one go only once all that it has for it is
written, and where a pane floods and the daemon was killed there is nobody to write it to: the client stays attached for
ever, and detaching it changes nothing (tried: ``yes`` in the pane, ``kill -9``, five times of five). It ends when its own
process is told to, but then the server itself ended two times of some twenty, and every agent in it (and none of 32
times when the client was left alone). So they are found and named, and it is left to a person when to end them.

Each client carries in its environment who attached it. Only one that carries such a mark, whose daemon is gone, and that
is attached to a session of ours is named.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from typing import Final

import psutil

from thrum_kernel.api import Process
from thrum_tmux.control.client import ATTACH
from thrum_tmux.control.process import TmuxServer

OWNER: Final = "THRUM_TMUX_ATTACHED_BY"
"""Variable of a client: the process id of its daemon, a colon, and when that began."""
Find = Callable[[int], Process | None]


def mark(find: Find) -> Mapping[str, str]:
    """What a client of this process carries. *find* gives a process by its id."""
    own = find(os.getpid())
    return {OWNER: f"{own.pid}:{own.start_time}"} if own is not None else {}


async def left(tmux: TmuxServer, sessions: Collection[str], find: Find) -> list[int]:
    """The process ids of the control clients of *sessions* whose daemon is gone.

    Raises:
        TmuxError, ServerSilent: tmux cannot tell who is attached.
    """
    return [
        each.pid for each in await _attached(tmux, sessions) if await asyncio.to_thread(_is_left, each, find)
    ]


async def _attached(tmux: TmuxServer, sessions: Collection[str]) -> list[psutil.Process]:
    """The processes of the control clients of *sessions*."""
    question = ("list-clients", "-F", "#{client_control_mode} #{session_id} #{client_pid}")
    (lines,) = await asyncio.to_thread(tmux.ask, question)
    found = []
    for line in lines:
        is_control, session, pid = line.split(" ")
        if is_control == "1" and session in sessions and psutil.pid_exists(int(pid)):
            try:
                found.append(psutil.Process(int(pid)))
            except psutil.NoSuchProcess:
                continue
    return found


def _is_left(client: psutil.Process, find: Find) -> bool:
    """Whether it is one of ours whose daemon is gone. Blocking."""
    try:
        argv, owner = client.cmdline(), client.environ().get(OWNER, "")
    except psutil.Error:
        return False
    pid, _, started = owner.partition(":")
    if not pid.isdecimal() or argv[-len(ATTACH) - 1 : -1] != list(ATTACH):
        return False
    daemon = find(int(pid))
    return daemon is None or str(daemon.start_time) != started

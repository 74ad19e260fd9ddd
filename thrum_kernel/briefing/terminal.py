"""Where in tmux a caller stands: ``session:window.pane``, confirmed by the system before tmux is asked.

The environment of a caller names a tmux server by the path of its socket. The daemon must not let a caller lead it to
any socket it likes, so the server has to be an ancestor of the caller, to run the same tmux program that we run, and to
be the process that listens on that socket.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import psutil

from thrum_kernel.bus.peer import peer_of

ASK_S: Final = 2.0
_PANE: Final = re.compile(r"%\d+")
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMUX_TMPDIR")


def place_of(tmux: str, pane: str, *, ancestors: Iterable[int], env: Mapping[str, str]) -> str:
    """The pane ``session:window.pane`` that *tmux* and *pane* name; empty when that is not so. Blocking.

    Args:
        tmux: ``TMUX`` of the caller: socket, the server's pid, session, with commas.
        pane: ``TMUX_PANE`` of the caller.
        ancestors: pids above the caller, as the system tells.
        env: our own environment.
    """
    path, _, rest = tmux.partition(",")
    pid = rest.partition(",")[0]
    program = shutil.which("tmux", path=env.get("PATH"))
    if not (path.startswith("/") and pid.isdigit() and _PANE.fullmatch(pane) and program):
        return ""
    if int(pid) not in ancestors or not _is_server(int(pid), program, path):
        return ""
    return _ask(program, path, pane, env)


def _is_server(pid: int, program: str, path: str) -> bool:
    """Whether the process *pid* is that program and listens on *path*."""
    try:
        if not os.path.samefile(psutil.Process(pid).exe(), program):  # noqa: PTH121 - one call for both paths
            return False
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(ASK_S)
            asked.connect(path)
            return peer_of(asked).pid == pid
    except (psutil.Error, OSError):
        return False


def _ask(program: str, path: str, pane: str, env: Mapping[str, str]) -> str:
    words = [program, "-S", path, "display-message", "-p", "-t", pane]
    words.append("#{session_name}:#{window_index}.#{pane_index}")
    try:
        done = subprocess.run(
            words,
            env={name: env[name] for name in _KEPT if name in env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ASK_S,
            cwd=Path("/"),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""

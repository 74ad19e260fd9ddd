"""A tmux server of our own, asked by subprocess: nothing here is hot. Blocking."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from thrum_kernel.errors import Refused, UsageError
from thrum_tmux.sockets import check_socket

DEFAULT_SOCKET = "tmux-exec"
SOCKET_VARIABLE = "TMUX_EXEC_SOCKET"
_TIMEOUT_S = 10.0
_KEPT = (
    "HOME",
    "LANG",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TMUX_TMPDIR",
    "TZ",
    "USER",
    "__CF_USER_TEXT_ENCODING",
)
_SOCKET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_NOBODY = re.compile(
    r"no server running|error connecting|no sessions|no current|can't find|lost server|server exited"
)


class TmuxFailed(Refused):
    """tmux refused something, or is not there."""


class ExecServer:
    """The server behind one socket.

    Args:
        socket: a name as ``tmux -L`` takes it, or a path with a slash as ``-S`` does.
        env: the caller's environment; what the server gets of it says nothing about an agent.

    Raises:
        UsageError: the name cannot be one.
        TmuxFailed: tmux is not installed.
    """

    def __init__(self, socket: str, env: Mapping[str, str]) -> None:
        if "/" not in socket and not _SOCKET.fullmatch(socket):
            raise UsageError(f'invalid socket name "{socket}"', hint="letters, digits, _, . and -, or a path")
        program = shutil.which("tmux", path=env.get("PATH"))
        if program is None:
            raise TmuxFailed("tmux is not installed", hint="install it, or put it on PATH")
        self.socket = socket
        self._words = [program, "-f", "/dev/null", *(("-S", socket) if "/" in socket else ("-L", socket))]
        self._env = {
            name: value for name, value in env.items() if name in _KEPT or name.startswith("LC_")
        } | {"TERM": "screen-256color"}

    @property
    def folder(self) -> Path:
        """Where its socket lies: a folder of the caller's own, made when missing.

        Raises:
            TmuxFailed: it is somebody else's.
        """
        if "/" in self.socket:
            return Path(self.socket).parent
        folder = Path(self._env.get("TMUX_TMPDIR") or "/tmp") / f"tmux-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o077:
            raise TmuxFailed(
                f"{folder} is not a private folder of yours", hint="set TMUX_TMPDIR to one that is"
            )
        return folder

    def lock_file(self, session: str, kind: str) -> Path:
        """A file to lock for one session of this server."""
        return self.folder / f"{Path(self.socket).name}.{session}.{kind}"

    def ask(self, *words: str, stdin: bytes | None = None) -> str | None:
        """What tmux answers; None when there is no such server, session or pane.

        Raises:
            TmuxFailed: it failed otherwise.
            NotASocket: its socket would take the place of a file.
        """
        check_socket(Path("/", self.socket) if "/" in self.socket else self.folder / self.socket)
        try:
            done = subprocess.run(
                [*self._words, *words],
                env=self._env,
                cwd="/",
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TmuxFailed(
                f"tmux {words[0]} does not answer", hint=f"tmux -L {self.socket} kill-server"
            ) from None
        said = done.stderr.decode(errors="replace").strip()
        if done.returncode == 0:
            return done.stdout.decode(errors="replace")
        if "File name too long" in said:
            raise TmuxFailed(f"tmux {words[0]}: {said}", hint="set TMUX_TMPDIR to a shorter folder")
        if _NOBODY.search(said):
            return None
        raise TmuxFailed(f"tmux {words[0]}: {said or f'exit status {done.returncode}'}")

"""tmux as a program, run once a request: for setting up, and where no control client can be."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import libtmux

from thrum_tmux.control import words
from thrum_tmux.control.answers import Answer, Marks
from thrum_tmux.errors import ServerGone, ServerSilent, TmuxError, TmuxMissing
from thrum_tmux.sockets import check_socket

ANSWER_S: Final = 5.0
_FOREIGN: Final = ("TMUX", "TMUX_PANE", "CLAUDE_PROJECT_DIR")
_GONE: Final = ("no server running on", "error connecting to", "no sessions", "server exited", "lost server")


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one run; the shape that libtmux's objects read.

    Attributes:
        cmd: its words.
        returncode: its exit status.
        stdout, stderr: lines.
    """

    cmd: list[str]
    returncode: int
    stdout: list[str]
    stderr: list[str]


class TmuxServer(libtmux.Server):
    """libtmux's server, whose commands run with an environment without any agent's identity, and never for ever.

    Args:
        socket_path: absolute path of its socket.
        env: the environment to run in.
    """

    def __init__(self, socket_path: str, *, env: Mapping[str, str]) -> None:
        self.env: Final = scrubbed(env)
        found = shutil.which("tmux", path=env.get("PATH"))
        self.program: Final = (found or "tmux", "-S", socket_path)
        self.is_installed: Final = found is not None
        super().__init__(socket_path=socket_path, tmux_bin=found)

    @functools.cached_property
    def version(self) -> str:
        """What ``tmux -V`` says, without the name. Blocking; raises as `cmd`."""
        return " ".join(self.run("-V").stdout).removeprefix("tmux ")

    def make_folder(self) -> None:
        """tmux's own folder for sockets, which it makes itself only where it is not told a path. Blocking.

        Raises:
            TmuxError: it cannot be made, or another one, that was named, is not there.
        """
        folder = Path(str(self.socket_path)).parent
        if folder.name == f"tmux-{os.getuid()}":
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise TmuxError(f"{folder} cannot be made: {error.strerror}") from error
        if not folder.is_dir():
            raise TmuxError(
                f"{folder} is no folder: no socket can be made there",
                hint="thrum config set tmux.socket NAME",
            )

    def cmd(self, cmd: str, *args: Any, target: str | int | None = None) -> Any:
        """Run one command, as `libtmux.Server.cmd`, and wait for it. Blocking.

        Raises:
            TmuxMissing: there is no tmux.
            ServerSilent: it did not end within five seconds; it was ended.
            NotASocket: its socket would take the place of a file.
        """
        aimed = () if target is None else ("-t", str(target))
        return self.run(cmd, *aimed, *map(str, args))

    def run(self, *args: str) -> Ran:
        """Run tmux with these arguments. Blocking; raises as `cmd`."""
        if not self.is_installed:
            raise TmuxMissing
        check_socket(str(self.socket_path))
        argv = [*self.program, "-u", *args]
        try:
            done = subprocess.run(
                argv,
                env=self.env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=ANSWER_S,
                check=False,
                encoding="utf-8",
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            raise ServerSilent(str(self.socket_path)) from None
        except OSError as error:
            raise TmuxMissing(f"{argv[0]} cannot be run: {error.strerror}") from error
        return Ran(argv, done.returncode, _lines(done.stdout), _lines(done.stderr))

    def ask(self, *commands: words.Words) -> Answer:
        """Run commands in a row with one process; what each printed. Blocking.

        Raises:
            ServerGone: no server runs.
            TmuxError: one failed, and those after it were not run.
            TmuxMissing, ServerSilent: as `cmd`.
        """
        marks = Marks()
        ran = self.run(*words.arguments(marks.separated(commands)))
        if ran.returncode == 0 and not ran.stderr:
            return marks.split(ran.stdout)
        said = "; ".join(ran.stderr) or f"tmux ended with {ran.returncode}"
        if said.startswith(_GONE):
            raise ServerGone(str(self.socket_path))
        raise TmuxError(said)


def _lines(text: str) -> list[str]:
    """Not `str.splitlines`: a screen may show characters that it takes for the end of a line."""
    return text.removesuffix("\n").split("\n") if text else []


def scrubbed(env: Mapping[str, str]) -> dict[str, str]:
    """An environment that names no agent and no tmux that somebody stands in."""
    return {key: value for key, value in env.items() if key not in _FOREIGN and not key.startswith("THRUM_")}


def socket_path(setting: str, *, env: Mapping[str, str], uid: int | None = None) -> str:
    """The absolute path of the socket that ``tmux.socket`` means.

    A path stays as it is; a name, or nothing for ``default``, lies in tmux's folder, as ``tmux -L`` has it.
    """
    if "/" in setting:
        return setting
    folder = env.get("TMUX_TMPDIR") or "/tmp"
    return f"{folder}/tmux-{os.getuid() if uid is None else uid}/{setting or 'default'}"

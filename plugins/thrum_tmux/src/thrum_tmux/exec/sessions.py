"""The sessions of the server: the pool that ``exec`` uses, and those that people name. Blocking."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from thrum_kernel.errors import NotFound, Refused, UsageError
from thrum_tmux.exec.server import ExecServer

POOL = "tmux-exec-pool"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_SIZE = ("-x", "200", "-y", "50")
_CHUNK = 512
_SETTLE_S = 1.0
_SHELL = ("--noprofile", "--norc")
_LIST = "\t".join(
    ("#{session_name}", "#{session_created}", "#{pane_current_command}", "#{pane_current_path}")
)


@dataclass(frozen=True, slots=True)
class ExecPane:
    """The pane of a session.

    Attributes:
        id: as tmux names it, e.g. ``%3``.
        pid: its shell.
        command: the program in its foreground.
    """

    id: str
    pid: int
    command: str


class Sessions:
    """The sessions of one server.

    Args:
        server: the server.
        env: the caller's environment.
        user: whose pool.
    """

    def __init__(self, server: ExecServer, env: Mapping[str, str], *, user: str) -> None:
        self._server = server
        self._bash = shutil.which("bash", path=env.get("PATH")) or "/bin/bash"
        self.pool = f"{POOL}-{re.sub(r'[^A-Za-z0-9_-]', '-', user) or 'user'}"

    @property
    def shell(self) -> tuple[str, ...]:
        """The words before a command that the shell is to run."""
        return (self._bash, *_SHELL, "-c")

    def create(self, name: str, *, cwd: Path) -> None:
        """A session whose shell reads no start-up files, writes no history and has no prompt.

        Raises:
            UsageError: a bad name.
            Refused: there is one of that name.
        """
        if self.find(check_name(name)) is not None:
            raise Refused(f'session "{name}" exists already', hint=f"thrum tmux exec destroy {name}")
        self._make(name, cwd)

    def ready(self, name: str, *, cwd: Path) -> ExecPane:
        """The pane of a session, with its shell in the foreground; the pool is made when it is not there.

        Raises:
            NotFound: there is no such session.
            Refused: another program has the pane.
        """
        pane = self.find(name)
        until = time.monotonic() + _SETTLE_S
        while pane is None and name == self.pool and time.monotonic() < until:
            self._make(name, cwd)  # again where the server was just ending, with its last session
            pane = self.find(name)
        if pane is None:
            raise self._missing(name)
        until = time.monotonic() + _SETTLE_S
        while pane.command != Path(self._bash).name and time.monotonic() < until:
            time.sleep(0.01)  # the shell is beginning, or the command before this one is going
            pane = self.find(name) or pane
        if pane.command != Path(self._bash).name:
            raise Refused(
                f'{pane.command} has the pane of session "{name}"',
                hint=f"end it, or the session: thrum tmux exec destroy {name}",
            )
        return pane

    def find(self, name: str) -> ExecPane | None:
        """The pane of a session; None when there is no such session."""
        said = self._server.ask(
            "display-message", "-p", "-t", f"={name}:", "#{pane_id} #{pane_pid} #{pane_current_command}"
        )
        pane, _, rest = (said or "").strip().partition(" ")
        pid, _, command = rest.partition(" ")
        return ExecPane(pane, int(pid), command) if pane and pid.isdecimal() else None

    def check_there(self, name: str) -> None:
        """Whether there is such a session; the pool is made when it is needed.

        Raises:
            NotFound: there is none.
        """
        if name != self.pool and self.find(name) is None:
            raise self._missing(name)

    def type_line(self, name: str, text: str) -> None:
        """Type *text* and Enter.

        Raises:
            NotFound: there is no such session.
        """
        for start in range(0, len(text), _CHUNK):
            self._ask(name, "send-keys", "-t", f"={name}:", "-l", "--", text[start : start + _CHUNK])
        self._ask(name, "send-keys", "-t", f"={name}:", "Enter")

    def clear(self, name: str) -> None:
        """Forget what the pane shows and showed."""
        self._ask(name, "send-keys", "-R", "-t", f"={name}:", ";", "clear-history", "-t", f"={name}:")

    def captured(self, name: str) -> list[str]:
        """What the pane shows and showed, lines that it wrapped joined, without blank lines at the end.

        Raises:
            NotFound: there is no such session.
        """
        said = self._ask(name, "capture-pane", "-p", "-J", "-S", "-", "-t", f"={name}:")
        lines = [line.rstrip() for line in said.split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def destroy(self, name: str) -> None:
        """End a session and everything in it; its lock files stay (see `locks`), for somebody may hold them.

        Raises:
            NotFound: there is no such session.
        """
        self._ask(name, "kill-session", "-t", f"={name}")

    def names(self) -> list[dict[str, str]]:
        """Every session: its name, when it was made (seconds since 1970), what runs in it and where."""
        said = self._server.ask("list-sessions", "-F", _LIST) or ""
        rows = [line.split("\t") for line in said.splitlines()]
        keys = ("name", "created", "command", "cwd")
        return [dict(zip(keys, row, strict=True)) for row in rows if len(row) == len(keys)]

    def _make(self, name: str, cwd: Path) -> None:
        env = (shutil.which("env") or "/usr/bin/env", "PS1=", "HISTFILE=", "TMUX=", "TMUX_PANE=")
        self._server.ask(
            *("new-session", "-d", *_SIZE, "-s", name, "-c", str(cwd), "--", *env, self._bash, *_SHELL)
        )

    def _ask(self, name: str, *words: str) -> str:
        said = self._server.ask(*words)
        if said is None:
            raise self._missing(name)
        return said

    def _missing(self, name: str) -> NotFound:
        hint = "thrum tmux exec list" if name == self.pool else f"thrum tmux exec create {name}"
        return NotFound("session", name, message=f'session "{name}" not found', hint=hint)


def check_name(name: str) -> str:
    """*name*, if a session can be called so.

    Raises:
        UsageError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f'invalid session name "{name}"', hint="letters, digits, _ and -")
    return name

"""A project with monitors, and looks at what they do."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from thrum_monitor import sessions

from thrum_kernel.testing.harness import Cli, Repo

PATIENCE_S = 30.0
MARKED = "MONITOR_TEST"
"""A variable of the commands that a test starts, so that all of them can be found."""


def processes_of(mark: str) -> list[int]:
    """Live processes whose environment has *mark* in `MARKED`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKED) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


@dataclass
class House:
    """A project with a daemon.

    Attributes:
        cli: typed in the main worktree, where rev is.
    """

    cli: Cli
    repo: Repo

    def log(self, name: str) -> Path:
        """The file that a monitor watches."""
        path = self.repo.path.parent / f"{name}.log"
        path.touch()
        return path

    def write(self, text: str, *, name: str = "build") -> None:
        """Add a line to the file that is watched."""
        with self.log(name).open("a") as file:
            file.write(f"{text}\n")

    def start(self, name: str, *command: str, match: str = "FAIL", to: str = "@rev", **options: str) -> str:
        """Start a monitor; gives its id."""
        flags = [word for flag, value in options.items() for word in (f"--{flag}", value)]
        said = self.cli(
            *(
                "--json",
                "monitor",
                "start",
                "--name",
                name,
                "--match",
                match,
                "--to",
                to,
                *flags,
                "--",
                *command,
            )
        )
        done = json.loads(said)
        return str(done["id"])

    def watch_log(self, name: str = "build", **options: str) -> str:
        """Start a monitor that watches the file."""
        return self.start(name, "tail", "-n", "+1", "-F", str(self.log(name)), **options)

    def show(self, name: str) -> dict[str, Any]:
        """A monitor as it is."""
        found: dict[str, Any] = self.cli.json("monitor", "show", name)
        return found

    def texts(self, cli: Cli | None = None) -> list[str]:
        """What rev, or whoever *cli* is, has in the inbox, oldest first; nothing becomes read."""
        found = (cli or self.cli).json("inbox", "--unread", "--page-size", "100")
        return [message["body"]["content"] for message in reversed(found["messages"])]


def python(code: str) -> tuple[str, ...]:
    """The words that run a piece of Python."""
    return (sys.executable, "-u", "-c", code)


def session_of(pid: int) -> list[int]:
    """The live processes of a command's session."""
    return sessions.members([pid])[pid]


def is_running(pid: int) -> bool:
    """Whether there is such a process, and no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not sessions.is_zombie(pid)

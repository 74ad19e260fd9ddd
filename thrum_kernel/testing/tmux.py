"""A real tmux server of a test's own, which ends with the test. The person's own server is never touched."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PATIENCE_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class TmuxServer:
    """A server on a socket of its own.

    Attributes:
        socket: its name, for ``tmux -L``.
        env: what tmux and the programs in its panes find.
    """

    socket: str
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Absolute path of its socket, for ``tmux -S`` and for the setting ``tmux.socket``."""
        folder = self.env.get("TMUX_TMPDIR") or "/tmp"
        return Path(f"{folder}/tmux-{os.getuid()}/{self.socket}")

    def begin(self, *commands: str) -> None:
        """Start it; it stays while it has no sessions. *commands* are run first, e.g. ``set -g base-index 1``."""
        settings = ("set -s exit-empty off", "set -g default-shell /bin/sh", *commands)
        self("start-server", *(word for each in settings for word in (";", *shlex.split(each))))

    def end(self) -> None:
        """End it with everything in it; nothing happens when it does not run."""
        self.run("kill-server")

    def __call__(self, *words: str) -> str:
        """What a tmux command prints, without the last line break.

        Raises:
            AssertionError: tmux refused it; says why.
        """
        done = self.run(*words)
        assert done.returncode == 0, f"tmux {shlex.join(words)}: {done.stderr.strip()}"
        return done.stdout.removesuffix("\n")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A tmux command, whatever comes of it."""
        return subprocess.run(
            ["tmux", "-L", self.socket, "-f", "/dev/null", *words],
            env=dict(self.env),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def session(
        self, name: str, command: str = "", *, columns: int = 100, lines: int = 30, cwd: str = "/"
    ) -> str:
        """A new detached session; gives the id of its pane, e.g. ``%3``.

        Args:
            command: for the shell that the pane runs; empty for an interactive shell.
        """
        size = ("-x", str(columns), "-y", str(lines))
        words = ["new-session", "-d", "-s", name, "-c", cwd, *size, "-P", "-F", "#{pane_id}"]
        return self(*words, *([command] if command else []))

    def screen(self, pane: str) -> list[str]:
        """The rows that a pane shows now."""
        return self("capture-pane", "-p", "-t", pane).split("\n")

    def shows(
        self, pane: str, holds: Callable[[list[str]], object], *, limit_s: float = PATIENCE_S
    ) -> list[str]:
        """Wait until what a pane shows is as wanted; gives its rows.

        Raises:
            AssertionError: it never is; shows the screen.
        """
        deadline = time.monotonic() + limit_s
        while not holds(rows := self.screen(pane)):
            assert time.monotonic() < deadline, "never shown:\n" + "\n".join(rows)
            time.sleep(0.01)
        return rows


@contextlib.contextmanager
def tmux_server(env: Mapping[str, str] | None = None) -> Iterator[TmuxServer]:
    """A server for the length of the block.

    Args:
        env: of its panes; by default this process's own, without what tells of another tmux.
    """
    given = {name: value for name, value in (env or os.environ).items() if name not in ("TMUX", "TMUX_PANE")}
    server = TmuxServer(
        f"thrum-test-{os.getpid()}-{secrets.token_hex(4)}", {"TERM": "xterm-256color", **given}
    )
    try:
        yield server
    finally:
        server.end()

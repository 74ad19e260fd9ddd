"""A real tmux server of the test's own: no configuration of the person's, a socket nobody else uses."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(slots=True)
class TmuxServer:
    """One server on a socket of its own; ended by `close`.

    Attributes:
        socket: absolute path of its socket, for ``tmux.socket``.
        env: the environment that its panes begin with.
    """

    socket: Path
    env: Mapping[str, str]

    @classmethod
    def start(cls, env: Mapping[str, str], *options: str) -> Self:
        """Start one that stays without sessions; *options* are commands run first, e.g. ``set -g base-index 1``.

        Raises:
            FileNotFoundError: there is no tmux.
            AssertionError: it does not start.
        """
        # A socket's path may have about a hundred bytes; a test's own folder can be longer.
        server = cls(Path(tempfile.mkdtemp(prefix="thrum-tmux-")) / "socket", dict(env))
        server.begin(*options)
        return server

    def begin(self, *options: str) -> None:
        """Start it, again after `end`."""
        settings = [
            "set -s exit-empty off",
            "set -g default-shell /bin/sh",
            "set -g history-limit 2000",
            *options,
        ]
        config = self.socket.with_name("tmux.conf")
        config.write_text("".join(f"{each}\n" for each in settings))
        self._run("-f", str(config), "start-server")

    def __call__(self, *words: str) -> str:
        """What a command of tmux prints, without the last line end.

        Raises:
            AssertionError: it failed; says with what.
        """
        return self._run(*words)

    def screen(self, target: str) -> str:
        """What a pane shows."""
        return self("capture-pane", "-p", "-t", target)

    def end(self) -> None:
        """End it with everything in it; nothing happens when it does not run."""
        subprocess.run(
            ["tmux", "-S", str(self.socket), "kill-server"], env=self._env(), capture_output=True, check=False
        )

    def close(self) -> None:
        """End it and remove its folder."""
        self.end()
        shutil.rmtree(self.socket.parent)

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self.socket), "-u", *words],
            env=self._env(),
            capture_output=True,
            encoding="utf-8",
            timeout=10,
            check=False,
        )
        assert done.returncode == 0, f"tmux {' '.join(words)}: {done.stderr.strip()}"
        return done.stdout.removesuffix("\n")

    def _env(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "TERM": "screen-256color", **self.env}

"""A repository with a daemon and a tmux server of its own, shared by the tests of several files."""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thrum_kernel.testing.fake_runtime.driver import add_plugin, install_program
from thrum_kernel.testing.harness import Cli, Repo, clean_environment, launcher, stop_daemon
from thrum_kernel.testing.spawner import Spawner
from thrum_kernel.testing.tmux import TmuxServer, tmux_server

PATIENCE_S = 30.0


@dataclass
class House:
    """Where a test stands.

    Attributes:
        cli: the command, typed in the main checkout by agent ``boss``.
        repo: the main checkout.
        tmux: the server that sessions are made on; indices begin at 1 there.
    """

    cli: Cli
    repo: Repo
    tmux: TmuxServer
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def fresh(self, stem: str = "agent") -> str:
        """A name that no other test has."""
        return f"{stem}{next(self._numbers)}"

    def create(self, name: str, *words: str) -> Path:
        """A session and an agent of one name in a new worktree of that name, which is given."""
        worktree = self.repo.worktree(name).path
        self.cli(
            "tmux",
            "create",
            name,
            "--cwd",
            str(worktree),
            "--name",
            name,
            "--role",
            "implementer",
            "--module",
            "api",
            *words,
        )
        return worktree

    def identity(self, worktree: Path) -> dict[str, Any]:
        """The only identity file of a worktree."""
        (file,) = (worktree / ".thrum" / "identities").glob("*.json")
        found: dict[str, Any] = json.loads(file.read_bytes())
        return found

    def program(self, name: str) -> str:
        """The program in the foreground of a session's pane."""
        return self.tmux("display-message", "-p", "-t", f"={name}:", "#{pane_current_command}")

    def status(self, name: str) -> dict[str, Any] | None:
        """A session as ``tmux status`` tells of it."""
        sessions: list[dict[str, Any]] = self.cli.json("tmux", "status")["sessions"]
        return next((each for each in sessions if each["name"] == name), None)

    def heard(self) -> list[str]:
        """Sessions that a control client of the daemon hears."""
        return self._shown("1")

    def people(self) -> list[str]:
        """Sessions that a person's terminal shows."""
        return self._shown("0")

    def _shown(self, kind: str) -> list[str]:
        # A server without sessions refuses to tell that it has no clients.
        lines = self.tmux.run("list-clients", "-F", "#{client_control_mode} #{session_name}").stdout
        return [line.partition(" ")[2] for line in lines.split("\n") if line.startswith(f"{kind} ")]


@contextlib.contextmanager
def house(spawner: Spawner, folder: Path) -> Iterator[House]:
    """For the length of the block."""
    home = folder / "home"
    home.mkdir()
    with tempfile.TemporaryDirectory(prefix="thrum-tmux-") as short:
        env = {
            **clean_environment(home),
            "TMUX_TMPDIR": short,
            "TERM": "xterm-256color",
            "THRUM_PLUGINS_STRICT": "1",
            "PS1": "$ ",
        }
        install_program(folder / "bin")
        env["PATH"] = f"{folder / 'bin'}:{launcher().parent}:{env['PATH']}"
        with tmux_server(env) as tmux:
            tmux.begin(
                "set -g base-index 1",
                "set -g pane-base-index 1",
                "set -g destroy-unattached on",
                "set -g default-command /bin/sh",  # no login shell, which would have another PATH
            )
            repo = Repo.make(folder / "project", env)
            cli = Cli(spawner, repo.path, env)
            cli("init", "--non-interactive", "--no-daemon")
            add_plugin(repo)
            cli("daemon", "start")
            cli("config", "set", "tmux.socket", str(tmux.path))
            cli("quickstart", "--name", "boss", "--role", "coordinator", "--module", "all")
            try:
                yield House(cli, repo, tmux)
            finally:
                stop_daemon(cli)

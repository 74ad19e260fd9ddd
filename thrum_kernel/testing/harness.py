"""Real repositories, the real command and a real daemon, each in folders of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thrum_kernel.errors import ThrumError
from thrum_kernel.testing.spawner import Process, Result, Spawner

_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "COVERAGE_PROCESS_START")


def clean_environment(home: Path) -> dict[str, str]:
    """An environment with nothing of the person's: their PATH and language, a HOME of the test's own."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "NO_COLOR": "1",
        "TMUX_TMPDIR": str(home),  # never the person's own tmux server
    }


def launcher() -> Path:
    """The installed ``thrum`` command beside this Python.

    Raises:
        FileNotFoundError: thrum is not installed here.
    """
    found = Path(sys.executable).parent / "thrum"
    if not found.exists():
        raise FileNotFoundError(f"no thrum beside {sys.executable}: run `make setup`")
    return found


class Failed(AssertionError):
    """A command ended otherwise than expected."""


@dataclass(frozen=True, slots=True)
class Repo:
    """A git repository with one commit, or one of its worktrees.

    Attributes:
        path: its root.
        main: the main worktree's root.
        env: environment for programs that run in it.
    """

    path: Path
    main: Path
    env: Mapping[str, str]

    @classmethod
    def make(cls, path: Path, env: Mapping[str, str]) -> Repo:
        """A new repository with a file ``README.md`` committed on ``main``."""
        path.mkdir(parents=True)
        repo = cls(path, path, dict(env))
        repo.git("init", "-q", "-b", "main")
        repo.git("config", "user.name", "Test Person")
        repo.git("config", "user.email", "person@example.org")
        (path / "README.md").write_text("# A project\n")
        repo.git("add", "README.md")
        repo.git("commit", "-q", "-m", "first")
        return repo

    @classmethod
    def housed(cls, folder: Path, **env: str) -> Repo:
        """A new repository in *folder*, beside a HOME of its own; *env*: more for programs that run in it."""
        (folder / "home").mkdir(parents=True)
        return cls.make(folder / "project", {**clean_environment(folder / "home"), **env})

    def git(self, *words: str) -> str:
        """What git answers, stripped."""
        done = subprocess.run(
            ["git", *words], cwd=self.path, env=dict(self.env), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Failed(f"git {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def worktree(self, name: str, *, branch: str = "") -> Repo:
        """A linked worktree beside the main one, on a branch of its own."""
        path = self.main.parent / name
        self.git("worktree", "add", "-q", "-b", branch or name, str(path))
        return Repo(path, self.main, self.env)


@dataclass(slots=True)
class Cli:
    """The installed command, run as a person at *cwd* would.

    Attributes:
        cwd: where it is typed.
        env: its environment.
        program: the words before the arguments: the launcher, or ``python -m thrum_kernel``.
    """

    spawner: Spawner
    cwd: Path
    env: Mapping[str, str]
    program: tuple[str, ...] = field(default_factory=lambda: (str(launcher()),))

    def at(self, cwd: Path, **env: str) -> Cli:
        """The same, typed elsewhere or with more in the environment."""
        return Cli(self.spawner, cwd, {**self.env, **env}, self.program)

    def in_process(self) -> Cli:
        """The same, run by ``python -m thrum_kernel`` and not by the daemon."""
        return Cli(self.spawner, self.cwd, self.env, (sys.executable, "-m", "thrum_kernel"))

    def run(self, *words: str, stdin: bytes = b"", timeout_s: float = 60.0) -> Result:
        """Run a command, whatever comes of it."""
        return self.spawner.run(
            [*self.program, *words], cwd=self.cwd, env=self.env, stdin=stdin, timeout_s=timeout_s
        )

    def __call__(self, *words: str, stdin: bytes = b"", timeout_s: float = 60.0) -> str:
        """What a command prints.

        Raises:
            Failed: it ended with another status than 0.
        """
        result = self.run(*words, stdin=stdin, timeout_s=timeout_s)
        if result.status != 0:
            raise Failed(f"thrum {' '.join(words)} ended with {result.status}\n{result.out}{result.err}")
        return result.out

    def json(self, *words: str, stdin: bytes = b"") -> Any:
        """The one JSON value that a command prints with ``--json``."""
        return json.loads(self(*words, "--json", stdin=stdin))

    def refused(self, *words: str, stdin: bytes = b"", status: int = 1) -> str:
        """What a command prints on standard error when it ends with *status*."""
        result = self.run(*words, stdin=stdin)
        if result.status != status:
            raise Failed(
                f"thrum {' '.join(words)} ended with {result.status}, not {status}\n{result.out}{result.err}"
            )
        return result.err

    def background(self, *words: str, output: Path) -> Process:
        """Start a command that goes on."""
        return self.spawner.start([*self.program, *words], cwd=self.cwd, env=self.env, output=output)


@contextmanager
def project(spawner: Spawner, folder: Path, *words: str, **env: str) -> Iterator[tuple[Cli, Repo]]:
    """A project in *folder* whose daemon runs, with every installed plugin active, or it does not start.

    For tests that share one: it takes seconds to make. Stopped at the end.

    Args:
        words: further ones for ``thrum init``.
        env: more for its programs.
    """
    repo = Repo.housed(folder, **env)
    cli = Cli(spawner, repo.path, {"THRUM_PLUGINS_STRICT": "1", **repo.env})
    try:
        cli("init", "--non-interactive", *words)
        yield cli, repo
    finally:
        stop_daemon(cli)


def request(socket: Path, method: str, **params: Any) -> Any:
    """The result of one JSON-RPC request over the Unix socket, made by this process itself.

    Raises:
        Failed: it was refused.
    """
    from thrum_kernel.client import SocketApi

    api = SocketApi(socket)
    try:
        return api.call(method, **params)
    except ThrumError as error:
        raise Failed(f"{method}: {error}") from error
    finally:
        api.close()


def stop_daemon(cli: Cli) -> None:
    """Stop the daemon of *cli*'s repository, by its id, as ``daemon stop`` does; nothing happens when none runs.

    Done by this process itself: two commands after each test would take longer than most tests.

    Raises:
        DaemonError: it does not end.
    """
    from thrum_kernel import paths
    from thrum_kernel.cli.lifecycle import Lifecycle

    try:
        lifecycle = Lifecycle(paths.find(cli.cwd, env=cli.env), cli.env)
        is_running = lifecycle.running() is not None
    except ThrumError:  # there is no project, or no file of it says that a daemon runs
        return
    if is_running:
        lifecycle.stop()

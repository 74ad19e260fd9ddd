"""A project with agents in it, the runtimes around it, and the checkpoints as strict as a test wants them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guards_runtime import Runtime

from thrum_kernel.testing.harness import Cli, Repo


@dataclass
class House:
    """A worktree of a project whose daemon runs with the guards.

    Attributes:
        cli: as a person at a shell types there.
        repo: the worktree.
        folder: for what lies outside of it.
        number: is in the names of its agents, who share the project with those of other tests.
    """

    cli: Cli
    repo: Repo
    folder: Path
    number: int = 1
    runtimes: list[Runtime] = field(default_factory=list)
    fired_before: int = 0

    def __post_init__(self) -> None:
        if self.log.exists():
            self.fired_before = len(self.fires())

    @property
    def alice(self) -> str:
        """The name of the agent who is expected here."""
        return self.named("alice")

    def named(self, name: str) -> str:
        """The name that somebody has in this test."""
        return f"{name}{self.number}"

    @property
    def config(self) -> Path:
        return self.repo.main / ".thrum" / "config.json"

    @property
    def log(self) -> Path:
        return self.repo.main / ".thrum" / "var" / "daemon.log"

    @property
    def overlay(self) -> Path:
        return self.repo.main / ".thrum" / "var" / "guard-daemon.json"

    def set(self, **modes: str) -> None:
        """Only these modes differ from what is usual, from the next command on."""
        self.overlay.parent.mkdir(parents=True, exist_ok=True)
        self.overlay.write_text(json.dumps(modes))

    def runtime(self, *, name: str = "claude", cwd: Path | None = None) -> Runtime:
        """A new runtime at a person's terminal."""
        env = dict(self.cli.env)
        made = Runtime.start(self.cli.spawner, self.folder, cwd=cwd or self.repo.path, env=env, name=name)
        self.runtimes.append(made)
        return made

    def agent(self) -> Runtime:
        """A runtime that registered itself as alice."""
        made = self.runtime()
        done = made.thrum("agent", "register", "--name", self.alice, "--role", "tester", "--module", "core")
        assert done.status == 0, done.err
        return made

    def end(self, runtime: Runtime) -> None:
        """End a runtime; its process is gone then."""
        runtime.end()
        self.runtimes.remove(runtime)

    def identity(self) -> dict[str, Any]:
        """Who alice is here."""
        found: dict[str, Any] = json.loads(self._file(self.alice).read_text())
        return found

    def has_identity(self, name: str) -> bool:
        return self._file(name).exists()

    def given_up(self) -> dict[str, Any]:
        """The identity of alice that was renamed to ``.deleted``."""
        path = self._file(self.alice)
        found: dict[str, Any] = json.loads(path.with_name(f"{path.name}.deleted").read_text())
        return found

    def fires(self) -> list[dict[str, Any]]:
        """What the daemon logged of checkpoints that fired since the test began."""
        found = [
            json.loads(line.partition("identity_guard_fire ")[2])
            for line in self.log.read_text().splitlines()
            if "identity_guard_fire " in line
        ]
        return found[self.fired_before :]

    def _file(self, name: str) -> Path:
        return self.repo.path / ".thrum" / "identities" / f"{name}.json"

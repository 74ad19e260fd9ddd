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
    """An initialised project whose daemon runs with the guards.

    Attributes:
        cli: as a person at a shell types.
    """

    cli: Cli
    repo: Repo
    folder: Path
    runtimes: list[Runtime] = field(default_factory=list)

    @property
    def overlay(self) -> Path:
        return self.repo.path / ".thrum" / "var" / "guard-daemon.json"

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

    def agent(self, name: str = "alice") -> Runtime:
        """A runtime that registered itself as an agent."""
        made = self.runtime()
        done = made.thrum("quickstart", "--name", name, "--role", "tester", "--module", "core")
        assert done.status == 0, done.err
        return made

    def end(self, runtime: Runtime) -> None:
        """End a runtime; its process is gone then."""
        runtime.end()
        self.runtimes.remove(runtime)

    def identity(self, name: str = "alice") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._file(name).read_text())
        return found

    def has_identity(self, name: str) -> bool:
        return self._file(name).exists()

    def given_up(self, name: str = "alice") -> dict[str, Any]:
        """The identity that was renamed to ``.deleted``."""
        path = self._file(name)
        found: dict[str, Any] = json.loads(path.with_name(f"{path.name}.deleted").read_text())
        return found

    def fires(self) -> list[dict[str, Any]]:
        """What the daemon logged of checkpoints that fired."""
        log = (self.repo.path / ".thrum" / "var" / "daemon.log").read_text()
        return [
            json.loads(line.partition("identity_guard_fire ")[2])
            for line in log.splitlines()
            if "identity_guard_fire " in line
        ]

    def _file(self, name: str) -> Path:
        return self.repo.path / ".thrum" / "identities" / f"{name}.json"

"""A repository with agents, each in a worktree of its own, and a daemon: what is measured stands here.

The daemon asks the system who calls, so whoever sends is a process of its own that stands in an agent's worktree and
has no agent runtime above it (`thrum_kernel.testing.spawner`).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from thrum_kernel.testing.harness import Cli, Repo, clean_environment
from thrum_kernel.testing.spawner import Spawner

ROOT = Path(__file__).parents[1]
KERNEL = (sys.executable, "-m", "thrum_kernel")
START_S = 30.0


class Ground:
    """Made by ``with Ground(folder, agents=3)``; the daemon has ended when the block ends.

    Args:
        folder: an empty folder.
        agents: how many are registered: ``agent0``, ``agent1``, …
        daemon: the program that runs the daemon.
        cli: the program that is typed; it prepares everything.
        path: where the programs find their modules beside what is installed; None = nowhere.

    Attributes:
        process: the daemon.
        worktrees: where each agent stands.
    """

    def __init__(
        self,
        folder: Path,
        *,
        agents: int,
        daemon: Sequence[str] = KERNEL,
        cli: Sequence[str] = KERNEL,
        path: Path | None = ROOT,
    ) -> None:
        home = folder / "home"
        home.mkdir()
        self.env = {**clean_environment(home), "PYTHONPATH": str(path or "")}
        self._spawner = Spawner()
        self._folder = folder
        self._daemon = daemon
        self._program = tuple(cli)
        self.repo = Repo.make(folder / "project", self.env)
        self.cli = Cli(self._spawner, self.repo.path, self.env, self._program)
        self.worktrees = [self.repo.worktree(f"agent{number}").path for number in range(agents)]

    def __enter__(self) -> Self:
        try:
            self._prepare()
        except BaseException:
            self._spawner.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.process.end()
        finally:
            self._spawner.close()

    @property
    def socket(self) -> Path:
        return self.repo.path / ".thrum" / "var" / "thrum.sock"

    def at(self, agent: int) -> Cli:
        """The command, typed where an agent stands."""
        return Cli(self._spawner, self.worktrees[agent], self.env, self._program)

    def run(self, agent: int, program: str, *words: object, stdin: str = "", timeout_s: float = 600.0) -> Any:
        """What a program of the bench itself prints as JSON: ``bench/<program>.py``, run where an agent stands."""
        result = self._spawner.run(
            [sys.executable, str(ROOT / "bench" / f"{program}.py"), *map(str, words)],
            cwd=self.worktrees[agent],
            env=self.env,
            stdin=stdin.encode(),
            timeout_s=timeout_s,
        )
        if result.status:
            raise RuntimeError(f"{program} ended with {result.status}: {result.err}")
        return json.loads(result.out)

    def _prepare(self) -> None:
        self.cli("init", "--non-interactive", "--no-daemon")
        self._unlimit()
        self.process = self._spawner.start(
            [*self._daemon, "daemon", "run"],
            cwd=self.repo.path,
            env=self.env,
            output=self._folder / "daemon.out",
        )
        try:
            self._wait_until_up()
            for number in range(len(self.worktrees)):
                words = ("--name", f"agent{number}", "--role", "tester", "--module", "all")
                self.at(number)("quickstart", *words)
        except BaseException:
            self.process.end()
            raise

    def _unlimit(self) -> None:
        """No send quota: it would be what is measured."""
        path = self.repo.path / ".thrum" / "config.json"
        config = json.loads(path.read_text())
        config["messaging"] = {**config.get("messaging", {}), "send_per_minute": 0}
        path.write_text(json.dumps(config))

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_S
        while self.cli.run("daemon", "status").status or not self.socket.exists():
            if time.monotonic() > deadline:
                raise TimeoutError((self._folder / "daemon.out").read_text())
            time.sleep(0.1)

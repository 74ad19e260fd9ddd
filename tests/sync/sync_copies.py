"""Projects with real daemons that are copied, moved and restored as people do it."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thrum_kernel.testing.harness import Cli, Repo, stop_daemon
from thrum_kernel.testing.spawner import Spawner

PATIENCE_S = 30.0


@dataclass
class Project:
    """A clone and the command typed in it."""

    repo: Repo
    cli: Cli

    @property
    def path(self) -> Path:
        return self.repo.path

    @property
    def sync(self) -> Path:
        return self.path / ".git/thrum-sync"

    @property
    def daemon_id(self) -> str:
        """What T says now."""
        record = json.loads((self.path / ".git/thrum-sync/daemon.json").read_text())
        return str(record["daemon_id"])

    @property
    def pid(self) -> int:
        return int(self.cli.json("daemon", "status")["pid"])

    def warnings(self) -> str:
        return "\n".join(self.cli.json("daemon", "status").get("warnings", []))

    def texts(self, name: str) -> list[str]:
        """What an agent of this daemon has in its inbox."""
        found = self.as_agent(name).json("inbox", "--page-size", "100")
        return sorted(each["body"]["content"] for each in found["messages"])

    def send(self, text: str) -> None:
        """A message from alice to bob, both here."""
        self.as_agent("alice")("send", text, "--to", "@bob")

    def as_agent(self, name: str) -> Cli:
        return self.cli.at(self.path, THRUM_NAME=name)

    def log_texts(self) -> list[str]:
        """The text of every message that the log holds, one a line."""
        found = self.cli.json("log", "show", "--type", "message.create", "--limit", "1000")["events"]
        return [each["event"]["body"]["content"] for each in found]

    def team(self) -> dict[str, list[str]]:
        """Names of agents by their daemon's id."""
        found: dict[str, list[str]] = {}
        for each in self.cli.json("team", "--all")["members"]:
            found.setdefault(str(each["origin_daemon"]), []).append(str(each["agent_id"]).partition("@")[0])
        return {daemon: sorted(names) for daemon, names in found.items()}


def bare(folder: Path, env: dict[str, str]) -> Repo:
    """A bare repository with one commit on main."""
    seed = Repo.make(folder / "seed", env)
    seed.git("clone", "-q", "--bare", str(seed.path), str(folder / "origin.git"))
    return Repo(folder / "origin.git", folder / "origin.git", env)


class Projects:
    """The projects of one test; `stop` ends every daemon, by its id."""

    def __init__(self, origin: Repo, spawner: Spawner) -> None:
        self.origin = origin
        self.folder = origin.path.parent
        self._spawner = spawner
        self._all: list[Project] = []

    def at(self, path: Path, name: str = "alice") -> Project:
        """The project at *path*, which is there; commands are typed by the agent *name*."""
        repo = Repo(path, path, self.origin.env)
        project = Project(repo, Cli(self._spawner, path, {**repo.env, "THRUM_NAME": name}))
        self._all.append(project)
        return project

    def clone(self, name: str, *agents: str, url: str = "") -> Project:
        """A fresh clone that exchanges, with agents; *url* is how it reaches the remote."""
        path = self.folder / name
        self.origin.git("clone", "-q", url or f"file://{self.origin.path}", str(path))
        agents = agents or ("alice", "bob")
        project = self.at(path, agents[0])
        project.cli("init", "--non-interactive", "--stealth")
        project.cli("config", "set", "daemon.local_only", "false")
        project.cli("config", "set", "daemon.sync_interval", "3600")
        for name in agents:
            project.as_agent(name)("quickstart", name, "--role", "tester", "--module", "m")
        return project

    def copy(self, project: Project, name: str) -> Project:
        """What ``cp -r`` makes of it, sockets and all."""
        target = self.folder / name
        subprocess.run(["cp", "-r", str(project.path), str(target)], check=True)
        return self.at(target)

    def moved(self, project: Project, name: str) -> Project:
        target = self.folder / name
        project.path.rename(target)
        return self.at(target)

    def stop(self) -> None:
        for project in self._all:
            if project.path.is_dir():
                with contextlib.suppress(FileNotFoundError):
                    stop_daemon(project.cli)


@contextlib.contextmanager
def projects(origin: Repo, spawner: Spawner) -> Iterator[Projects]:
    made = Projects(origin, spawner)
    try:
        yield made
    finally:
        made.stop()


def converge(*some: Project) -> None:
    """Everybody exchanges until all of them hold the same files."""
    for _ in range(6):
        for each in some:
            done = each.cli.json("sync", "force")
            assert "last_error" not in done, done
        if len({frozenset(published(each)) for each in some}) == 1:
            return
    raise AssertionError("they never come to the same files")


def published(project: Project) -> set[str]:
    folder = project.path / ".git/thrum-sync/a-sync"
    return {str(path.relative_to(folder)) for path in folder.rglob("*.jsonl")}


def remove(project: Project) -> None:
    shutil.rmtree(project.path)

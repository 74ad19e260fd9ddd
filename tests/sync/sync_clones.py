"""Clones of one bare repository, each with a daemon inside the test's own process and agents to write and read."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thrum_kernel import paths
from thrum_kernel.api import Caller
from thrum_kernel.clock import Clock, SystemClock
from thrum_kernel.daemon.main import KERNEL_MIGRATIONS, Daemon
from thrum_kernel.daemon.opened import Opened
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.waiting import until_on_loop as until

PATIENCE_S = 20.0


@dataclass
class Clone:
    """A clone of the user's repository and the daemon that serves it.

    Attributes:
        repo: the clone.
        daemon: what serves it now.
        callers: its agents.
    """

    repo: Repo
    daemon: Daemon
    callers: dict[str, Caller] = field(default_factory=dict)

    @property
    def sync(self) -> Path:
        return self.repo.path / ".git/thrum-sync"

    @property
    def published(self) -> Path:
        return self.sync / "a-sync"

    async def call(self, method: str, agent: str = "", **params: Any) -> Any:
        caller = (
            self.callers[agent]
            if agent
            else Caller("anonymous", "", cwd=self.repo.path, worktree=self.repo.path)
        )
        return await self.daemon.dispatcher.call(method, params, caller=caller)

    async def register(self, name: str) -> None:
        """An agent of this clone."""
        nobody = Caller("anonymous", "", cwd=self.repo.path, worktree=self.repo.path)
        params = {"name": name, "role": "tester", "module": "m"}
        await self.daemon.dispatcher.call("agent.register", params, caller=nobody)
        self.callers[name] = Caller("agent", name, worktree=self.repo.path, cwd=self.repo.path)

    def knows(self, name: str) -> bool:
        """Whether an agent of that name is known here."""
        return any(agent.name == name for agent in self.daemon.agents.roster.everyone())

    async def send(self, sender: str, to: str, text: str) -> str:
        return str((await self.call("message.send", sender, content=text, to=to))["message_id"])

    async def texts(self, agent: str) -> list[str]:
        """The texts in an agent's inbox, oldest first."""
        found = await self.call("message.list", agent, for_agent=agent)
        return [each["body"]["content"] for each in reversed(found["messages"])]

    async def force(self) -> Any:
        """``sync.force``, as any agent here."""
        return await self.call("sync.force", next(iter(self.callers)))

    async def status(self) -> Any:
        return await self.call("sync.status")

    def holding(self, *words: bytes) -> list[Path]:
        """Every file of thrum in this clone that has one of *words* in it, but for git's compressed objects."""
        folders = (self.sync, self.repo.path / ".thrum")
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return [path for path in files if any(word in _bytes(path) for word in words)]

    def files(self) -> set[str]:
        """The published files, by path."""
        found = self.published.rglob("*.jsonl")
        return {str(path.relative_to(self.published)) for path in found}


def bare(folder: Path, env: dict[str, str]) -> Repo:
    """A bare repository with one commit on main, as a host has it."""
    origin = Repo.make(folder / "seed", env)
    origin.git("clone", "-q", "--bare", str(origin.path), str(folder / "origin.git"))
    return Repo(folder / "origin.git", folder / "origin.git", env)


def clone_of(origin: Repo, name: str, *, local_only: bool = False, **daemon: Any) -> Repo:
    """A clone of *origin* that is initialised, as far as a daemon cares."""
    path = origin.path.parent / name
    origin.git("clone", "-q", str(origin.path), str(path))
    configure(path, local_only=local_only, **daemon)
    return Repo(path, path, origin.env)


def configure(path: Path, **daemon: Any) -> None:
    (path / ".thrum").mkdir(exist_ok=True)
    (path / ".thrum/config.json").write_text(json.dumps({"daemon": daemon}))
    exclude = path / ".git/info/exclude"
    exclude.write_text(".thrum/\n")


@contextlib.asynccontextmanager
async def serving(repo: Repo, *, clock: Clock | None = None, settle: bool = True) -> AsyncIterator[Clone]:
    """A daemon that serves *repo*, its first exchange behind it."""
    where = paths.find(repo.path, env={})
    clock = clock or SystemClock()
    opened = Opened.open(where, clock=clock, env={}, migrations=KERNEL_MIGRATIONS)
    try:
        daemon = Daemon(opened, clock=clock)
        await daemon.start()
        try:
            clone = Clone(repo, daemon)
            if settle:
                travel = daemon.travel
                await until(lambda: bool(travel.last_us or travel.reason or travel.last_error))
            yield clone
        finally:
            await daemon.stop()
    finally:
        opened.close()


@contextlib.asynccontextmanager
async def acquainted(origin: Repo) -> AsyncIterator[tuple[Clone, Clone]]:
    """Two clones of *origin* with a daemon each; alice of the first and bob of the second know of each other."""
    async with serving(clone_of(origin, "one")) as one, serving(clone_of(origin, "two")) as two:
        await one.register("alice")
        await two.register("bob")
        for clone in (one, two, one):
            await clone.force()
        yield one, two


def fingerprint(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Every file below *folder* with the digest of its bytes and its mode, less those below *without*."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith(without) or not (path.is_file() or path.is_symlink()):
            continue
        data = path.read_bytes() if path.is_file() else b""
        found[name] = f"{hashlib.sha256(data).hexdigest()} {path.lstat().st_mode:o}"
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # a database folded its log meanwhile
        return b""

"""A daemon inside the test's own process, for what cannot be made to happen outside: clocks and disks that misbehave."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from thrum_kernel import paths
from thrum_kernel.api import Caller
from thrum_kernel.clock import Clock, SystemClock
from thrum_kernel.daemon.main import KERNEL_MIGRATIONS, Daemon
from thrum_kernel.daemon.opened import Opened
from thrum_kernel.errors import StoreFull
from thrum_kernel.store.disk import Disk, File, OsDisk


class ShiftedClock(SystemClock):
    """The system's clock, set wrong.

    Attributes:
        shift_us: by how much it is ahead; negative when it lags.
    """

    shift_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.shift_us


class FillingDisk(OsDisk):
    """A real disk on which no space is left while `is_full`."""

    is_full = False

    def create(self, path: Path) -> File:
        if self.is_full:
            raise StoreFull(path)
        return _FillingFile(super().create(path), path, self)

    def make_folder(self, folder: Path) -> None:
        if self.is_full and not folder.exists():
            raise StoreFull(folder)
        super().make_folder(folder)


class _FillingFile:
    def __init__(self, file: File, path: Path, disk: FillingDisk) -> None:
        self._file = file
        self._path = path
        self._disk = disk

    def write(self, data: bytes) -> int:
        if self._disk.is_full:
            self._file.write(data[: len(data) // 2])
            raise StoreFull(self._path)
        return self._file.write(data)

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()


def project(repo: Path) -> paths.Paths:
    """A repository that is initialised, as far as a daemon cares."""
    (repo / ".thrum").mkdir(exist_ok=True)
    config = repo / ".thrum/config.json"
    if not config.exists():
        config.write_text("{}\n")
    return paths.find(repo, env={})


@contextlib.asynccontextmanager
async def opened_daemon(
    repo: Path, *, clock: Clock | None = None, disk: Disk | None = None
) -> AsyncIterator[Daemon]:
    """A daemon that is not started yet."""
    clock = clock or SystemClock()
    opened = Opened.open(project(repo), clock=clock, env={}, migrations=KERNEL_MIGRATIONS, disk=disk)
    try:
        yield Daemon(opened, clock=clock)
    finally:
        opened.close()


@contextlib.asynccontextmanager
async def serving(
    repo: Path, *, clock: Clock | None = None, disk: Disk | None = None
) -> AsyncIterator[Daemon]:
    """A daemon that serves."""
    async with opened_daemon(repo, clock=clock, disk=disk) as daemon:
        await daemon.start()
        try:
            yield daemon
        finally:
            await daemon.stop()


def agent(name: str, place: Path) -> Caller:
    """A caller that is the agent of a worktree."""
    return Caller(kind="agent", agent_id=name, worktree=place, cwd=place)


async def register(daemon: Daemon, name: str, place: Path) -> Caller:
    """A registered agent with a session."""
    nobody = Caller(kind="anonymous", agent_id="", worktree=place, cwd=place)
    params = {"name": name, "role": "tester", "module": "m"}
    await daemon.dispatcher.call("agent.register", params, caller=nobody)
    caller = agent(name, place)
    await daemon.dispatcher.call("session.start", {"agent_id": name}, caller=caller)
    return caller


async def send(daemon: Daemon, caller: Caller, text: str, to: str) -> str:
    """The id of a message that was sent."""
    params: dict[str, Any] = {"content": text, "to": to}
    return str((await daemon.dispatcher.call("message.send", params, caller=caller))["message_id"])


async def texts(daemon: Daemon, caller: Caller) -> list[str]:
    """The texts in an agent's inbox, oldest first."""
    found = await daemon.dispatcher.call("message.list", {"for_agent": caller.agent_id}, caller=caller)
    return [each["body"]["content"] for each in reversed(found["messages"])]

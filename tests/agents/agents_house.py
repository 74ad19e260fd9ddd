"""A daemon's room of agents on real parts: git worktrees, identity files, databases, processes; the journal in memory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from thrum_kernel import paths
from thrum_kernel.agents import LOCAL_MIGRATIONS, Agents
from thrum_kernel.api import KERNEL_CALLER, Caller
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.clock import SystemClock
from thrum_kernel.commit import Committer
from thrum_kernel.events import Event, EventTypes
from thrum_kernel.events.core import CORE_EVENT_TYPES
from thrum_kernel.identity import probe
from thrum_kernel.ids import HybridClock
from thrum_kernel.projection.apply import Projected, Projector
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.local import LocalDb

DAEMON = "d_01HZZZZZZZZZZZZZZZZZZZZZZZ"
FAR_DAEMON = "d_01J0000000000000000000FARX"


class ShiftedClock(SystemClock):
    """The machine's clock, moved by as much as a test likes."""

    def __init__(self) -> None:
        self.ahead_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.ahead_us


class MemoryJournal:
    """Takes every line."""

    def __init__(self, writer: str) -> None:
        self.writer = writer

    def append(self, lines: Sequence[bytes]) -> None:
        pass

    def end(self) -> None:
        pass


class House:
    """One start of a daemon's room of agents; `call` goes through the real dispatcher."""

    def __init__(self, folder: Path, *, clock: ShiftedClock | None = None, **injected: Any) -> None:
        self.clock = clock or ShiftedClock()
        self.repo = folder
        self.paths = paths.find(folder, env={})
        self.types = EventTypes(CORE_EVENT_TYPES)
        self.cache = Cache(self.paths.cache_db)
        self.local = LocalDb(self.paths.local_db, version="test")
        self.local.migrate(LOCAL_MIGRATIONS)
        self.projector = Projector(self.cache, self.types, clock=self.clock)
        self.ids = HybridClock(self.clock)
        self.events: list[Event] = []
        self.committer = Committer(
            daemon_id=DAEMON,
            clock=self.clock,
            ids=self.ids,
            types=self.types,
            projector=self.projector,
            journals=lambda writer, previous: MemoryJournal(writer),
            still_ours=lambda: None,
            in_doubt=lambda reason: pytest.fail(f"projection in doubt: {reason}"),
        )
        self.committer.listeners.append(self.events.append)
        self.agents = Agents(
            cache=self.cache,
            local=self.local,
            committer=self.committer,
            clock=self.clock,
            paths=self.paths,
            hostname="here",
            repo_id="r_TEST",
            **injected,
        )
        self.committer.listeners.append(self.agents.on_event)
        self.dispatcher = Dispatcher()
        for method in self.agents.methods():
            self.dispatcher.add(method)

    async def __aenter__(self) -> House:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.agents.close()
        await self.committer.close()
        self.local.close()
        self.cache.close()

    async def call(self, method: str, by: Any = KERNEL_CALLER, **params: Any) -> Any:
        """A method's result; *by* is a process id, a folder (nobody's process stands there), or a caller."""
        return await self.dispatcher.call(method, params, caller=self._caller(by), transport="unix")

    def _caller(self, by: Any) -> Caller | Callable[[str], Caller]:
        if isinstance(by, Caller):
            return by
        return lambda claim: self.agents.world.resolve_peer(probe.facts(by), claim)

    async def register(self, by: int, name: str, **params: Any) -> Any:
        return await self.call(
            "agent.register", by, name=name, **{"role": "tester", "module": "core", **params}
        )

    def project_from_afar(self, *events: Event, daemon: str = FAR_DAEMON) -> None:
        """Events as another daemon's log would bring them."""
        for number, event in enumerate(events, start=1):
            event.origin_daemon = daemon
            event.sequence = number
        writer = self.ids.next_ulid()
        self.projector.apply(
            [
                Projected(
                    writer=writer,
                    daemon=daemon,
                    sequence=event.sequence,
                    event=event,
                    line=self.types.encode(event),
                )
                for event in events
            ]
        )

    def committed(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


class Processes:
    """Real processes that stand in a folder, with or without a runtime above them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def at(self, cwd: Path) -> int:
        """A process in *cwd* that is no runtime."""
        return self._start(["/bin/sh", "-c", "echo $$; exec sleep 600"], cwd)[1]

    def runtime(self, cwd: Path, *, name: str = "claude", below: Path | None = None) -> tuple[int, int]:
        """A runtime in *cwd* and a process below it, there or in the folder *below*; their ids."""
        program = self._folder / name
        if not program.exists():
            shutil.copy(str(Path("/bin/sh").resolve()), program)
        process, child = self._start(
            [str(program), "-c", f"/bin/sh -c 'cd {below or cwd} && echo $$ && exec sleep 600' & wait"], cwd
        )
        return process.pid, child

    def end(self, pid: int) -> None:
        """End a runtime and what is below it, and wait for it."""
        process = next(process for process in self._running if process.pid == pid)
        self._running.remove(process)
        _end(process)

    def close(self) -> None:
        for process in self._running:
            _end(process)

    def _start(self, argv: Sequence[str], cwd: Path) -> tuple[subprocess.Popen[bytes], int]:
        process = subprocess.Popen(argv, cwd=cwd, stdout=subprocess.PIPE, start_new_session=True)
        self._running.append(process)
        assert process.stdout is not None
        return process, int(process.stdout.readline())


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, 9)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def git(*words: str, cwd: Path) -> None:
    environment: Mapping[str, str] = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    person = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *person, *words], cwd=cwd, env=dict(environment), check=True, capture_output=True)

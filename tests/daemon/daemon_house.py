"""A project with agents in worktrees of their own, and programs that speak to its daemon byte by byte."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thrum_kernel.bus import address
from thrum_kernel.cli import client
from thrum_kernel.testing.harness import Cli, Repo, request
from thrum_kernel.testing.waiting import until

PATIENCE_S = 20.0


@dataclass(frozen=True)
class House:
    """An initialised repository whose daemon runs, and two agents registered in linked worktrees."""

    repo: Repo
    person: Cli
    alice: Cli
    bob: Cli

    @property
    def thrum(self) -> Path:
        return self.repo.path / ".thrum"

    @property
    def sync(self) -> Path:
        return self.repo.path / ".git/thrum-sync"

    @property
    def socket(self) -> Path:
        return self.thrum / "var/thrum.sock"

    @property
    def pid(self) -> int:
        """The daemon's process, as its pid file says."""
        return int(json.loads((self.thrum / "var/thrum.pid").read_text())["pid"])

    def status(self) -> Any:
        """What ``daemon.status`` answers; the daemon has to run."""
        return request(self.socket, "daemon.status")

    def kill(self) -> None:
        """kill -9, and wait until the process is gone."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid))

    def journals(self) -> list[Path]:
        return sorted((self.sync / "journal").glob("*.jsonl"))


def furnish(repo: Repo, person: Cli) -> House:
    """Initialise *repo* and register alice and bob, one by each of the two ways."""
    person("init", "--non-interactive")
    alice, bob = (person.at(repo.worktree(name).path) for name in ("alice", "bob"))
    alice("agent", "register", "--name", "alice", "--role", "implementer", "--module", "shop")
    alice("session", "start")
    bob("quickstart", "bob", "--role", "reviewer", "--module", "shop")
    return House(repo, person, alice, bob)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def connected(path: Path, timeout_s: float = PATIENCE_S) -> Iterator[socket.socket]:
    """A raw connection to a daemon."""
    link = address.connect(path, timeout_s=timeout_s)
    try:
        yield link
    finally:
        link.close()


def lines(link: socket.socket) -> Iterator[Any]:
    """The JSON values that come back, until the other side closes."""
    with link.makefile("rb") as stream:
        for line in stream:
            yield json.loads(line)


def health(path: Path) -> Any:
    """The answer of ``health``."""
    with connected(path) as link:
        link.sendall(b'{"jsonrpc":"2.0","id":1,"method":"health"}\n')
        return next(lines(link))["result"]


def read_all(link: socket.socket) -> bytes:
    """Everything that comes until the other side closes; a reset ends it too."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while more := link.recv(65536):
            found += more
    return found


def command_frame(
    words: list[str],
    *,
    cwd: Path,
    request_id: str,
    version: bytes = b"",
    env: dict[bytes, bytes] | None = None,
) -> bytes:
    """What the thin client sends for a command."""
    argv = [word.encode() for word in words]
    kept, client.VERSION = client.VERSION, version
    try:
        return client.request(request_id.encode(), argv, os.fsencode(cwd), env or {}, b"")
    finally:
        client.VERSION = kept


def frames_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """The whole frames in *data*."""
    found = []
    while len(data) >= 5:
        end = 5 + int.from_bytes(data[1:5], "big")
        found.append((data[:1], data[5:end]))
        data = data[end:]
    return found

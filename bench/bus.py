"""The bus by itself: ``health`` for 50 clients against a bare echo, and pushing to 1,000 subscribers.

- ``health`` over the Unix socket, against a bare asyncio protocol on uvloop that decodes the request with msgspec and
  encodes the same answer. The load comes from a process of its own, the same for both; the two servers take turns.
- Pushing one message to 1,000 subscribers: CPU time of the server against 1,000 bare sends on such sockets.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import select
import socket
import statistics
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import msgspec
import uvloop

from bench.figure import Effort, Figure
from thrum_kernel.api import Caller, Method
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.topics import Topics
from thrum_kernel.bus.unix import UnixServer

CLIENTS = 50
SUBSCRIBERS = 1000
REQUEST = b'{"jsonrpc":"2.0","method":"health","params":{},"id":1}\n'
SPAWN = multiprocessing.get_context("spawn")


def figures(effort: Effort) -> Iterable[Figure]:
    """Both figures."""
    health = measure_health(str(effort.folder), rounds=effort.count(9, 2), seconds=effort.seconds(3, 0.5))
    yield Figure(
        name=f"RPC `health`, {CLIENTS} clients, against a bare echo",
        measured=health["ratio"],
        target=0.6,
        at_least=True,
        numbers=f"{health['thrum_per_s']:,.0f}/s against {health['echo_per_s']:,.0f}/s; processor time of an answer "
        f"{health['thrum_cpu_us']:.1f} µs against {health['echo_cpu_us']:.1f} µs",
    )
    push = measure_push(str(effort.folder), pushes=effort.count(100, 10))
    yield Figure(
        name=f"push to {SUBSCRIBERS:,} subscribers, against as many bare sends",
        measured=push["ratio"],
        target=10,
        numbers=f"{push['push_ms']:.1f} ms of processor time against {push['bare_ms']:.1f} ms",
    )


class Empty(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""


class Health(msgspec.Struct, kw_only=True):
    status: str
    uptime_ms: int
    version: str
    repo_id: str
    sync_state: str
    local_only: bool


def health() -> Health:
    return Health(
        status="ok",
        uptime_ms=int(time.monotonic() * 1000),
        version="0.11.0+dev",
        repo_id="r_0123456789ab",
        sync_state="local-only",
        local_only=True,
    )


# --- servers ---------------------------------------------------------------------------------------------------------


class EchoRequest(msgspec.Struct):
    jsonrpc: str
    method: str
    id: int
    params: dict[str, Any] = {}


class EchoAnswer(msgspec.Struct):
    jsonrpc: str
    result: Health
    id: int


class Echo(asyncio.Protocol):
    """The bare server: whole lines are taken for granted, nothing is checked."""

    decode = staticmethod(msgspec.json.Decoder(EchoRequest).decode)
    encode = staticmethod(msgspec.json.Encoder().encode)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        request = self.decode(data)
        self.transport.write(self.encode(EchoAnswer("2.0", health(), request.id)) + b"\n")


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def serve(kind: str, path: str, pipe: Connection) -> None:
    """A server process: starts, says so, then answers ``cpu``, ``push`` and ``stop`` on its pipe."""
    uvloop.run(_serve(kind, path, pipe))


async def _serve(kind: str, path: str, pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    topics = Topics()
    if kind == "echo":
        await loop.create_unix_server(Echo, path)
    else:
        dispatcher = Dispatcher()
        dispatcher.add(_method("health", lambda call, params: health()))
        dispatcher.add(_method("hear", lambda call, params: call.subscribe("news", as_method="news")))
        caller = Caller(kind="agent", agent_id="bench")
        await UnixServer(dispatcher, topics, Path(path), resolver=lambda peer, claim: caller).start()
    ended = asyncio.Event()

    def command() -> None:
        word = pipe.recv()
        if word == "cpu":
            pipe.send(cpu_s())
        elif word == "push":
            topics.publish("news", message())
            pipe.send(None)
        else:
            ended.set()

    loop.add_reader(pipe.fileno(), command)
    pipe.send("up")
    await ended.wait()


def _method(name: str, handler: Callable[[Any, Any], Any]) -> Method:
    return Method(
        name=name,
        params=Empty,
        result=Any,
        handler=handler,
        summary="",
        anonymous=True,
        while_projecting=True,
    )


def message() -> dict[str, Any]:
    """A notification as messaging sends it."""
    return {
        "message_id": "msg_01J00000000000000000000000",
        "thread_id": "",
        "author": {"agent_id": "alice", "name": "Alice"},
        "preview": "x" * 100,
        "scopes": [],
        "timestamp": "2026-06-23T07:21:58.123456Z",
    }


class ServerProcess:
    def __init__(self, kind: str, folder: str) -> None:
        self.path = f"{folder}/{kind}.sock"
        self.pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=serve, args=(kind, self.path, theirs), daemon=True)
        self.process.start()
        assert self.pipe.recv() == "up"

    def ask(self, word: str) -> Any:
        self.pipe.send(word)
        return self.pipe.recv()

    def stop(self) -> None:
        self.pipe.send("stop")
        self.process.join(5)


# --- load ------------------------------------------------------------------------------------------------------------


def load(path: str, seconds: float, pipe: Connection) -> None:
    """*CLIENTS* closed loops, each with one request in flight; sends the number of answers."""
    sockets = {}
    poller = select.epoll()
    for _ in range(CLIENTS):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        sockets[client.fileno()] = client
        poller.register(client.fileno(), select.EPOLLIN)
    for client in sockets.values():
        client.send(REQUEST)
    count = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for descriptor, _ in poller.poll(1):
            client = sockets[descriptor]
            client.recv(4096)
            client.send(REQUEST)
            count += 1
    pipe.send(count)


def rate(server: ServerProcess, seconds: float) -> tuple[float, float]:
    """Answers a second, and microseconds of the server's CPU an answer."""
    ours, theirs = SPAWN.Pipe()
    before = server.ask("cpu")
    process = SPAWN.Process(target=load, args=(server.path, seconds, theirs), daemon=True)
    process.start()
    count = ours.recv()
    process.join()
    return count / seconds, (server.ask("cpu") - before) / count * 1e6


def measure_health(folder: str, *, rounds: int, seconds: float) -> dict[str, float]:
    servers = {kind: ServerProcess(kind, folder) for kind in ("echo", "thrum")}
    rates: dict[str, list[float]] = {kind: [] for kind in servers}
    costs: dict[str, list[float]] = {kind: [] for kind in servers}
    for _ in range(rounds):
        for kind, server in servers.items():
            per_second, cost_us = rate(server, seconds)
            rates[kind].append(per_second)
            costs[kind].append(cost_us)
    for server in servers.values():
        server.stop()
    return {
        "echo_per_s": statistics.median(rates["echo"]),
        "thrum_per_s": statistics.median(rates["thrum"]),
        "echo_cpu_us": statistics.median(costs["echo"]),
        "thrum_cpu_us": statistics.median(costs["thrum"]),
        "ratio": statistics.median(a / b for a, b in zip(rates["thrum"], rates["echo"], strict=True)),
        "cpu_ratio": statistics.median(a / b for a, b in zip(costs["echo"], costs["thrum"], strict=True)),
    }


# --- push ------------------------------------------------------------------------------------------------------------


def drain(path: str, pipe: Connection) -> None:
    """Subscribe *SUBSCRIBERS* times and read whatever comes; tells when all have read one more frame."""
    clients = []
    poller = select.epoll()
    for number in range(SUBSCRIBERS):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        client.send(b'{"jsonrpc":"2.0","method":"hear","id":%d}\n' % number)
        client.recv(4096)
        client.setblocking(False)
        clients.append(client)
        poller.register(client.fileno(), select.EPOLLIN)
    by_descriptor = {client.fileno(): client for client in clients}
    pipe.send("up")
    while True:
        seen = 0
        while seen < SUBSCRIBERS:
            for descriptor, _ in poller.poll():
                seen += by_descriptor[descriptor].recv(65536).count(b"\n")
        pipe.send(seen)


def bare_sends(pushes: int) -> float:
    """CPU seconds of sending one such frame on *SUBSCRIBERS* connected sockets, median of several."""
    frame = msgspec.json.encode({"jsonrpc": "2.0", "method": "news", "params": message()}) + b"\n"
    pairs = [socket.socketpair() for _ in range(SUBSCRIBERS)]
    costs = []
    for _ in range(pushes):
        before = cpu_s()
        for ours, _theirs in pairs:
            ours.send(frame)
        costs.append(cpu_s() - before)
        for _ours, theirs in pairs:
            theirs.recv(65536)
    for pair in pairs:
        for end in pair:
            end.close()
    return statistics.median(costs)


def measure_push(folder: str, *, pushes: int) -> dict[str, float]:
    server = ServerProcess("push", folder)
    ours, theirs = SPAWN.Pipe()
    reader = SPAWN.Process(target=drain, args=(server.path, theirs), daemon=True)
    reader.start()
    assert ours.recv() == "up"
    costs = []
    for _ in range(pushes):
        before = server.ask("cpu")
        server.ask("push")
        ours.recv()
        costs.append(server.ask("cpu") - before)
    reader.terminate()
    server.stop()
    bare = bare_sends(pushes)
    push = statistics.median(costs)
    return {"push_ms": push * 1e3, "bare_ms": bare * 1e3, "ratio": push / bare}

"""The methods that the tests of the bus serve, and a client that speaks raw lines."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import msgspec

from thrum_kernel.api import Caller, Method
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.peer import Peer
from thrum_kernel.bus.topics import Topics
from thrum_kernel.errors import GuardFired, NotFound

Serve = Callable[..., Any]


class Empty(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""


class Text(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One text."""

    text: str
    caller_agent_id: str = ""


ALICE = Caller(kind="agent", agent_id="alice", source="worktree", pid=1)
NOBODY = Caller(kind="anonymous", reason="no git root")


class House:
    """The methods of these tests and what they did."""

    def __init__(self) -> None:
        self.topics = Topics()
        self.kept: list[str] = []
        self.began: list[str] = []
        self.shown: list[str] = []
        self.caller = ALICE
        self.resolved = 0
        self.peers: list[Peer] = []
        self.cancelled: list[str] = []
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()

    def resolve(self, peer: Peer, claim: str) -> Caller:
        self.resolved += 1
        self.peers.append(peer)
        if peer.principal is not None:
            return Caller(kind="agent", agent_id=peer.principal, source="token")
        if claim not in ("", self.caller.agent_id):
            facts = {"expected agent": claim, "detected agent": self.caller.agent_id}
            raise GuardFired("unauthenticated_rpc", "identity_mismatch", facts=facts)
        return self.caller

    def methods(self) -> list[Method]:
        def read(name: str, handler: Any, params: Any = Empty, **more: Any) -> Method:
            return Method(name=name, params=params, result=Any, handler=handler, summary=name, **more)

        return [
            read("health", lambda call, params: {"status": "ok"}, anonymous=True, while_projecting=True),
            read("whoami", lambda call, params: {"agent_id": call.caller.agent_id}, Text),
            read("echo", lambda call, params: params.text, Text, anonymous=True),
            read("slow", self.slow, Text),
            read("poll", self.poll, Text, long_poll=True),
            read("keep", self.keep, Text, mutates=True),
            read("keep_now", self.keep_now, Text, mutates=True),
            read("join", self.keep, Text, mutates=True, anonymous=True),
            read("big", lambda call, params: "x" * int(params.text), Text, anonymous=True),
            read("show", self.show, Text, anonymous=True),
            read(
                "hear",
                lambda call, params: call.subscribe(params.text, as_method="heard"),
                Text,
                anonymous=True,
            ),
            read("fail", lambda call, params: 1 // 0, anonymous=True),
            read("fail_async", self.fail, anonymous=True),
            read("missing", self.missing, Text, anonymous=True),
            read("odd", lambda call, params: object(), anonymous=True),
        ]

    async def slow(self, call: Any, params: Text) -> str:
        self.began.append(params.text)
        self.entered.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(params.text)
            raise
        return params.text

    async def poll(self, call: Any, params: Text) -> str:
        return await self.slow(call, params)

    async def keep(self, call: Any, params: Text) -> dict[str, Any]:
        self.began.append(params.text)
        self.entered.set()
        await self.gate.wait()
        return self.keep_now(call, params)

    def keep_now(self, call: Any, params: Text) -> dict[str, Any]:
        self.kept.append(params.text)
        return {"number": len(self.kept)}

    def show(self, call: Any, params: Text) -> str:
        call.when_shown(lambda: self.shown.append(params.text))
        return params.text * 1000

    async def fail(self, call: Any, params: Any) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("secret of the inside")

    def missing(self, call: Any, params: Text) -> None:
        raise NotFound("thing", params.text, hint="look elsewhere")

    def dispatcher(self, **more: Any) -> Dispatcher:
        dispatcher = Dispatcher(**more)
        for method in self.methods():
            dispatcher.add(method)
        return dispatcher


class Line:
    """A client that speaks raw lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *messages: bytes | dict[str, Any]) -> None:
        for message in messages:
            data = message if isinstance(message, bytes) else msgspec.json.encode(message)
            self.writer.write(data + b"\n")

    def ask(self, method: str, number: int = 1, /, **params: Any) -> None:
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

    async def read(self) -> Any:
        async with asyncio.timeout(5):
            line = await self.reader.readline()
        return msgspec.json.decode(line) if line else None

    async def call(self, method: str, number: int = 1, /, **params: Any) -> Any:
        self.ask(method, number, **params)
        return await self.read()


def open_files() -> int:
    """How many descriptors this process holds."""
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - not a folder that pathlib understands

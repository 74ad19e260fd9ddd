"""A small daemon for the tests of the command line: the real socket, dispatcher and command server, a few methods."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

import msgspec
import typer

from thrum_kernel import __version__
from thrum_kernel.api import Caller, Method
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.topics import Topics
from thrum_kernel.bus.unix import UnixServer
from thrum_kernel.cli.app import Tree, build
from thrum_kernel.cli.builtin import register as register_builtin
from thrum_kernel.cli.command import Group, Pending, command, group, run_of
from thrum_kernel.cli.server import CommandServer
from thrum_kernel.errors import NotFound
from thrum_kernel.testing.waiting import until

BODY = "x" * 79


class Nothing(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""


class Text(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A text."""

    text: str


class Kept:
    """What the methods of the small daemon keep."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.read = 0
        self.waiting = 0
        self.canceled = 0
        self.requests: list[str] = []
        self.callers: list[str] = []
        self.freeze = False
        self.release: asyncio.Event | None = None

    def let_go(self) -> None:
        """Answer who waits."""
        assert self.release is not None
        self.release.set()
        self.release = None

    def methods(self) -> list[Method]:
        return [
            Method("test.send", Text, Any, self.send, "Send a text", mutates=True),
            Method("test.inbox", Nothing, Any, self.inbox, "Show texts"),
            Method("test.wait", Nothing, Any, self.wait, "Wait", long_poll=True),
            Method("health", Nothing, Any, self.health, "How it is"),
            Method("test.who", Nothing, Any, self.who, "Who calls"),
        ]

    async def send(self, call: Any, params: Text) -> dict[str, Any]:
        if params.text == "nobody":
            raise NotFound("agent", "@nobody", hint="nothing was sent")
        self.requests.append(call.request_id)
        if not self.freeze:
            self.sent.append(params.text)
        return {"number": len(self.sent), "size": len(params.text)}

    def inbox(self, call: Any, params: Nothing) -> list[str]:
        def mark() -> None:
            self.read = len(self.sent)

        call.when_shown(mark)
        return list(self.sent)

    async def wait(self, call: Any, params: Nothing) -> str:
        self.waiting += 1
        self.release = release = asyncio.Event()
        try:
            await release.wait()
        except asyncio.CancelledError:
            self.canceled += 1
            raise
        return "released"

    def health(self, call: Any, params: Nothing) -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    def who(self, call: Any, params: Nothing) -> str:
        self.callers.append(call.caller.agent_id)
        return str(call.caller.agent_id)


def register(root: Group) -> None:
    """A few commands of every kind."""

    @command(root, "send")
    def send(
        ctx: typer.Context,
        text: Annotated[str | None, typer.Argument()] = None,
        to: Annotated[list[str] | None, typer.Option("--to", "-t")] = None,
        body_file: Annotated[str, typer.Option("--body-file")] = "",
        stdin: Annotated[bool, typer.Option("--stdin")] = False,
    ) -> None:
        """Send a text."""
        run = run_of(ctx)
        body = run.stdin().decode() if stdin else run.file(body_file).decode() if body_file else text or ""
        sent = run.call("test.send", text=body)
        run.out.json(sent)
        run.out.line(f"✓ sent {sent['size']} to {', '.join(to or ())}")
        run.out.hint("test.next", "look at the inbox")

    @command(root, "inbox")
    def inbox(ctx: typer.Context, times: Annotated[int, typer.Option("-n", "--times")] = 1) -> None:
        """Show texts."""
        run = run_of(ctx)
        texts = run.call("test.inbox")
        run.out.json(texts)
        for _ in range(times):
            for text in texts:
                run.out.line(text)

    @command(root, "wait")
    def wait(ctx: typer.Context) -> Pending:
        """Wait."""
        run = run_of(ctx)
        run.out.note("waiting")
        return Pending("test.wait", {}, run.out.line)

    @command(root, "where")
    def where(ctx: typer.Context) -> None:
        """Show what was typed and where."""
        run = run_of(ctx)
        run.out.json(
            {"argv": run.inv.argv, "cwd": str(run.inv.cwd), "env": sorted(run.inv.env), "role": run.inv.role}
        )
        run.out.line(f"{run.inv.cwd}")

    @command(root, "who")
    def who(ctx: typer.Context) -> None:
        """Show who calls."""
        run = run_of(ctx)
        run.out.line(run.call("test.who"))

    @command(root, "noisy")
    def noisy(ctx: typer.Context, lines: Annotated[int, typer.Argument()] = 1) -> int:
        """Write much."""
        run = run_of(ctx)
        for _ in range(lines):
            run.out.line(BODY)
        return 3

    @command(root, "broken")
    def broken(ctx: typer.Context) -> None:
        """Fail without meaning to."""
        run_of(ctx).out.line("before")
        raise ZeroDivisionError("by zero")

    @command(root, "terminal", local=True)
    def terminal(ctx: typer.Context) -> None:
        """Own the terminal."""
        run_of(ctx).out.line(f"local {run_of(ctx).inv.in_daemon}")

    @command(root, "look", offline=True)
    def look(ctx: typer.Context) -> None:
        """Look, daemon or not."""
        run = run_of(ctx)
        run.out.line(f"{run.call('test.inbox')}")

    nouns = group(root, "team", help="The team")

    @command(root, "team")
    def team(ctx: typer.Context, every: Annotated[bool, typer.Option("--all", "-a")] = False) -> None:
        """Show the team."""
        run_of(ctx).out.line(f"team {every}")

    @command(nouns, "local", aliases=("here",))
    def local(ctx: typer.Context, every: Annotated[bool, typer.Option("--all", "-a")] = False) -> None:
        """Show the team of this machine."""
        run_of(ctx).out.line(f"local {every}")


def tree() -> Tree:
    """The commands above, and the built-in ones."""
    return build((register, register_builtin))


def caller_of(peer: Any, request: Any) -> Callable[[str], Caller]:
    """Everyone is the agent that they say they are."""

    def caller(claim: str) -> Caller:
        name = claim or request.env.get("THRUM_NAME", "tester")
        return Caller(kind="agent", agent_id=name, source="claim", pid=peer.pid or 0)

    return caller


class SmallDaemon:
    """Serves in a thread of its own while the block lasts."""

    def __init__(self, socket: Path, *, kept: Kept | None = None, version: str = "") -> None:
        self.kept = kept or Kept()
        self.socket = socket
        self.version = version
        self._thread = threading.Thread(target=self._main)
        self._up = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def on_loop(self, action: Callable[[], Any]) -> None:
        """Run *action* on the daemon's loop."""
        self.loop.call_soon_threadsafe(action)

    @property
    def is_quiet(self) -> bool:
        """Whether no command runs."""
        return not self.commands.running

    def until(self, holds: Callable[[], bool]) -> None:
        """Return once *holds*, fail when it never does."""
        until(holds)

    def _main(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        dispatcher = Dispatcher()
        for method in self.kept.methods():
            dispatcher.add(method)
        settings = {"version": self.version} if self.version else {}
        self.commands = CommandServer(tree(), dispatcher, caller_of=caller_of, **settings)
        server = UnixServer(
            dispatcher,
            Topics(),
            self.socket,
            resolver=lambda peer, claim: Caller(kind="agent", agent_id=claim or "tester", source="claim"),
            foreign=self.commands.foreign,
        )
        await server.start()
        self._up.set()
        await self._stop.wait()
        server.stop_listening()
        await dispatcher.drain(limit_s=1)
        await self.commands.drain(limit_s=1)
        await server.stop(limit_s=1)


if __name__ == "__main__":
    with SmallDaemon(Path(sys.argv[1])) as daemon:
        print("up", flush=True)
        sys.stdin.read()

"""A pane with the fake runtime in it, on a real tmux server that keeps the screen of every keystroke of ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from thrum_tmux.control.reader import Reader
from thrum_tmux.live_pane import LivePane
from thrum_tmux.model import SessionRow
from thrum_tmux.pane import Look
from thrum_tmux.screen import patterns
from thrum_tmux.server import Server
from thrum_tmux.wake.gate import Place
from thrum_tmux.wake.injection import Injection, Timing
from thrum_tmux.wake.program import foreground

from thrum_kernel.testing.fake_runtime.driver import FakeRuntime
from thrum_kernel.testing.fake_runtime.plugin import FAKE_AGENT
from thrum_kernel.testing.tmux import TmuxServer

OURS = "/project/.thrum"
ID = "msg_01JD3Z5T7W9Y1B3D5F7H9K1M3P"
LINE = f"New message from @ada ({ID}) -- run: thrum inbox"
FAST = Timing(quiet_s=0.05, steady_s=0.04, echo_s=0.4, enter_delay_s=0.05, entered_s=0.3, look_s=0.05)


@dataclass(slots=True)
class House:
    """A tmux server, heard by us, and what we typed there.

    Attributes:
        tmux: for the test.
        server: for us.
    """

    tmux: TmuxServer
    server: Server
    _audited: int = 0

    @contextlib.contextmanager
    def agent(self, name: str, folder: Path, **options: object) -> Iterator[FakeRuntime]:
        """A session of ours with the fake runtime in a shell."""
        fake = FakeRuntime(folder / name, truth=1, **options)
        cwd = folder / f"{name}-cwd"
        cwd.mkdir(exist_ok=True)
        size = ("-x", "100", "-y", "30")
        self.tmux(
            "new-session", "-d", "-s", name, *size, "-c", str(cwd), f"{fake.command()}; exec bash --norc"
        )
        self.tmux("set-option", "-t", name, "@thrum-managed", "1")
        self.tmux("set-option", "-t", name, "@thrum-thrum-dir", OURS)
        try:
            fake.connect()
            yield fake
        finally:
            self.tmux.run("kill-session", "-t", f"={name}")
            fake.close()

    async def pane(self, name: str) -> LivePane:
        """The pane of a session, heard."""
        await self.server.refresh()
        snapshot = await self.server.now()
        row = snapshot.named(name)
        assert row is not None and snapshot.server is not None
        await until(lambda: self.server.is_heard(row.id))
        return LivePane(self.server, snapshot.server, snapshot.panes_of(row.id)[0])

    def keystrokes(self) -> list[list[str]]:
        """For each keystroke since the last time, the screen that tmux held as it took it."""
        names = self.tmux("list-buffers", "-F", "#{buffer_name}").split()
        screens = [self.tmux("show-buffer", "-b", name).split("\n") for name in reversed(names)]
        for name in names:
            self.tmux("delete-buffer", "-b", name)
        return screens


@contextlib.asynccontextmanager
async def house(tmux: TmuxServer) -> AsyncIterator[House]:
    """A server where each ``send-keys`` leaves the screen of its pane in a buffer, in the same turn of tmux."""
    tmux("start-server", ";", "set-option", "-g", "exit-empty", "off")
    tmux("set-option", "-g", "buffer-limit", "100000")
    tmux("set-hook", "-g", "after-send-keys", "capture-pane")
    reader = Reader()

    def is_ours(row: SessionRow) -> bool:
        return row.thrum_dir == OURS

    server = Server(
        str(tmux.path), env=dict(os.environ), reader=reader, is_followed=is_ours, use_control=lambda: True
    )
    try:
        yield House(tmux, server)
    finally:
        await server.close()
        await asyncio.to_thread(reader.close)


async def until(claim: Callable[[], object], *, limit_s: float = 20.0) -> None:
    """Wait until *claim* holds."""
    end = time.monotonic() + limit_s
    while not claim():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.005)


async def runtime_of(look: Look) -> str:
    return (await asyncio.to_thread(foreground, look.pid, look.command, [FAKE_AGENT])).runtime


async def never() -> bool:
    return False


def injection(
    pane: LivePane, line: str = LINE, *, timing: Timing = FAST, queues_input: bool = True, **how: object
) -> Injection:
    """Our line on its way into a pane."""
    return Injection(
        pane,
        line,
        place=Place("fake-agent", queues_input, timing.quiet_s),
        patterns=patterns.of(FAKE_AGENT),
        timing=timing,
        runtime_of=runtime_of,
        is_moot=never,
        **how,  # type: ignore[arg-type]
    )

"""Panes with the fake runtime in them, on a real tmux server that notes every keystroke with what it held then."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from thrum_tmux.control.reader import Reader
from thrum_tmux.live_pane import LivePane
from thrum_tmux.model import SessionRow
from thrum_tmux.pane import Look
from thrum_tmux.screen import patterns
from thrum_tmux.server import Server
from thrum_tmux.wake.gate import Place
from thrum_tmux.wake.injection import Injection, Timing
from thrum_tmux.wake.program import foreground

from thrum_kernel.api import PluginContext, RuntimePreset
from thrum_kernel.testing.fake_runtime.driver import FakeRuntime
from thrum_kernel.testing.fake_runtime.plugin import FAKE_AGENT
from thrum_kernel.testing.tmux import TmuxServer
from thrum_kernel.testing.waiting import until_on_loop as until

OURS = "/project/.thrum"
ID = "msg_01JD3Z5T7W9Y1B3D5F7H9K1M3P"
LINE = f"New message from @ada ({ID}) -- run: thrum inbox"
FAST = Timing(quiet_s=0.05, steady_s=0.04, echo_s=0.4, enter_delay_s=0.05, entered_s=0.3, look_s=0.05)

_NOTED = (
    "pane_id",
    "pane_current_command",
    "session_name",
    "cursor_x",
    "pane_in_mode",
    "C:Do you want to proceed",
    "C:trust this folder",
    "C:Which model shall be used",
    "hook_arguments",
    "pane_title",
)
_END = "~~"


@dataclass(frozen=True, slots=True)
class Keystroke:
    """Something that was typed by a command, and what tmux held of the pane as it took it.

    Attributes:
        what: arguments of ``send-keys``.
        program: name of the one in the foreground.
        owner, draft: what the fake runtime had told of itself in the title by then.
        in_mode: the pane was in copy mode.
        has_dialog: a dialog was on the screen.
        session: that the pane was in.
        column: of its cursor.
    """

    pane: str
    what: str
    program: str
    owner: str
    draft: str
    in_mode: bool
    has_dialog: bool
    session: str
    column: int

    @property
    def is_ours(self) -> bool:
        """A test aims at a pane, we at a pane in its session."""
        return f":.{self.pane}" in self.what


@dataclass(slots=True)
class House:
    """A tmux server, heard by us, and what we typed there.

    Attributes:
        tmux: for the test.
        server: for us.
    """

    tmux: TmuxServer
    server: Server

    @contextlib.contextmanager
    def agent(self, name: str, folder: Path, **options: object) -> Iterator[FakeRuntime]:
        """A session of ours with the fake runtime in a shell."""
        fake = FakeRuntime(folder / name, truth=1, **options)
        cwd = folder / f"{name}-cwd"
        cwd.mkdir(exist_ok=True)
        size = ("-x", "100", "-y", "30")
        self.tmux("new-session", "-d", "-s", name, *size, "-c", str(cwd), in_shell(fake))
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
        snapshot = self.server.known
        row = snapshot.named(name)
        assert row is not None and snapshot.server is not None
        await until(lambda: self.server.is_heard(row.id))
        return LivePane(self.server, snapshot.server, snapshot.panes_of(row.id)[0])

    def people(self, name: str) -> int:
        """How many terminals show a session."""
        told = self.tmux.run("list-clients", "-t", f"={name}", "-F", "#{client_control_mode}").stdout
        return told.split().count("0")

    def keystrokes(self) -> list[Keystroke]:
        """What commands typed since the last time."""
        told = self.tmux.run("show-options", "-gv", "@noted").stdout.removesuffix("\n")
        self.tmux("set-option", "-g", "@noted", "")
        return [_keystroke(each) for each in told.split(_END) if each]


def _keystroke(told: str) -> Keystroke:
    pane, program, session, cursor, in_mode, *dialogs, what, title = told.split("|", len(_NOTED) - 1)
    owner, draft = "", ""
    if title.startswith("truth "):
        _, _, owner, text = title.split(" ", 3)
        draft = json.loads(text)
    has_dialog = any(found != "0" for found in dialogs)
    return Keystroke(
        pane, what, program, owner, draft, in_mode == "1", has_dialog, session=session, column=int(cursor)
    )


def in_shell(fake: FakeRuntime) -> str:
    """The command that a pane runs: the fake runtime, and a shell once that ends."""
    return f"{fake.command()}; printf '\\033]2;a shell\\007'; exec bash --norc"


@contextlib.asynccontextmanager
async def house(tmux: TmuxServer) -> AsyncIterator[House]:
    """A server where each ``send-keys`` is noted in the same turn of tmux."""
    tmux("start-server", ";", "set-option", "-g", "exit-empty", "off")
    noted = "|".join(f"#{{{name}}}" for name in _NOTED)
    tmux("set-option", "-g", "@noted", "")
    for typing in ("send-keys", "paste-buffer"):
        tmux("set-hook", "-g", f"after-{typing}", f"set-option -agF @noted '{noted}{_END}'")
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


async def runtime_of(look: Look) -> str:
    return (await asyncio.to_thread(foreground, look.pid, look.command, [FAKE_AGENT])).runtime


async def never() -> bool:
    return False


async def nothing() -> None:
    """What `injection` does besides."""


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
        **{"on_enter": nothing, **how},  # type: ignore[arg-type]
    )


SHELL = RuntimePreset(
    name="shell",
    display_name="Shell",
    command="",
    prompt={"line": r"^[^$#%❯]*[$#%❯](?: (?P<text>.*))?$", "at_cursor": "yes"},
)


class _Context:
    """What typing asks of the daemon."""

    settings = SimpleNamespace(nudge=SimpleNamespace(chrome_quiet_seconds=0.05))

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    def presets(self) -> list[RuntimePreset]:
        return [FAKE_AGENT, SHELL]

    async def in_thread(self, work: Callable[..., Any], *given: object) -> Any:
        return await asyncio.to_thread(work, *given)

    def shared(self, _: type) -> SimpleNamespace:
        return SimpleNamespace(typing=lambda pane: self._lock)


def context() -> PluginContext:
    """A plugin's context, for one pane."""
    return cast(PluginContext, _Context())


Happening = Callable[[], object]


class Raced:
    """A pane where something happens, once, before our keys or after them.

    Args:
        before, after: by ``type`` and ``key``.
    """

    def __init__(
        self,
        pane: LivePane,
        *,
        before: dict[str, Happening] | None = None,
        after: dict[str, Happening] | None = None,
    ) -> None:
        self._pane = pane
        self._before = before or {}
        self._after = after or {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pane, name)

    async def type(self, text: str, **how: Any) -> bool:
        return await self._around("type", text, how)

    async def key(self, name: str, **how: Any) -> bool:
        return await self._around("key", name, how)

    async def _around(self, what: str, given: str, how: dict[str, Any]) -> bool:
        await asyncio.to_thread(self._before.pop(what, int))
        done: bool = await getattr(self._pane, what)(given, **how)
        if done:
            await asyncio.to_thread(self._after.pop(what, int))
        return done

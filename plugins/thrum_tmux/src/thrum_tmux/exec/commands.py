"""``tmux exec …``: local commands, for they outlive no daemon and need none.

Source: spec/features.md §1.10; issue "Terminal" ("tmux-exec").
"""

from __future__ import annotations

import contextlib
import getpass
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from thrum_kernel.api_commands import Run, run_of
from thrum_kernel.errors import Refused, UsageError
from thrum_tmux.exec.job import Order, joined
from thrum_tmux.exec.job import run as run_order
from thrum_tmux.exec.server import DEFAULT_SOCKET, SOCKET_VARIABLE, ExecServer
from thrum_tmux.exec.sessions import Sessions, check_name

TIMED_OUT = 124
"""Exit status of a command whose time was up, as timeout(1) has it."""
INTERRUPTED = 130
_INSIDE = "TMUX_EXEC_POOL"
"""Set in the pool: a command there cannot wait for the pool."""
_NOT_THEIRS = frozenset({"COLUMNS", "LINES", "OLDPWD", "PWD", "SHLVL", "TERM", "TMUX", "TMUX_PANE", "_"})
"""What the caller's terminal says of itself."""
_OF_AGENTS = ("CLAUDE_PROJECT_DIR",)

Words = Annotated[
    list[str],
    typer.Argument(metavar="COMMAND", help="One word is a shell line; -- before options of its own."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The session.")]
Socket = Annotated[
    str,
    typer.Option(
        "--socket", metavar="NAME", help=f"The tmux socket (else {SOCKET_VARIABLE}, else tmux-exec)."
    ),
]
Cwd = Annotated[str, typer.Option("--cwd", metavar="DIR", help="Where it runs.")]
Timeout = Annotated[
    float,
    typer.Option("--timeout", metavar="SECONDS", min=0, max=86400, help="When it is interrupted; 0: never."),
]
Clean = Annotated[bool, typer.Option("--clean", help="Without THRUM_* of your environment.")]
Clear = Annotated[bool, typer.Option("--clear", help="Forget first what the pane shows.")]
Tail = Annotated[int, typer.Option("--tail", metavar="N", min=0, help="Only the last N lines; 0: all.")]


def execute(
    ctx: typer.Context,
    words: Words,
    cwd: Cwd = "",
    timeout: Timeout = 30,
    clean: Clean = False,
    clear: Clear = False,
    tail: Tail = 0,
    socket: Socket = "",
) -> int:
    """Run a command in the clean pane of the pool: its output and exit status are ours.

    Commands wait for each other. What it leaves in the background ends with it; what is not done in time is
    interrupted, and 124 is the exit status.
    """
    run = run_of(ctx)
    server, sessions = _open(run, socket)
    if run.inv.env.get(_INSIDE) == server.socket:
        raise Refused("a command in the pool cannot wait for the pool", hint="thrum tmux exec create NAME")
    env = {**environment(run.inv.env, clean=clean), _INSIDE: server.socket}
    where = _folder(run, cwd) if cwd else run.inv.cwd
    order = Order(joined(words), cwd=where, env=env, timeout_s=timeout, clear=clear)
    return _told(run, server, sessions, sessions.pool, order, tail)


def run_in(
    ctx: typer.Context,
    name: Name,
    words: Words,
    cwd: Cwd = "",
    timeout: Timeout = 30,
    clear: Clear = False,
    tail: Tail = 0,
    socket: Socket = "",
) -> int:
    """Run a command in a session of yours, where its shell is, with its environment; otherwise as exec does."""
    run = run_of(ctx)
    server, sessions = _open(run, socket)
    where = _folder(run, cwd) if cwd else None
    order = Order(joined(words), cwd=where, timeout_s=timeout, clear=clear, sweep=False)
    return _told(run, server, sessions, check_name(name), order, tail)


def create(ctx: typer.Context, name: Name, cwd: Cwd = "", socket: Socket = "") -> None:
    """Make a session with a clean shell."""
    run = run_of(ctx)
    server, sessions = _open(run, socket)
    where = _folder(run, cwd) if cwd else run.inv.cwd
    sessions.create(name, cwd=where)
    run.out.json({"session": name, "socket": server.socket, "cwd": str(where)})
    run.out.line(f"✓ Session created: {name}")


def send(
    ctx: typer.Context,
    name: Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Typed as it is, then Enter.")],
    socket: Socket = "",
) -> None:
    """Type a line into a session, and wait for nothing."""
    run = run_of(ctx)
    _, sessions = _open(run, socket)
    sessions.type_line(check_name(name), text)
    run.out.json({"session": name})


def capture(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The session; else the pool.")] = "",
    tail: Tail = 0,
    clear: Annotated[bool, typer.Option("--clear", help="Forget it then.")] = False,
    socket: Socket = "",
) -> None:
    """Show what a session's pane shows and showed."""
    run = run_of(ctx)
    _, sessions = _open(run, socket)
    name = check_name(name or sessions.pool)
    lines = sessions.captured(name)[-tail:]
    if clear:
        sessions.clear(name)
    run.out.json({"session": name, "content": "\n".join(lines)})
    for line in lines:
        run.out.line(line)


def destroy(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The session; else the pool.")] = "",
    socket: Socket = "",
) -> None:
    """End a session and everything that runs in it."""
    run = run_of(ctx)
    _, sessions = _open(run, socket)
    name = check_name(name or sessions.pool)
    sessions.destroy(name)
    run.out.json({"session": name, "destroyed": True})
    run.out.line(f"Session {name} destroyed")


def list_sessions(ctx: typer.Context, socket: Socket = "") -> None:
    """List the sessions of this socket."""
    run = run_of(ctx)
    server, sessions = _open(run, socket)
    rows = sessions.names()
    run.out.json(
        [{**row, "created": int(row["created"]), "pool": row["name"] == sessions.pool} for row in rows]
    )
    if not rows:
        run.out.line(f"No sessions on socket {server.socket}")
    for row in rows:
        run.out.line(f"{row['name']:<28} {row['command']:<14} {row['cwd']}")


def environment(env: Mapping[str, str], *, clean: bool) -> dict[str, str]:
    """What of the caller's environment a command in the pool gets."""
    kept = {name: value for name, value in env.items() if name not in _NOT_THEIRS}
    if clean:
        kept = {
            name: value
            for name, value in kept.items()
            if not name.startswith("THRUM_") and name not in _OF_AGENTS
        }
    return kept | {"TERM": "screen-256color"}


def _open(run: Run, socket: str) -> tuple[ExecServer, Sessions]:
    env = run.inv.env
    server = ExecServer(socket or env.get(SOCKET_VARIABLE, "") or DEFAULT_SOCKET, env)
    return server, Sessions(server, env, user=env.get("USER") or getpass.getuser())


def _folder(run: Run, cwd: str) -> Path:
    where = run.inv.cwd / cwd
    if not where.is_dir():
        raise UsageError(f"no such folder: {where}")
    return where


def _told(run: Run, server: ExecServer, sessions: Sessions, name: str, order: Order, tail: int) -> int:
    """Run *order* and hand on what it wrote; gives our exit status."""
    shown = _Shown(run, tail)
    with _ended_like_interrupted():
        ended = run_order(server, sessions, name, order, shown.write)
    shown.close(ended.status, ended.how)
    if ended.how == "timeout":
        run.out.error(
            f"the command was not done after {order.timeout_s:g} s and was interrupted",
            hint="give it longer: --timeout SECONDS",
        )
        return TIMED_OUT
    return INTERRUPTED if ended.how == "stopped" else ended.status


class _Shown:
    """Where a command's output goes: out at once, or kept where only its end, or JSON, is wanted."""

    def __init__(self, run: Run, tail: int) -> None:
        self._run = run
        self._tail = tail
        self._kept = bytearray()
        self._is_kept = bool(tail) or run.inv.as_json

    def write(self, data: bytes) -> None:
        if self._is_kept:
            self._kept += data
            return
        self._run.out.raw(data)
        self._run.out.flush()

    def close(self, status: int, how: str) -> None:
        if not self._is_kept:
            return
        data = bytes(self._kept)
        if self._tail:
            data = b"".join(data.splitlines(keepends=True)[-self._tail :])
        if not self._run.inv.as_json:
            self._run.out.raw(data)
            return
        value: dict[str, Any] = {"output": data.decode(errors="replace"), "exit_status": status}
        self._run.out.json({**value, "timed_out": how == "timeout"})


@contextlib.contextmanager
def _ended_like_interrupted() -> Iterator[None]:
    """Whoever ends us ends the command, too."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Agents in tmux, 50 sessions: what the daemon costs while they are idle, how late quiet is noticed, ``tmux status``.

- Idle: every session has an agent and a control client. Processor time of the daemon, and the processes that it started:
  its children, and what children that ended left in its books.
- Quiet: a program in a pane writes and notes when; how long after its due time `Pane.until_quiet` returns.
- ``tmux.status`` over the daemon's socket against one ``tmux list-sessions``, in turns; the whole command beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from thrum_tmux.control.reader import Reader
from thrum_tmux.live_pane import LivePane
from thrum_tmux.server import Server

from bench.figure import Effort, Figure
from bench.ground import Ground
from bench.idle import Reading
from thrum_kernel.client import SocketApi
from thrum_kernel.testing.harness import launcher
from thrum_kernel.testing.tmux import TmuxServer, tmux_server

SESSIONS = 50
QUIET_S = 0.2
_WRITER = (
    "import sys, time\n"
    "while sys.stdin.readline():\n"
    "    print('.', flush=True)\n"
    "    open(sys.argv[1], 'w').write(repr(time.monotonic()))\n"
)


def figures(effort: Effort) -> Iterable[Figure]:
    """Five of them."""
    count = effort.count(SESSIONS, 5)
    with _server() as tmux, Ground(effort.room("repository"), agents=count) as ground:
        ground.cli("config", "set", "tmux.socket", str(tmux.path))
        for number, worktree in enumerate(ground.worktrees):
            _make(ground, number, worktree)
        _wait_until_heard(tmux, count)
        yield from _idle(effort, ground, tmux, count)
        yield from _status(effort, ground, tmux, count)
        yield _quiet(effort, tmux, count)


# --- idle ------------------------------------------------------------------------------------------------------------


def _idle(effort: Effort, ground: Ground, tmux: TmuxServer, count: int) -> Iterable[Figure]:
    time.sleep(effort.seconds(60, 5))
    pid, server = ground.process.pid, int(tmux("display-message", "-p", "#{pid}"))
    clients = _children(pid)
    first, first_server, ended = Reading.of(pid), Reading.of(server), _ended(pid)
    time.sleep(effort.seconds(300, 15))
    last, last_server = Reading.of(pid), Reading.of(server)
    took_s = last.at_s - first.at_s
    cpu_s = last.cpu_s - first.cpu_s
    memory = sum(Reading.of(client).resident for client in clients) / (1 << 20)
    yield Figure(
        name=f"{count} sessions idle: processor time of the daemon",
        measured=100 * cpu_s / took_s,
        target=0.2,
        unit="%",
        numbers=f"{cpu_s:.2f} s in {took_s:.0f} s; tmux's own server {last_server.cpu_s - first_server.cpu_s:.2f} s;"
        f" {len(clients)} control clients, {memory:.0f} MiB of them resident",
    )
    yield Figure(
        name=f"{count} sessions idle: processes that the daemon started",
        measured=float(len(_children(pid) ^ clients) + (_ended(pid) != ended)),
        target=0,
        unit="processes",
    )


def _children(pid: int) -> set[int]:
    return {
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    }


def _ended(pid: int) -> tuple[int, ...]:
    """Page faults and processor time of children that ended: any that did leaves a trace there."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[8]), int(fields[10]), int(fields[13]), int(fields[14])


# --- status ----------------------------------------------------------------------------------------------------------


def _status(effort: Effort, ground: Ground, tmux: TmuxServer, count: int) -> Iterable[Figure]:
    rounds = effort.count(300, 20)
    program = str(shutil.which("tmux"))
    words = [program, "-S", str(tmux.path), "list-sessions"]
    programs = {
        "list": words,
        "command": [str(launcher()), "tmux", "status"],
        "nothing": [sys.executable, "-c", "pass"],
    }
    times = ground.run(0, "stopwatch", rounds, stdin=json.dumps(programs))
    listed, whole, nothing = (statistics.median(times[name]) for name in programs)
    method = statistics.median(_asked(ground, rounds, count))
    yield Figure(
        name=f"`tmux.status` with {count} sessions, against one `tmux list-sessions`",
        measured=method / listed,
        target=3,
        numbers=f"{method:.2f} ms against {listed:.2f} ms",
    )
    yield Figure(
        name=f"the command `thrum tmux status` with {count} sessions, against one `tmux list-sessions`",
        measured=whole / listed,
        target=3,
        numbers=f"{whole:.1f} ms; `python -c pass` takes {nothing:.1f} ms",
    )


def _asked(ground: Ground, rounds: int, count: int) -> Iterator[float]:
    api = SocketApi(ground.socket)
    with contextlib.closing(api):
        for _ in range(rounds):
            began = time.perf_counter()
            answer = api.call("tmux.status")
            yield (time.perf_counter() - began) * 1000
            assert len(answer["sessions"]) == count, answer


# --- quiet -----------------------------------------------------------------------------------------------------------


def _quiet(effort: Effort, tmux: TmuxServer, count: int) -> Figure:
    late_ms = asyncio.run(_lateness(effort, tmux))
    return Figure(
        name=f"quiet noticed after its due time, {count} sessions, the latest of {len(late_ms)}",
        measured=max(late_ms),
        target=50,
        unit="ms",
        numbers=f"median {statistics.median(late_ms):.1f} ms",
    )


async def _lateness(effort: Effort, tmux: TmuxServer) -> Sequence[float]:
    noted = effort.folder / "written-at"
    script = effort.folder / "writer.py"
    script.write_text(_WRITER)
    tmux.session("writer", f"{sys.executable} {script} {noted}")
    reader = Reader()
    server = Server(
        str(tmux.path), env=dict(os.environ), reader=reader, is_followed=lambda row: row.name == "writer"
    )
    try:
        await server.refresh()
        row = server.known.named("writer")
        assert row is not None
        await _until(lambda: server.is_heard(row.id))
        assert server.known.server is not None
        pane = LivePane(server, server.known.server, server.known.panes_of(row.id)[0])
        return [await _one(pane, noted) for _ in range(effort.count(100, 5))]
    finally:
        await server.close()
        reader.close()


async def _one(pane: LivePane, noted: Path) -> float:
    """Milliseconds from the due time."""
    noted.unlink(missing_ok=True)
    await pane.key("Enter")
    await _until(lambda: noted.exists() and noted.read_text())
    await asyncio.sleep(QUIET_S / 4)  # what was written reaches us through tmux, a little later
    assert await pane.until_quiet(QUIET_S, 10)
    return (time.monotonic() - float(noted.read_text()) - QUIET_S) * 1000


async def _until(claim: Callable[[], object]) -> None:
    for _ in range(60_000):
        if claim():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError("it never came true")


# --- the ground ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _server() -> Iterator[TmuxServer]:
    with (
        tempfile.TemporaryDirectory(prefix="thrum-") as folder,
        tmux_server({**os.environ, "TERM": "xterm-256color", "TMUX_TMPDIR": folder}) as server,
    ):
        server.begin()
        yield server


def _make(ground: Ground, number: int, worktree: Path) -> None:
    """Each agent makes its own session."""
    name = f"agent{number}"
    agent = ("--name", name, "--role", "tester", "--module", "all")
    ground.at(number)("tmux", "create", name, "--cwd", str(worktree), *agent)


def _wait_until_heard(tmux: TmuxServer, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(tmux("list-clients").split("\n")) < count:
        if time.monotonic() > deadline:
            raise TimeoutError("the sessions are not heard")
        time.sleep(0.1)

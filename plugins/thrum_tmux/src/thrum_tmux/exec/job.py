"""One command in a pane, from the caller's side: started, its output handed on as it comes, and never left behind.

The pane's bytes come through a pipe that tmux feeds (``pipe-pane``), so nothing is asked again and again.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thrum_kernel.errors import Refused, Timeout
from thrum_tmux.exec import runner
from thrum_tmux.exec.locks import locked, wait_for
from thrum_tmux.exec.server import ExecServer
from thrum_tmux.exec.sessions import ExecPane, Sessions
from thrum_tmux.exec.stream import Ended, Stream

_START_S = 20.0
"""How long the pane's shell may take to begin."""
_SPARE_S = 5.0
"""How much longer than its time a command may take to be ended by its runner."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run.

    Attributes:
        command: for ``bash -c``.
        cwd: where; None: where the session's shell is.
        env: its environment; None: the session's.
        timeout_s: when it is interrupted; 0: never.
        clear: forget first what the pane shows.
        sweep: end what it leaves in the background.
        grace_s: between being interrupted, ended and killed.
    """

    command: str
    cwd: Path | None = None
    env: Mapping[str, str] | None = field(default=None, repr=False)
    timeout_s: float = 30.0
    clear: bool = False
    sweep: bool = True
    grace_s: float = 2.0


def run(
    server: ExecServer, sessions: Sessions, name: str, order: Order, write: Callable[[bytes], object]
) -> Ended:
    """Run *order* in session *name* when everything before it has ended; gives how it ended.

    Args:
        write: takes the command's output as it comes.

    Raises:
        NotFound: there is no such session.
        Refused: another program has its pane, or the pane ended before the command did.
        Timeout: its shell did not begin.
    """
    sessions.check_there(name)  # before a name that nobody has leaves lock files behind
    busy = server.lock_file(name, "busy")
    with locked(server.lock_file(name, "queue")), _folder() as folder:
        wait_for(busy)  # of a command whose caller was killed
        pane = sessions.ready(name, cwd=Path("/"))
        if order.clear:
            sessions.clear(name)
        job = _Job(server, pane, folder)
        try:
            return job.run(sessions, name, order, busy, write)
        finally:
            server.ask("pipe-pane", "-t", pane.id)


def joined(words: Sequence[str]) -> str:
    """The command that *words* are: one is a line for the shell, several are a program and its arguments."""
    return words[0] if len(words) == 1 else shlex.join(words)


class _Job:
    def __init__(self, server: ExecServer, pane: ExecPane, folder: Path) -> None:
        self._server = server
        self._pane = pane
        self._folder = folder
        self._nonce = secrets.token_hex(16)
        self._stream = Stream(self._nonce)

    def run(
        self, sessions: Sessions, name: str, order: Order, busy: Path, write: Callable[[bytes], object]
    ) -> Ended:
        stream, nonce = self._stream, self._nonce
        pipe = self._folder / "pane"
        os.mkfifo(pipe, 0o600)
        # By its name only now: a command that is done at once takes the folder with it.
        handle = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # Held open for writing until the first byte came: without a writer there is nothing to wait for.
        writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._server.ask("pipe-pane", "-O", "-t", self._pane.id, f"exec cat >{shlex.quote(str(pipe))}")
            sessions.type_line(name, f" {shlex.join(self._words(sessions, order, nonce, busy))}")
            self._until(handle, time.monotonic() + _START_S, write, lambda: stream.runner != 0)
            writer = _closed(writer)
            return self._finish(handle, order, write)
        except BaseException:
            self._stop()
            raise
        finally:
            _closed(writer)
            os.close(handle)

    def _finish(self, handle: int, order: Order, write: Callable[[bytes], object]) -> Ended:
        until = time.monotonic() + order.timeout_s + 3 * order.grace_s + _SPARE_S if order.timeout_s else None
        try:
            self._until(handle, until, write, lambda: self._stream.ended is not None)
        except KeyboardInterrupt:
            self._stop()
            self._until(handle, time.monotonic() + _SPARE_S, write, lambda: self._stream.ended is not None)
            raise
        assert self._stream.ended is not None
        return self._stream.ended

    def _until(
        self,
        handle: int,
        until: float | None,
        write: Callable[[bytes], object],
        is_enough: Callable[[], bool],
    ) -> None:
        while not is_enough():
            left = None if until is None else until - time.monotonic()
            if (left is not None and left <= 0) or not select.select([handle], [], [], left)[0]:
                raise Timeout(
                    "the pane does not answer",
                    hint="look at it: thrum tmux exec capture; thrum tmux exec destroy",
                )
            with contextlib.suppress(BlockingIOError):
                data = os.read(handle, 1 << 16)
                if not data:
                    raise Refused("the pane ended before the command did", hint="thrum tmux exec list")
                if piece := self._stream.feed(data):
                    write(piece)

    def _stop(self) -> None:
        """Have the runner end the command; it does so also when nobody listens any more."""
        if self._stream.runner and self._stream.ended is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._stream.runner, signal.SIGTERM)

    def _words(self, sessions: Sessions, order: Order, nonce: str, busy: Path) -> list[str]:
        """What is typed: the runner, and the file with all that it has to know."""
        values = {
            "nonce": nonce,
            "command": order.command,
            "shell": sessions.shell,
            "cwd": str(order.cwd) if order.cwd else "",
            "env": None if order.env is None else dict(order.env),
            "timeout_s": order.timeout_s,
            "grace_s": order.grace_s,
            "busy": str(busy),
            "sweep": order.sweep,
        }
        file = self._folder / "job"
        file.touch(mode=0o600)
        file.write_text(json.dumps(values))
        return [sys.executable, "-IS", runner.__file__, str(file)]


def _closed(handle: int) -> int:
    """Close *handle* unless it is; gives what says that it is."""
    if handle >= 0:
        os.close(handle)
    return -1


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A private folder for the time of one command."""
    folder = Path(tempfile.mkdtemp(prefix="thrum-exec-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

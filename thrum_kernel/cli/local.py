"""Commands in the caller's own process: those that own the terminal, and all others where no daemon can run them.

The same functions, `Output` and parser as in the daemon; only what they ask (`Api`), read and write is another.

Source: DESIGN.md D4.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import msgspec

from thrum_kernel import __version__, paths
from thrum_kernel.api import Api, Hint, Invocation
from thrum_kernel.cli import autostart
from thrum_kernel.cli.app import Found, Tree
from thrum_kernel.cli.command import Outcome, Pending, Run
from thrum_kernel.cli.hinting import Around, tell_of_ignored_name
from thrum_kernel.cli.output import STDERR, Output
from thrum_kernel.cli.progress import Progress, bar_of
from thrum_kernel.cli.protocol import allowed, octets, text
from thrum_kernel.cli.running import INTERRUPTED, checked, fail, input_failure, step, too_long
from thrum_kernel.cli.terminal import Terminal
from thrum_kernel.errors import (
    DaemonNotRunning,
    DaemonUnreachable,
    MethodNotFound,
    Projecting,
    ShuttingDown,
    ThrumError,
)

READER_GONE: Final = 141
"""Exit status when the reader of our output went away, as a shell tells it of other programs."""

OURS: Final = ("THRUM_LAUNCHER", "THRUM_REQUEST_ID")
"""Variables by which the thin client tells us where it lies and what its request is called."""

_GONE: Final = (DaemonNotRunning, DaemonUnreachable, ShuttingDown)
"""What a call ends with when the daemon that answered it stops."""

_MAX_LOSSES: Final = 100
"""How many daemons may end under one command before it gives up."""

SETTING_UP: Final = (("init",), ("quickstart",))
"""Commands that look for a project only where they stand, whatever ``THRUM_HOME`` says."""

HINTS_S: Final = 5.0
NEEDED_HINTS_S: Final = 15.0
"""How long to wait for the hints of a command that needs the daemon anyway: longer than the daemon itself does."""
"""How long a command that needs no daemon waits for one to say what hints there are."""

Offline = Callable[[Invocation, paths.Paths], Api]
"""Makes an `Api` over the files of a repository whose daemon does not run."""
Connect = Callable[[Path, str, str], "SocketApi"]
"""``(socket, request_id, token)`` → an `Api` that asks the daemon there."""


class PatientApi(Api, Protocol):
    """An `Api` that can wait as long as it takes."""

    def call_within(self, timeout_s: float | None, method: str, params: Mapping[str, Any]) -> Any:
        """`Api.call` with a time limit of its own; None: none."""
        ...


class SocketApi(PatientApi, Protocol):
    """An `Api` over a socket (`bus.blocking.SocketApi`).

    Attributes:
        on_warning: called with what guards said that let a call pass.
    """

    on_warning: Callable[[str], object]


class ReaderGone(BaseException):
    """Nobody reads our output any more."""


def main(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    make_tree: Callable[[], Tree],
    connect: Connect,
    offline: Offline | None = None,
) -> int:
    """Run one command to its end; gives the exit status.

    Args:
        argv: the words after ``thrum``.
        environ: the whole environment.
        make_tree: the commands.
        connect: see `Connect`.
        offline: see `Offline`; None = commands that could do without a daemon are refused like others.
    """
    # What is logged on the way is for the daemon's log; here the command itself says what matters.
    logging.getLogger().addHandler(logging.NullHandler())  # plugins' loggers, too
    words = tuple(text(os.fsencode(word)) for word in argv)
    out = Output(_write, env=environ)
    try:
        return _InProcess(words, environ, out, make_tree(), connect, offline).run()
    except ReaderGone:
        return READER_GONE
    except KeyboardInterrupt:
        return INTERRUPTED


class _InProcess:
    """One command."""

    def __init__(
        self,
        words: tuple[str, ...],
        environ: Mapping[str, str],
        out: Output,
        tree: Tree,
        connect: Connect,
        offline: Offline | None,
    ) -> None:
        self._words = words
        self._environ = environ
        self._out = out
        self._tree = tree
        self._connect = connect
        self._offline = offline
        self._is_mute = False
        self._has_told_name = False

    def run(self) -> int:
        try:
            found = self._tree.find(self._words)
            inv = self._invocation(found)
        except ThrumError as error:
            return fail(error, self._out)
        api = _LateApi(self._open)
        self._found = found
        self._run = Run(
            inv,
            api=checked(api, self._words),
            out=self._out,
            tree=self._tree,
            read=self._read,
            terminal=Terminal.here(),
            around=Around(" ".join(found.words), self._ask_hints, self._out),
        )
        outcome = step(lambda: self._tree.run(found, self._run), self._out)
        while isinstance(outcome, Pending):
            outcome = step(self._answer(api, outcome), self._out)
        return outcome

    def _answer(self, api: _LateApi, pending: Pending) -> Callable[[], Outcome]:
        try:
            result = self._answer_of(api.reach(), pending)
        except ThrumError as error:
            return pending.after_failure(error)
        return lambda: pending.finish(result)

    def _answer_of(self, api: PatientApi, pending: Pending) -> Any:
        """The answer of a long method; one that can be asked again is, also by the next daemon after a restart."""
        begun, told, params = time.monotonic(), "", pending.params
        losses = 0
        while True:
            try:
                return api.call_within(None, pending.method, params)
            except (Projecting, *_GONE) as error:
                losses += isinstance(error, _GONE)
                if pending.resume is None or losses > _MAX_LOSSES:
                    raise
                waited_s, problem = time.monotonic() - begun, error
            if isinstance(problem, _GONE):
                autostart.wait_for_the_next(self._where(), self._environ)
            elif str(problem) != told and waited_s >= autostart.PATIENCE_S:
                told = str(problem)
                self._out_now(told)
            time.sleep(autostart.POLL_S)
            params = pending.resume(time.monotonic() - begun)

    def _where(self) -> paths.Paths:
        return paths.find(self._run.inv.cwd, repo=self._run.inv.repo or None, env=self._environ)

    def _open(self) -> PatientApi:
        """The daemon, started if need be, or its files."""
        inv, where = self._run.inv, self._where()
        self._tell_of_ignored_name(where)
        if not self._found.is_offline:
            autostart.ensure(where, self._environ)
        elif not autostart.is_up(where):
            if self._offline is None:
                raise DaemonNotRunning(stopped=where.stopped.exists())
            return _AtOnce(self._offline(inv, where))
        token = self._environ.get("THRUM_TOKEN", "")
        # Asked apart: the calls of the command itself are numbered, and a retry in the daemon numbers them the same.
        about = self._connect(where.socket, "", token)
        if not self._found.is_offline:
            progress = Progress(self._out_now, bar=bar_of(2, self._environ), quiet=self._out.quiet)
            with contextlib.closing(progress):
                autostart.wait_until_projected(about, progress.tell, log=where.log)
        skew = autostart.version_skew(about, __version__)
        if skew:
            self._out.note(skew)
        self._pass_gate(about)
        api = self._connect(where.socket, inv.request_id, token)
        api.on_warning = self._out.warn
        return api

    def _tell_of_ignored_name(self, where: paths.Paths) -> None:
        """Hint at a ``THRUM_NAME`` that names no identity of this worktree, once a command."""
        name = self._environ.get("THRUM_NAME", "").strip()
        if not name or self._has_told_name or self._environ.get("THRUM_TOKEN"):
            return
        from thrum_kernel.identity import files

        self._has_told_name = True
        known = files.read_all(where.identities).identities
        if known and name not in {identity.name for identity in known}:
            tell_of_ignored_name(self._out, name)

    def _pass_gate(self, daemon: Api) -> None:
        """Ask the daemon whether guards let this command pass; their warnings are shown.

        Raises:
            GuardFired: one refuses.
        """
        pane = self._environ.get("TMUX_PANE", "") if self._environ.get("TMUX") else ""
        with contextlib.suppress(MethodNotFound):  # a daemon of another version
            # Only paths may be no text, and where the path of a command leads is the command's own matter.
            args = [arg.encode(errors="backslashreplace").decode() for arg in self._found.args]
            judged = daemon.call(
                "command.judge", command=" ".join(self._found.words), args=args, tmux_pane=pane
            )
            for warning in judged["warnings"]:
                self._out.note(warning)

    def _ask_hints(
        self,
        command: str,
        phase: Literal["before", "after"],
        *,
        params: Mapping[str, Any],
        result: Any,
        force: bool,
    ) -> list[Hint]:
        """What the daemon has to say; nothing where it cannot be asked: the command itself tells why.

        For a command that needs no daemon none is started, and one that does not answer is not asked again.
        """
        moment = {"command": command, "phase": phase, "params": dict(params), "force": force}
        try:
            daemon = self._daemon_for_hints()
            if daemon is None:
                return []
            result = msgspec.to_builtins(result)
            limit_s = HINTS_S if self._found.is_offline else NEEDED_HINTS_S
            answer = daemon.call_within(limit_s, "hints.ask", {**moment, "result": result})
        except ThrumError:
            self._is_mute = True
            return []
        return [msgspec.convert(hint, Hint) for hint in answer["hints"]]

    def _daemon_for_hints(self) -> PatientApi | None:
        """The daemon, asked apart from the command's own calls; None where the command must do without."""
        env = self._environ
        if self._found.words in SETTING_UP:
            env = {**env, "THRUM_HOME": ""}
        where = paths.find(self._run.inv.cwd, repo=self._run.inv.repo or None, env=env)
        if not self._found.is_offline:
            autostart.ensure(where, self._environ)
        elif self._is_mute or not autostart.is_up(where):
            return None
        return self._connect(where.socket, "", self._environ.get("THRUM_TOKEN", ""))

    def _out_now(self, line: str) -> None:
        self._out.note(line)
        self._out.flush()

    def _invocation(self, found: Found) -> Invocation:
        """What was typed; a command that always runs here sees the whole environment."""
        others = {name: value for name, value in self._environ.items() if name not in OURS}
        try:
            cwd = Path.cwd()
        except FileNotFoundError as error:
            raise input_failure("the working folder", error) from None
        return Invocation(
            argv=self._words,
            cwd=cwd,
            env=others if found.is_local else allowed(others),
            request_id=self._environ.get("THRUM_REQUEST_ID", "") or os.urandom(16).hex(),
        )

    def _read(self, path: str | None, max_bytes: int) -> bytes:
        try:
            data = b"".join(_pieces(path, max_bytes))
        except OSError as error:
            raise input_failure(path, error) from error
        if len(data) > max_bytes:
            raise too_long(path, max_bytes)
        return data


class _LateApi:
    """Reaches for the daemon when it is first asked: many commands never do."""

    def __init__(self, opened: Callable[[], PatientApi]) -> None:
        self.reach = functools.cache(opened)

    def call(self, method: str, /, **params: Any) -> Any:
        return self.reach().call(method, **params)


class _AtOnce:
    """An `Api` over files: nothing there waits for anybody."""

    def __init__(self, api: Api) -> None:
        self.call = api.call

    def call_within(self, timeout_s: float | None, method: str, params: Mapping[str, Any]) -> Any:
        return self.call(method, **params)


def _pieces(path: str | None, max_bytes: int) -> Iterator[bytes]:
    descriptor = 0 if path is None else os.open(octets(path), os.O_RDONLY | os.O_CLOEXEC)
    size = 0
    try:
        while size <= max_bytes:
            piece = os.read(descriptor, min(1 << 20, max_bytes + 1 - size))
            if not piece:
                return
            size += len(piece)
            yield piece
    finally:
        if path is not None:
            os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    """The sink of a process: its own descriptors."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            import select

            select.select([], [descriptor], [])
        except OSError as error:
            if error.errno == errno.EPIPE or descriptor == STDERR:
                raise ReaderGone from None
            raise

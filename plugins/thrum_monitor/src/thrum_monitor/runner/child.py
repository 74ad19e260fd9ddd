"""A child that waits until it may become the command.

It is forked first and told about; only when its pid and start time are written down does it get the word to go on. When
whoever started it is gone instead, its pipe is at an end and it ends without having done anything.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from thrum_monitor.sessions import is_zombie

NOT_STARTED: Final = 127
_HIGHEST: Final = 4096
"""Descriptors below it are closed in the child; the runner has a few for each of at most some hundred monitors."""
_AS_AT_FIRST: Final = (
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGPIPE,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGXFSZ,
)


@dataclass(slots=True)
class Child:
    """A child and our ends of its pipes.

    Attributes:
        pid: its process, which is also its group and its session.
        output: what it prints, not blocking.
        word: where `release` writes.
        trouble: why it could not become the command; at its end, and empty, once it has.
    """

    pid: int
    output: int
    word: int
    trouble: int

    def release(self) -> None:
        """Let it become the command."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.word, b"!")
        self.forget()

    def forget(self) -> None:
        """Close the pipe that it waits at: it ends, unless it was released."""
        if self.word >= 0:
            os.close(self.word)
            self.word = -1


def fork(argv: Sequence[str], *, env: Mapping[str, str], cwd: str) -> Child:
    """A child that waits.

    Raises:
        OSError: there are too many processes or descriptors.
    """
    ours: list[int] = []
    try:
        for _ in range(3):
            ours += os.pipe()
        pid = os.fork()
    except OSError:
        for descriptor in ours:
            os.close(descriptor)
        raise
    output, their_output, their_word, word, trouble, their_trouble = ours
    if pid == 0:
        _become(argv, env, cwd, their_output, their_word, their_trouble)
    for descriptor in (their_output, their_word, their_trouble):
        os.close(descriptor)
    os.set_blocking(output, False)
    os.set_blocking(trouble, False)
    return Child(pid, output, word, trouble)


def _become(
    argv: Sequence[str], env: Mapping[str, str], cwd: str, output: int, word: int, trouble: int
) -> None:
    """In the child: wait, then be the command. Never returns."""
    try:
        os.setsid()
        for number in _AS_AT_FIRST:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for mine, standard in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(mine, standard)
        _close_others((word, trouble))
        if os.read(word, 1) != b"!":
            os._exit(0)
        os.close(word)
        os.chdir(cwd)
        os.execvpe(argv[0], list(argv), env)
    except OSError as error:
        os.write(trouble, f"{error.filename or argv[0]}: {error.strerror}".encode(errors="replace"))
    finally:
        os._exit(NOT_STARTED)


def _close_others(kept: tuple[int, ...]) -> None:
    """Above all the pipes at which other children wait."""
    start = 3
    for descriptor in sorted(kept):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, _HIGHEST)


def ended(pid: int) -> bool:
    """Whether the child has ended; it stays to be asked for its status, so that its number is not used again."""
    if hasattr(os, "waitid"):  # not on macOS before Python 3.13
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return is_zombie(pid)


def status_of(pid: int) -> int:
    """The exit status of a child that has ended, negative for a signal. Its number may now be used again."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)

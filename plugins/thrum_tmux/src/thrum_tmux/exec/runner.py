"""Runs one command in a pane; started there by its shell as ``python -IS runner.py JOB``. Standard library only.

The command is the terminal's foreground group, so that Ctrl-C is its own. When its time is up it is interrupted, then
ended, then killed, also when nobody waits for it any more; in the pool everything it left in the background goes, too.
The terminal is put back as it was. What the command wrote lies between two marks that no screen shows::

    ESC ] 7717 ; begin ; <nonce> ; <our pid> BEL
    ESC ] 7717 ; end ; <nonce> ; <exit status> ; done | timeout | stopped BEL

Source: spec/features.md §1.10.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import termios
import time
from typing import Any

_SWEEP_S = 0.5
"""What is left in the background has to end when it is hung up."""
_RESET = tuple(
    getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGINT", "SIGQUIT", "SIGTSTP", "SIGTTOU")
)


class Job:
    """One command.

    Args:
        values: ``nonce``, ``command`` and ``shell`` (words), ``cwd`` and ``env`` (null: the shell's), ``timeout_s``
            (0: none), ``grace_s`` between being interrupted, ended and killed,
            ``busy`` (a file that is locked while it runs), ``sweep``.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self._child = 0
        self._how = "done"
        self._signals = iter((signal.SIGINT, signal.SIGTERM, signal.SIGKILL))

    def run(self) -> None:
        """Run it to its end."""
        busy = os.open(self._values["busy"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(busy, fcntl.LOCK_EX)
        terminal = termios.tcgetattr(0)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTTOU, signal.SIGTTIN):
            signal.signal(number, signal.SIG_IGN)
        self._mark("begin", os.getpid())
        status = self._status()
        with contextlib.suppress(OSError):
            os.tcsetpgrp(0, os.getpgrp())
        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, terminal)
        self._mark("end", status, self._how)

    def _status(self) -> int:
        self._child = os.fork()
        if self._child == 0:
            self._become()
        with contextlib.suppress(OSError):
            os.setpgid(self._child, self._child)
        signal.signal(signal.SIGALRM, lambda number, frame: self._stop("timeout"))
        signal.signal(signal.SIGTERM, lambda number, frame: self._stop("stopped"))
        if self._values["timeout_s"]:
            signal.setitimer(signal.ITIMER_REAL, self._values["timeout_s"])
        _, ended = os.waitpid(self._child, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (signal.SIGALRM, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if self._values["sweep"]:
            self._sweep()
        code = os.waitstatus_to_exitcode(ended)
        return code if code >= 0 else 128 - code

    def _become(self) -> None:
        """The child: the command, in the foreground."""
        try:
            os.setpgid(0, 0)
            os.tcsetpgrp(0, os.getpid())
            for number in _RESET:
                signal.signal(number, signal.SIG_DFL)
            if self._values["cwd"]:
                os.chdir(self._values["cwd"])
            words, env = [*self._values["shell"], self._values["command"]], self._values["env"]
            os.execvpe(words[0], words, os.environ if env is None else env)
        except OSError as error:
            os.write(2, f"{error.strerror}: {error.filename}\n".encode(errors="replace"))
        finally:
            os._exit(127)

    def _stop(self, how: str) -> None:
        """Ask the command to end, each time more firmly."""
        self._how = how if self._how == "done" else self._how
        self._signal(next(self._signals, signal.SIGKILL))
        self._signal(signal.SIGCONT)
        signal.setitimer(signal.ITIMER_REAL, self._values["grace_s"])

    def _sweep(self) -> None:
        """End what the command left in the background."""
        until = time.monotonic() + _SWEEP_S
        is_left = self._signal(signal.SIGHUP)
        self._signal(signal.SIGCONT)
        while is_left and time.monotonic() < until:
            time.sleep(0.01)
            is_left = self._signal(0)
        if is_left:
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> bool:
        """Signal the command's group; False when nobody is left in it."""
        try:
            os.killpg(self._child, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _mark(self, *parts: object) -> None:
        kind, *rest = parts
        data = f"\x1b]7717;{';'.join(map(str, (kind, self._values['nonce'], *rest)))}\x07".encode()
        while data:
            data = data[os.write(1, data) :]


def main(path: str) -> None:
    """Run the job in the file at *path*, which is of no use to anybody else and may hold secrets."""
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs more than the rest
        values = json.load(file)
    os.unlink(path)  # noqa: PTH108
    try:
        Job(values).run()
    finally:  # the caller does so, too, unless it was killed
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(os.path.dirname(path), "pane"))  # noqa: PTH108, PTH118, PTH120
            os.rmdir(os.path.dirname(path))  # noqa: PTH106, PTH120


if __name__ == "__main__":
    main(sys.argv[1])

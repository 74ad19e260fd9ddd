"""A command on a terminal of its own: typed at, read from, waited for."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0


class OnTerminal:
    """``python -m thrum_kernel`` with a terminal as standard input, output and error."""

    def __init__(self, *words: str, cwd: Path, env: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self.shown = ""
        self._seen = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "thrum_kernel", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env={**env, "PYTHONPATH": f"{env.get('PYTHONPATH', '')}:{ROOT}".lstrip(":")},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        os.close(self._ours)

    def until(self, text: str) -> None:
        """Read until *text* was shown after what was waited for before."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.shown[self._seen :]:
            assert time.monotonic() < deadline, f"{text!r} is not shown: {self.shown!r}"
            assert self._read(), f"it ended without {text!r}: {self.shown!r}"
        self._seen = self.shown.index(text, self._seen) + len(text)

    def type(self, text: str) -> None:
        """Type *text*."""
        os.write(self._ours, text.encode())

    def signal(self, number: signal.Signals) -> None:
        """Send the command a signal, as a system does that shuts down."""
        self._process.send_signal(number)

    def end(self) -> int:
        """Read to the end; the exit status."""
        while self._read():
            pass
        return self._process.wait(PATIENCE_S)

    def _read(self) -> bool:
        readable, _, _ = select.select([self._ours], [], [], PATIENCE_S)
        assert readable, f"nothing more is shown: {self.shown!r}"
        data = b""
        with contextlib.suppress(OSError):  # Linux: the other end was closed
            data = os.read(self._ours, 4096)
        self.shown += data.decode()
        return bool(data)

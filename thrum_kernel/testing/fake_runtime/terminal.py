"""The terminal, the control socket and the loop that serves both."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import termios
import tty
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from thrum_kernel.testing.fake_runtime.agent import Agent
from thrum_kernel.testing.fake_runtime.control import Control
from thrum_kernel.testing.fake_runtime.face import Drawn, draw
from thrum_kernel.testing.fake_runtime.keys import Decoder
from thrum_kernel.testing.fake_runtime.options import Options

_SPIN_S = 0.125
_ENTER_SCREEN = b"\x1b[?1049h\x1b[2J\x1b[?2004h"
_LEAVE_SCREEN = b"\x1b[?2004l\x1b[?1049l\x1b[?25h"


class Terminal:
    """The program on a terminal: reads it, draws on it, and takes orders by its socket.

    Raises:
        OSError: standard input is no terminal, or the socket cannot be made.
    """

    def __init__(self, options: Options, *, cwd: Path, env: Mapping[str, str]) -> None:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._selector = selectors.DefaultSelector()
        self._soon: deque[Callable[[], None]] = deque()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)
        self._decoder = Decoder()
        self._control_path = options.control
        self._has_title = options.truth
        self._agent = Agent(options, cwd=cwd, env=env, later=self._later)
        self._control = Control(self._agent, self._draw)
        self._drawn: tuple[os.terminal_size, Drawn] | None = None

    def run(self) -> int:
        """Serve until it is told to end or the terminal goes away; gives the status to exit with."""
        with self._raw(), self._listening():
            signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
            signal.signal(signal.SIGWINCH, lambda number, frame: None)
            self._selector.register(self._in, selectors.EVENT_READ, self._typed)
            self._selector.register(self._woken, selectors.EVENT_READ, self._was_woken)
            self._agent.begin()
            self._draw()
            while self._agent.ended is None:
                for key, _ in self._selector.select(_SPIN_S if self._agent.is_working else None):
                    key.data()
                self._draw()
            return self._agent.ended

    # --- in and out --------------------------------------------------------------------------------------------------

    def _typed(self) -> None:
        try:
            data = os.read(self._in, 65536)
        except OSError:
            data = b""
        if not data:
            self._agent.ended = 1
            return
        self._agent.take(self._decoder.feed(data))

    def _draw(self) -> int:
        """Draw the screen; the number of the frame."""
        size = os.get_terminal_size(self._out)
        scene = self._agent.scene()
        drawn = draw(scene, size.columns, size.lines)
        if (size, drawn) == self._drawn:
            return scene.frame
        self._drawn = (size, drawn)
        rows = "".join(f"\x1b[{number};1H{row}\x1b[K" for number, row in enumerate(drawn.rows, start=1))
        cursor = "" if drawn.cursor is None else f"\x1b[{drawn.cursor[1] + 1};{drawn.cursor[0] + 1}H\x1b[?25h"
        title = f"\x1b]2;{scene.truth}\x07" if self._has_title else ""
        data = f"\x1b[?25l{rows}{cursor}{title}".encode()
        while data:
            data = data[os.write(self._out, data) :]
        return scene.frame

    def _later(self, function: Callable[[], None]) -> None:
        self._soon.append(function)
        with contextlib.suppress(OSError):  # full: it will be looked at anyway
            os.write(self._wake, b"\0")

    def _was_woken(self) -> None:
        with contextlib.suppress(OSError):
            os.read(self._woken, 65536)
        while self._soon:
            self._soon.popleft()()

    @contextlib.contextmanager
    def _raw(self) -> Iterator[None]:
        before = termios.tcgetattr(self._in)
        tty.setraw(self._in, termios.TCSANOW)
        os.write(self._out, _ENTER_SCREEN)
        try:
            yield
        finally:
            with contextlib.suppress(OSError, termios.error):  # the terminal may be gone
                os.write(self._out, _LEAVE_SCREEN)
                termios.tcsetattr(self._in, termios.TCSANOW, before)

    # --- orders ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        if self._control_path is None:
            yield
            return
        listener = socket.socket(socket.AF_UNIX)
        self._control_path.unlink(missing_ok=True)
        listener.bind(str(self._control_path))
        listener.listen()
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        try:
            yield
        finally:
            listener.close()  # its path stays: the next run may have made it anew already

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        waiting = bytearray()

        def order() -> None:
            try:
                data = connection.recv(65536)
            except OSError:
                data = b""
            if not data:
                self._selector.unregister(connection)
                connection.close()
                return
            waiting.extend(data)
            while (end := waiting.find(b"\n")) >= 0:
                line = bytes(waiting[:end])
                del waiting[: end + 1]
                with contextlib.suppress(OSError):  # the test went away
                    connection.sendall(self._control.answer(line))

        self._selector.register(connection, selectors.EVENT_READ, order)

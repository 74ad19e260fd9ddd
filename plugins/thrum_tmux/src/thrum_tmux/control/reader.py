"""One thread that reads from every control client, so that no amount of output keeps the daemon's loop busy."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

CHUNK: Final = 65536


class Reader:
    """Reads from descriptors until they end; its thread lives from the first one to `close`.

    Callbacks run in that thread: ``(data)``, and ``(b"")`` once at the end, after which the descriptor may be closed.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._new: deque[tuple[int, Callable[[bytes], None]]] = deque()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, None)

    def add(self, descriptor: int, heard: Callable[[bytes], None]) -> None:
        """Read from *descriptor* from now on."""
        self._new.append((descriptor, heard))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="thrum-tmux-reader", daemon=True)
            self._thread.start()
        self._wake.send(b"x")

    def close(self) -> None:
        """Stop reading, wait for the thread, give back what it holds."""
        self._closing = True
        self._wake.send(b"x")
        if self._thread is not None:
            self._thread.join()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._take_new()
                else:
                    self._read(key.fd, key.data)

    def _take_new(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(CHUNK)
        while self._new:
            descriptor, heard = self._new.popleft()
            self._selector.register(descriptor, selectors.EVENT_READ, heard)

    def _read(self, descriptor: int, heard: Callable[[bytes], None]) -> None:
        try:
            data = os.read(descriptor, CHUNK)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(descriptor)
        heard(data)

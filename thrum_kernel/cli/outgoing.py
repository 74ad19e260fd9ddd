"""What a command's connection sends: gathered while the command runs, sent in as few packets as can be.

A command's thread writes without waiting, up to a bound; beyond it the thread waits until the client has taken some.
Short output leaves together with the exit status.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Final

from thrum_kernel.cli import client
from thrum_kernel.cli.output import STDOUT
from thrum_kernel.cli.protocol import chunks

_GATHER_BYTES: Final = 128 << 10
_HOLD_BYTES: Final = 8 << 20


class ClientGone(BaseException):
    """Nobody takes this output any more: the command's thread ends."""


class Outgoing:
    """The sending half of one connection; `write` may be called from any thread, the rest on the loop."""

    def __init__(self, wire: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._wire = wire
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._lock = threading.Lock()
        self._held: list[bytes] = []
        self._begin = b""
        self._is_seen = False
        self._held_bytes = 0
        self._room = threading.Event()
        self._room.set()
        self._is_paused = False
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None

    def begin_with(self, data: bytes, *, after_s: float) -> None:
        """Put *data* first; it waits at most *after_s* for what follows."""
        self._begin = data
        self._held.append(data)
        self._timer = self._loop.call_later(after_s, self.send)

    def write(self, descriptor: int, data: bytes) -> None:
        """Take output of the command; a `Sink`.

        Raises:
            ClientGone: the client went away.
        """
        if not self._room.is_set() and threading.get_ident() != self._loop_thread:
            self._room.wait()  # on the loop itself, where brief commands run, nobody would make room meanwhile
        if self._is_closed:
            raise ClientGone
        framed = chunks(client.OUT if descriptor == STDOUT else client.ERR, data)
        with self._lock:
            self._held.append(framed)
            self._held_bytes += len(framed)
            is_much = self._held_bytes > _GATHER_BYTES
            if self._held_bytes > _HOLD_BYTES:
                self._room.clear()
        if is_much:
            self._loop.call_soon_threadsafe(self.send)

    def write_now(self, data: bytes) -> None:
        """Send *data* after what is held."""
        self._held.append(data)
        self.send()

    def end_with(self, data: bytes) -> None:
        """Send everything and *data* last."""
        self.write_now(data)

    def end_instead(self, data: bytes) -> bool:
        """Send *data* in place of everything; False, and nothing is done, when the client has seen some of it."""
        if self._is_seen:
            return False
        with self._lock:
            self._held, self._held_bytes = [], 0
        self.write_now(data)
        return True

    def send(self) -> None:
        """Hand what is held to the transport, unless the client is slow."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_paused or self._is_closed:
            return
        with self._lock:
            held, self._held, self._held_bytes = self._held, [], 0
        if held:
            self._is_seen = self._is_seen or held != [self._begin]
            self._wire.write(b"".join(held))
        if not self._is_paused:
            self._room.set()

    def pause(self) -> None:
        """The client takes less than we send."""
        self._is_paused = True

    def resume(self) -> None:
        """It has caught up."""
        self._is_paused = False
        self.send()

    def close(self) -> None:
        """The client is gone."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._room.set()

"""Effects that mean *shown*: run once the client has taken the answer, dropped when it never did.

A read mark may not be set for bytes that lie unread in a socket. On Linux the kernel tells how much of what we sent
the peer has not read (``SIOCOUTQ``); it is asked when the client next sends or ends its side, and meanwhile by a
timer that backs off. A peer that closed with bytes unread resets the connection, so an end in order after the last
byte left us is proof, too. Elsewhere an answer counts as taken when the client speaks again or ends its side in order, or
one second after the last byte left us.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import select
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any, Final

_CHECKS_S: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0)
_SETTLED_CHECK: Final = 6

_log = logging.getLogger(__name__)


class Shown:
    """The effects of one connection's answers."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._waiting: list[Callable[[], None]] = []  # of the request being served
        self._sent: list[Callable[[], None]] = []  # of answers on their way
        self._timer: asyncio.TimerHandle | None = None
        self._checks = 0
        self.is_due = False
        """Whether there is any effect to run yet."""

    def add(self, effect: Callable[[], None]) -> None:
        """Note an effect of the request being served."""
        self.is_due = True
        self._waiting.append(effect)

    def sent(self) -> None:
        """The answer to that request was written."""
        if not self._waiting:
            return
        self._sent += self._waiting
        self._waiting.clear()
        self._checks = 0
        self._arm()

    def heard(self) -> None:
        """The client sent something."""
        if self._sent and (self._is_taken() or (_unread_of is None and not self._buffered())):
            self._run()

    def ended(self) -> None:
        """The client ended its side, and no reset came before: it had read all unless bytes still lie there."""
        if self._sent and not self._buffered() and self._unread() in (0, None):
            self._run()

    def drop(self) -> None:
        """The client is gone; what it took before was noticed by `heard`."""
        self._waiting.clear()
        self._sent.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay_s = _CHECKS_S[min(self._checks, len(_CHECKS_S) - 1)]
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._check)

    def _check(self) -> None:
        self._checks += 1
        settled = _unread_of is None and self._checks > _SETTLED_CHECK and not self._buffered()
        if settled or self._is_taken():
            self._run()
        elif self._sent:
            self._arm()

    def _run(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        effects, self._sent = self._sent, []
        self.is_due = bool(self._waiting)
        for effect in effects:
            try:
                effect()
            except Exception:  # noqa: BLE001 - the answer is out: there is nobody left to tell
                _log.exception("an effect of a shown answer failed")

    def _buffered(self) -> bool:
        return bool(self._transport.get_write_buffer_size())

    def _descriptor(self) -> int:
        return int(self._transport.get_extra_info("socket").fileno())

    def _is_taken(self) -> bool:
        """Whether nothing lies unread at a peer that is still there; a reset empties the queue as reading does."""
        return not self._buffered() and self._unread() == 0 and not is_hung_up(self._descriptor())

    def _unread(self) -> int | None:
        """Bytes that the client has not read; None when the system does not tell."""
        return None if _unread_of is None else _unread_of(self._descriptor())


def is_hung_up(descriptor: int) -> bool:
    """Whether the peer has closed altogether, not only its writing side."""
    if descriptor < 0:
        return True
    poller = select.poll()
    poller.register(descriptor, 0)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poller.poll(0))


def _outq(descriptor: int) -> int | None:
    answer = bytearray(4)
    try:
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, answer)
    except (OSError, ValueError):  # closed meanwhile
        return None
    return int(struct.unpack("i", answer)[0])


_unread_of: Final = _outq if sys.platform == "linux" else None

"""The command's own output among the bytes of its pane. Pure.

The terminal writes ``\\r\\n`` where the command wrote ``\\n``; that is taken back, and nothing else is changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LONGEST_MARK = 96


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        status: its exit status; 128 + n when signal n ended it.
        how: ``done``, ``timeout`` or ``stopped``.
    """

    status: int
    how: str


class Stream:
    """Fed with everything the pane shows, it gives what the command of one job wrote.

    Args:
        nonce: of the job.

    Attributes:
        runner: the process that runs it; 0 until it began.
        ended: how it ended; None until then.
    """

    def __init__(self, nonce: str) -> None:
        self._begin = re.compile(rb"\x1b\]7717;begin;%s;(\d+)\x07" % nonce.encode())
        self._end = re.compile(rb"\x1b\]7717;end;%s;(\d+);(\w+)\x07" % nonce.encode())
        self._held = b""
        self.runner = 0
        self.ended: Ended | None = None

    def feed(self, data: bytes) -> bytes:
        """What of it the command wrote."""
        if self.ended is not None:
            return b""
        self._held += data
        if not self.runner and not self._began():
            return b""
        found = self._end.search(self._held)
        if found is not None:
            self.ended = Ended(int(found[1]), found[2].decode())
            output, self._held = self._held[: found.start()], b""
        else:
            place = self._safe()
            output, self._held = self._held[:place], self._held[place:]
        return output.replace(b"\r\n", b"\n")

    def _began(self) -> bool:
        found = self._begin.search(self._held)
        if found is None:
            self._held = self._held[-_LONGEST_MARK:]
            return False
        self.runner = int(found[1])
        self._held = self._held[found.end() :]
        return True

    def _safe(self) -> int:
        """How much of what is held can be no part of a mark, nor of a line end, that is still to come."""
        escape = self._held.rfind(b"\x1b", max(len(self._held) - _LONGEST_MARK, 0))
        if escape >= 0:
            return escape - (escape > 0 and self._held[escape - 1 : escape] == b"\r")
        return len(self._held) - self._held.endswith(b"\r")

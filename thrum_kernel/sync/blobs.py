"""Reading the blobs of our own repository one after another, with one git process for all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from subprocess import Popen
from typing import Final

from thrum_kernel.errors import GitFailed

_AHEAD: Final = 32
"""Blobs that are asked for before they are needed: their names fit into a pipe that nobody reads from."""


class Blobs:
    """A conversation with ``git cat-file --batch``, begun when the first blob is read."""

    def __init__(self, start: Callable[[], Popen[bytes]]) -> None:
        self._start = start
        self._process: Popen[bytes] | None = None
        self._asked: deque[str] = deque()
        self._expected: deque[str] = deque()

    def expect(self, blobs: Iterable[str]) -> None:
        """These are read next, in this order: git unpacks one while its predecessor is worked on."""
        self._expected.extend(blobs)

    def read(self, blob: str) -> bytes:
        """The bytes of a blob.

        Raises:
            GitFailed: it is not there, or damaged.
        """
        if self._process is None:
            self._process = self._start()
        if blob not in self._expected and blob not in self._asked:
            self._expected.clear()
            self._expected.append(blob)
        while True:
            self._ask_ahead(self._process)
            asked = self._asked.popleft()
            data = self._answer(self._process)
            if asked == blob:  # what was expected before it and not read was asked in vain
                if data is None:
                    raise GitFailed("cat-file", f"{blob} is not to be had")
                return data

    def _ask_ahead(self, process: Popen[bytes]) -> None:
        """Ask for what comes next, so much that git waits for us and never we for it to read our questions."""
        assert process.stdin is not None
        try:
            while self._expected and len(self._asked) < _AHEAD:
                process.stdin.write(self._expected[0].encode() + b"\n")
                self._asked.append(self._expected.popleft())
            process.stdin.flush()
        except OSError as error:
            raise GitFailed("cat-file", str(error)) from error

    @staticmethod
    def _answer(process: Popen[bytes]) -> bytes | None:
        """The next blob that was asked for; None when there is none of that name."""
        stdout = process.stdout
        assert stdout is not None
        try:
            head = stdout.readline().split()
            if head[1:2] == [b"missing"]:
                return None
            if len(head) != 3 or head[1] != b"blob":
                raise GitFailed("cat-file", "something else than a blob was asked for, or it ended early")
            size = int(head[2])
            data = stdout.read(size + 1)[:-1]
        except OSError as error:
            raise GitFailed("cat-file", str(error)) from error
        if len(data) != size:
            raise GitFailed("cat-file", "a blob ended early")
        return data

"""The last output of a monitor, with times: a few chunks as they were read, cut into lines only when somebody looks."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from thrum_monitor.runner.secrets import Secrets

MAX_BYTES: Final = 64 * 1024
MAX_LINE: Final = 2048

Line = tuple[int, str]
"""When it came, microseconds since 1970, and what it says."""


class Ring:
    """Output and notes about it, oldest first, together at most `MAX_BYTES`.

    Attributes:
        secrets: taken out of what is shown and saved.
    """

    def __init__(self, lines: list[Line] | None = None) -> None:
        self.secrets = Secrets()
        self._entries: deque[tuple[int, bytes, bool]] = deque()
        self._size = 0
        for at_us, text in lines or ():
            self._add(at_us, text.encode(), is_note=True)

    def output(self, at_us: int, data: bytes) -> None:
        """Add bytes of output."""
        self._add(at_us, data[-MAX_BYTES:], is_note=False)

    def note(self, at_us: int, text: str) -> None:
        """Add a line that is no output."""
        self._add(at_us, text.encode(), is_note=True)

    def lines(self, limit: int) -> list[Line]:
        """The last *limit* lines, oldest first."""
        return [(at_us, self.secrets.hide(text)) for at_us, text in list(self._lines())[-limit:]]

    def _add(self, at_us: int, data: bytes, *, is_note: bool) -> None:
        self._entries.append((at_us, data, is_note))
        self._size += len(data) + 1
        while self._size > MAX_BYTES and len(self._entries) > 1:
            self._size -= len(self._entries.popleft()[1]) + 1

    def _lines(self) -> Iterator[Line]:
        rest, since = b"", 0
        for at_us, data, is_note in self._entries:
            if is_note:
                if rest:
                    yield since, _text(rest)
                rest = b""
                yield at_us, _text(data)
                continue
            *whole, last = data.split(b"\n")
            for line in whole:
                yield (since if rest else at_us), _text(rest + line)
                rest = b""
            since = since if rest else at_us
            rest += last
        if rest:
            yield since, _text(rest)


def _text(line: bytes) -> str:
    cut = line[:MAX_LINE].removesuffix(b"\r").decode(errors="replace")
    return f"{cut}… ({len(line)} bytes)" if len(line) > MAX_LINE else cut


def save(path: Path, ring: Ring) -> None:
    """Keep it in a file of our own; one that cannot be written costs the output of before, nothing else."""
    with contextlib.suppress(OSError):
        aside = path.with_suffix(".new")
        aside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(ring.lines(MAX_BYTES)))
        aside.replace(path)


def load(path: Path) -> list[Line]:
    """What was kept there; nothing where there is no such file, or a damaged one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Line])
    except (OSError, msgspec.MsgspecError):
        return []

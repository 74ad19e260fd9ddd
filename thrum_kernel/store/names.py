"""Names of published files: what they say is all that merging needs to know of most of them.

- `<writer>.<first>-<last>.<digest>.jsonl`: a window, the events `first` to `last` of one writer.
- `ended.<digest>.jsonl`: windows of several ended writers, listed in the first line.

They lie in `events/<daemon>/<fan>/` and `messages/<daemon>/<agent>/<fan>/`. The fan is one hex digit of a hash of the
first window's writer and start, so that a purge, which changes the digest, leaves a file where it is. Sixteen folders
are what `bench/fan.py 3000` finds cheapest: every publish writes the trees above each new file anew, 2.6 kB of them with
this fan, 4.8 kB without any, 3.5 kB with a fan by writer (roll-up on; 184, 15 and 21 kB without roll-up).

Source: DESIGN.md D1.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from thrum_kernel.store.files import DIGEST_SIZE

_WINDOW_NAME: Final = re.compile(
    rf"([0-9A-Za-z_-]{{1,64}})\.([1-9]\d{{0,17}})-([1-9]\d{{0,17}})\.([0-9a-f]{{{DIGEST_SIZE}}})\.jsonl"
)
_ENDED_NAME: Final = re.compile(rf"ended\.([0-9a-f]{{{DIGEST_SIZE}}})\.jsonl")
_WRITER: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_PLAIN: Final = re.compile(rb"[0-9a-z_-]")
_LONGEST_FOLDER: Final = 120


class Window(NamedTuple):
    """The events *first* to *last* of one writer, both included; cut once, never opened again."""

    writer: str
    first: int
    last: int

    def holds(self, other: Window) -> bool:
        """Whether *other* lies inside it."""
        return self.writer == other.writer and self.first <= other.first and other.last <= self.last


class RangeName(NamedTuple):
    """What a file's name tells: its window (None when the first line lists several) and its digest."""

    window: Window | None
    digest: str


def range_name(windows: tuple[Window, ...], digest: str) -> str:
    """The name of a published file with *windows* and the *digest* of its bytes."""
    if len(windows) == 1:
        writer, first, last = windows[0]
        return f"{writer}.{first}-{last}.{digest}.jsonl"
    return f"ended.{digest}.jsonl"


def parse_name(name: str) -> RangeName | None:
    """What *name* tells; None when it is not the name of a published file."""
    if match := _WINDOW_NAME.fullmatch(name):
        writer, first, last, digest = match.groups()
        window = Window(writer, int(first), int(last))
        return RangeName(window, digest) if window.first <= window.last else None
    if match := _ENDED_NAME.fullmatch(name):
        return RangeName(None, match[1])
    return None


def is_writer(text: str) -> bool:
    """Whether *text* can be the id of a writer, as names of files need it."""
    return _WRITER.fullmatch(text) is not None and text != "ended"


def fan_of(windows: tuple[Window, ...]) -> str:
    """The folder, one hex digit, that a file with these windows lies in."""
    first = windows[0]
    return hashlib.sha256(f"{first.writer}.{first.first}".encode()).hexdigest()[0]


def daemon_folder(daemon: str) -> str:
    """The folder of a daemon: its id, which is safe as it is; anything else as `folder_name`."""
    return daemon if _WRITER.fullmatch(daemon) else folder_name(daemon)


def folder_name(agent: str) -> str:
    """*agent* as the name of a folder, safe on every file system and different for different names.

    Lower-case letters, digits, ``_`` and ``-`` stand for themselves, every other byte as ``%xx``; a name that would be
    too long is cut and ends in ``%~`` and a hash.
    """
    safe = "".join(
        chr(byte) if _PLAIN.fullmatch(bytes([byte])) else f"%{byte:02x}"
        for byte in agent.encode(errors="surrogatepass")
    )
    if len(safe) <= _LONGEST_FOLDER:
        return safe
    whole = hashlib.sha256(agent.encode(errors="surrogatepass")).hexdigest()[:32]
    return f"{safe[: _LONGEST_FOLDER - 34]}%~{whole}"

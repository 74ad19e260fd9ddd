"""Names of published files: what they say is all that merging needs to know of most of them.

- `<writer>.<first>-<last>.<digest>.jsonl`: a window, the events `first` to `last` of one writer.
- `<writer>.<first>-<last>.<agent>.<digest>.jsonl`: the messages of one agent among them.
- `ended.<digest>.jsonl`, `ended.<agent>.<digest>.jsonl`: windows of several ended writers, listed in the first line.

They lie in `events/<daemon>/<fan>/` and `messages/<daemon>/<fan>/<fan>/`. A fan is one hex digit of a hash of the first
window's writer and start, so that a purge, which changes the digest, leaves a file where it is. All message files of a
publish lie in one folder, whoever wrote them: git writes the trees above each new file anew, and a folder an agent made
them half of what a branch grows by. What depth of fan is cheapest, `bench/fan.py` tells.

Source: DESIGN.md D1.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final, NamedTuple

from thrum_kernel.store.files import DIGEST_SIZE

_LONGEST_AGENT: Final = 100
_AGENT: Final = rf"([0-9a-z_%~-]{{1,{_LONGEST_AGENT}}})"
_DIGEST: Final = rf"([0-9a-f]{{{DIGEST_SIZE}}})"
_WINDOW_NAME: Final = re.compile(
    rf"([0-9A-Za-z_-]{{1,64}})\.([1-9]\d{{0,17}})-([1-9]\d{{0,17}})(?:\.{_AGENT})?\.{_DIGEST}\.jsonl"
)
_ENDED_NAME: Final = re.compile(rf"ended(?:\.{_AGENT})?\.{_DIGEST}\.jsonl")
_WRITER: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_PLAIN: Final = re.compile(rb"[0-9a-z_-]")


class Window(NamedTuple):
    """The events *first* to *last* of one writer, both included; cut once, never opened again."""

    writer: str
    first: int
    last: int

    def holds(self, other: Window) -> bool:
        """Whether *other* lies inside it."""
        return self.writer == other.writer and self.first <= other.first and other.last <= self.last


class RangeName(NamedTuple):
    """What a file's name tells.

    Attributes:
        window: None when the first line lists several.
        digest: of its bytes.
        agent: whose messages it holds, as `folder_name` writes it; empty for an events file.
    """

    window: Window | None
    digest: str
    agent: str = ""


def range_name(windows: tuple[Window, ...], digest: str, *, agent: str = "") -> str:
    """The name of a published file with *windows* and the *digest* of its bytes, all of it by *agent* unless empty."""
    what = "ended"
    if len(windows) == 1:
        writer, first, last = windows[0]
        what = f"{writer}.{first}-{last}"
    return ".".join((what, *([folder_name(agent)] if agent else []), digest, "jsonl"))


def parse_name(name: str) -> RangeName | None:
    """What *name* tells; None when it is not the name of a published file."""
    if match := _WINDOW_NAME.fullmatch(name):
        writer, first, last, agent, digest = match.groups()
        window = Window(writer, int(first), int(last))
        return RangeName(window, digest, agent or "") if window.first <= window.last else None
    if match := _ENDED_NAME.fullmatch(name):
        return RangeName(None, match[2], match[1] or "")
    return None


def is_writer(text: str) -> bool:
    """Whether *text* can be the id of a writer, as names of files need it."""
    return _WRITER.fullmatch(text) is not None and text != "ended"


def fan_of(windows: tuple[Window, ...], *, depth: int = 1) -> Path:
    """The folder that a file with these windows lies in: one hex digit, and as many of them inside each other as *depth*."""
    first = windows[0]
    return Path(*hashlib.sha256(f"{first.writer}.{first.first}".encode()).hexdigest()[:depth])


def daemon_folder(daemon: str) -> str:
    """The folder of a daemon: its id, which is safe as it is; anything else as `folder_name`."""
    return daemon if _WRITER.fullmatch(daemon) else folder_name(daemon)


def folder_name(agent: str) -> str:
    """*agent* as the name of a folder or a part of one of a file, safe everywhere and different for different names.

    Lower-case letters, digits, ``_`` and ``-`` stand for themselves, every other byte as ``%xx``; a name that would be
    too long is cut and ends in ``%~`` and a hash.
    """
    safe = "".join(
        chr(byte) if _PLAIN.fullmatch(bytes([byte])) else f"%{byte:02x}"
        for byte in agent.encode(errors="surrogatepass")
    )
    if len(safe) <= _LONGEST_AGENT:
        return safe
    whole = hashlib.sha256(agent.encode(errors="surrogatepass")).hexdigest()[:32]
    return f"{safe[: _LONGEST_AGENT - 34]}%~{whole}"

"""What readers of line-wise JSON share: robust reading, and whose home and environment a process has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil

LONGEST_LINE = 32 << 20
"""Bytes; a longer line (pictures) is passed over."""
_PIECE = 64 << 10


def objects(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, a line each; lines that hold none are passed over, also a torn last one.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as lines:
        while line := lines.readline(LONGEST_LINE):
            if not line.endswith(b"\n") and len(line) == LONGEST_LINE:
                _skip_rest(lines)
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield value


def _skip_rest(lines: Any) -> None:
    while (piece := lines.readline(LONGEST_LINE)) and not piece.endswith(b"\n"):
        pass


def newest_objects(path: Path, *, octets: int = 4 << 20) -> Iterator[dict[str, Any]]:
    """The JSON objects at the end of a file, newest first; no more than its last *octets* bytes are read.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        place = file.seek(0, 2)
        first, rest = max(place - octets, 0), b""
        while place > first:
            begins = max(place - _PIECE, first)
            file.seek(begins)
            pieces = (file.read(place - begins) + rest).split(b"\n")
            place, rest = begins, pieces[0]
            yield from _objects_in(reversed(pieces[1:]))
        if first == 0:
            yield from _objects_in((rest,))


def _objects_in(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for piece in pieces:
        try:
            value = json.loads(piece)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def environment(pid: int) -> dict[str, str]:
    """Environment that a process was started with; empty when it is gone or not ours to see."""
    if pid <= 0:
        return {}
    try:
        return dict(psutil.Process(pid).environ())
    except (psutil.Error, OSError):
        return {}


def home(env: dict[str, str]) -> Path:
    """The home folder of a process with this environment, else our own."""
    return Path(env["HOME"]) if env.get("HOME") else Path.home()


def newest_first(paths: list[Path]) -> list[Path]:
    """*paths* by the time they last changed; those that vanish meanwhile are left out."""
    dated = []
    for path in paths:
        try:
            dated.append((path.stat().st_mtime_ns, str(path), path))
        except OSError:
            continue
    return [path for _, _, path in sorted(dated, reverse=True)]


def texts(content: Any, *kinds: str) -> str:
    """The text of a message's content: a string, or blocks of which those of *kinds* count."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    found = (
        block.get("text")
        for block in content
        if isinstance(block, dict) and block.get("type") in kinds and isinstance(block.get("text"), str)
    )
    return "\n".join(text for text in found if text)

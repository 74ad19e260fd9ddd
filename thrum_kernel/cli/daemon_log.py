"""The daemon's log as ``daemon logs`` reads it: the last lines, those since a time, and what is added later.

A line that starts with a timestamp begins an entry; the lines below it (a traceback) belong to it.
"""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from thrum_kernel.clock import format_us, parse_us

POLL_S = 0.25


def read(log: Path, *, since_us: int | None = None, last: int = 0) -> list[str]:
    """Lines of the log, oldest first, those of rotated files included where they are needed.

    Args:
        log: the current file; its rotated ones lie beside it.
        since_us: leave out entries before this time.
        last: at most so many lines, the newest; 0 is all.
    """
    found: list[str] = []
    for path in (log, *_rotated(log)):
        lines = _lines(path)
        kept = lines if since_us is None else _since(lines, since_us)
        found = kept + found
        if (last and len(found) >= last) or len(kept) < len(lines):
            break
    return found[-last:] if last else found


def follow(
    log: Path, *, is_wanted: Callable[[], bool] = lambda: True, poll_s: float = POLL_S
) -> Iterator[list[str]]:
    """Whatever is added from now on, in batches of whole lines (an empty one after each look); survives rotation."""
    position, inode = _end(log)
    rest = b""
    while is_wanted():
        data, position, inode = _added(log, position, inode)
        *whole, rest = (rest + data).split(b"\n")
        yield [line.decode(errors="replace") for line in whole]
        time.sleep(poll_s)


def _rotated(log: Path) -> list[Path]:
    return sorted(log.parent.glob(f"{log.stem}-*.log.gz"), reverse=True)


def _lines(path: Path) -> list[str]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (FileNotFoundError, gzip.BadGzipFile, EOFError):
        return []
    return data.decode(errors="replace").splitlines()


def _since(lines: list[str], since_us: int) -> list[str]:
    bound = format_us(since_us)
    for index, line in enumerate(lines):
        stamp = line.split(" ", 1)[0]
        if stamp >= bound and _is_stamp(stamp):
            return lines[index:]
    return []


def _is_stamp(text: str) -> bool:
    try:
        parse_us(text)
    except ValueError:
        return False
    return True


def _end(log: Path) -> tuple[int, int]:
    try:
        found = log.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_ino


def _added(log: Path, position: int, inode: int) -> tuple[bytes, int, int]:
    """New bytes, and where reading goes on; from the start in a file that is new or was cut."""
    try:
        with log.open("rb") as stream:
            found = os.fstat(stream.fileno())
            if found.st_ino != inode or found.st_size < position:
                position = 0
            stream.seek(position)
            data = stream.read()
            return data, position + len(data), found.st_ino
    except FileNotFoundError:
        return b"", 0, 0

"""The daemon's log: `.thrum/var/daemon.log`, rotated at 10 MB, four older ones kept gzipped, for 28 days at most.

A line is `<timestamp> <LEVEL> <logger>: <message>`, with the timestamp in UTC to the microsecond.
"""

from __future__ import annotations

import gzip
import logging
import logging.handlers
import shutil
import time
from io import TextIOWrapper
from pathlib import Path

from thrum_kernel.clock import format_us

MAX_BYTES = 10 * 1024 * 1024
BACKUPS = 4
MAX_AGE_S = 28 * 24 * 3600

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        head = f"{format_us(int(record.created * 1_000_000))} {record.levelname:<7} {record.name}: "
        text = head + record.getMessage().replace("\n", "\n  ")
        if record.exc_info:
            text += "\n  " + self.formatException(record.exc_info).replace("\n", "\n  ")
        return text


LINES = _Lines()
"""Writes a record as the lines of one entry."""


class RotatingLog(logging.handlers.BaseRotatingHandler):
    """Appends to *path*; at `MAX_BYTES` it becomes `daemon-<time>.log.gz` beside it."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(str(path), "a", encoding="utf-8", errors="backslashreplace")
        path.chmod(0o600)
        self._path = path
        self._max_bytes = max_bytes
        self._remove_old()

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        return self._opened().tell() + len(self.format(record)) >= self._max_bytes

    def doRollover(self) -> None:
        self._opened().close()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f"-{time.time_ns() % 1_000_000_000:09d}"
        rotated = self._path.with_name(f"{self._path.stem}-{stamp}.log.gz")
        with self._path.open("rb") as old, gzip.open(rotated, "wb") as packed:
            shutil.copyfileobj(old, packed)
        rotated.chmod(0o600)
        self._path.unlink()
        self.stream = self._open()
        self._path.chmod(0o600)
        self._remove_old()

    def _opened(self) -> TextIOWrapper:
        if self.stream is None:
            self.stream = self._open()
        return self.stream

    def _remove_old(self) -> None:
        rotated = sorted(self._path.parent.glob(f"{self._path.stem}-*.log.gz"), reverse=True)
        oldest = time.time() - MAX_AGE_S
        for index, path in enumerate(rotated):
            if index >= BACKUPS or path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)


def set_up(path: Path, level: str) -> None:
    """Send everything that is logged in this process to the daemon's log."""
    handler = RotatingLog(path)
    handler.setFormatter(LINES)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    set_level(level)
    logging.captureWarnings(True)


def set_level(level: str) -> None:
    """Log from *level* (``debug``, ``info``, ``warn``, ``error``) up; an unknown word means ``info``."""
    logging.getLogger().setLevel(_LEVELS.get(level, logging.INFO))

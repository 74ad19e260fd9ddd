"""Folds a write-ahead log back into its database beside the thread that writes.

A thread lives only while there is something to fold, so nobody writes when nothing happens.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

CHECKPOINT_BYTES = 4 * 1024 * 1024
"""The log is folded back once it is longer than this."""


class Folding(Protocol):
    """Work that goes on beside the caller, as a thread does."""

    def is_alive(self) -> bool: ...
    def join(self) -> None: ...


Beside: TypeAlias = Callable[[Callable[[], None]], Folding]
"""Starts work beside the caller."""


def in_thread(work: Callable[[], None]) -> Folding:
    """Do *work* in a thread of its own."""
    thread = threading.Thread(target=work, name="thrum-checkpoint", daemon=True)
    thread.start()
    return thread


class Checkpointer:
    """Watches the write-ahead log of one database. `note`, `scrub` and `close` are for the thread that writes."""

    def __init__(self, path: Path, beside: Beside = in_thread) -> None:
        self._path = path
        self._beside = beside
        self._wal = path.with_name(path.name + "-wal")
        self._thread: Folding | None = None
        self._tried_at = 0
        self._is_soiled = False

    def note(self) -> None:
        """Something was committed: fold back if the log has grown long since the last try."""
        try:
            size = self._wal.stat().st_size
        except OSError:
            return
        if size < self._tried_at:
            self._tried_at = 0
        if size >= self._tried_at + CHECKPOINT_BYTES or self._is_soiled:
            self._start(size)

    def scrub(self) -> None:
        """Text was removed: fold back now and cut the log off, for old frames of it hold that text."""
        self._is_soiled = True
        self.note()

    def try_clean(self) -> Folding | None:
        """Work under way that cuts off what `scrub` told of, to wait for and then to ask again; None once that is done."""
        before = self._thread
        if before is not None and before.is_alive():
            return before
        if self._is_soiled:
            self.note()
        return self._thread if self._thread is not before else None

    def close(self) -> None:
        """Wait until what is under way is done."""
        if self._thread is not None:
            self._thread.join()

    def _start(self, size: int) -> None:
        if self._thread is not None and self._thread.is_alive():
            return  # a later commit looks again
        self._tried_at = size
        self._thread = self._beside(self._fold)

    def _fold(self) -> None:
        """Copy and sync what no reader needs any more; the next commit then starts the log over.

        Under steady writing something is always added meanwhile: then, once the log is several times too long, the
        little that is left is copied while commits wait.
        """
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=0.5)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            if self._is_soiled:
                self._is_soiled = False
                busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                self._is_soiled = self._is_soiled or bool(busy)
            elif self._tried_at >= 4 * CHECKPOINT_BYTES:
                connection.execute("PRAGMA wal_checkpoint(RESTART)")
        except sqlite3.OperationalError:
            return  # busy: a later commit tries again
        finally:
            connection.close()

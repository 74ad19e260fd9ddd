"""Machine truth: ``T/local.db``, which is never deleted and never rebuilt.

The loop reads on a connection of its own; everything is written by one thread, in transactions that are synced to
disk before their caller goes on. Writes that wait at the same time share a transaction and its sync; one that fails
is undone alone.

Source: DESIGN.md D3.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlite_utils

from thrum_kernel.api import Migration
from thrum_kernel.errors import (
    FileDamaged,
    FormatTooNew,
    LocalTablesDiffer,
    ShuttingDown,
    StoreFull,
    ThrumError,
    disk_full,
)
from thrum_kernel.projection import drift, schema

_log = logging.getLogger(__name__)

T = TypeVar("T")

FORMAT = 1
"""What a reader must know to use this file at all; raised only when an old program would do harm."""

_BATCH = 64


@dataclass(slots=True)
class Job:
    """A write, and who is told its result or its error."""

    write: Callable[[sqlite3.Connection], Any]
    done: Callable[[Any, BaseException | None], None]


Work = Callable[[list[Job]], None]
"""Carries jobs out, all in one transaction."""


class Jobs(Protocol):
    """Has jobs carried out one after another, in the order given; see `JobThread`."""

    def put(self, job: Job) -> None:
        """Take a job; what waits at the same time may share a transaction."""
        ...

    def close(self) -> None:
        """Finish what was given."""
        ...


class JobThread:
    """One thread that does the work, so that the loop never waits for a disk."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="thrum-local-db", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        self._waiting.put(job)

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._waiting.get()) is not None:
            jobs, is_last = self._gather(job)
            self._work(jobs)
            if is_last:
                return

    def _gather(self, first: Job) -> tuple[list[Job], bool]:
        """*first* and what waits behind it; whether the end was among that."""
        jobs = [first]
        while len(jobs) < _BATCH:
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False


class LocalDb:
    """The tables that only this machine has. `read` is for the loop's thread.

    Attributes:
        path: the database file.
    """

    def __init__(self, path: Path, *, version: str, jobs: Callable[[Work], Jobs] = JobThread) -> None:
        """Open *path*, or make it.

        Args:
            version: of this program; recorded with every migration it makes.
            jobs: what has the writes carried out.

        Raises:
            FormatTooNew: a later version of the program changed the file in a way that this one does not know.
            FileDamaged: it is not a database of ours.
        """
        self.path = path
        self._version = version
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        if not path.exists():
            path.touch(mode=0o600)
        self._writer = _connect(path)
        try:
            self._prepare()
            self._reader = _connect(path)
        except BaseException:
            self._writer.close()
            raise
        self._reader.execute("PRAGMA query_only = ON")
        self._closed = False
        self._jobs = jobs(self._commit)

    @property
    def tables(self) -> sqlite_utils.Database:
        """The loop's read-only connection as sqlite-utils shows it, for looking at rows and schema."""
        return sqlite_utils.Database(self._reader, execute_plugins=False)

    def read(self, sql: str, params: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._reader.execute(sql, params).fetchall()

    async def write(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run *fn* in the writer's thread; what it changed is on disk when this returns.

        Raises:
            ShuttingDown: the database is closed.
            Exception: whatever *fn* raised; nothing of it was written.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def done(result: Any, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(settle, future, result, error)

        self._submit(Job(fn, done))
        return await future

    def write_later(self, fn: Callable[[sqlite3.Connection], object]) -> None:
        """Queue *fn* behind all writes before it; what it raises is logged.

        Raises:
            ShuttingDown: the database is closed.
        """
        self._submit(Job(fn, _log_failure))

    def migrate(self, migrations: Sequence[Migration]) -> list[str]:
        """Bring the tables up to date, each step with its record in one transaction; blocking, done at start.

        Returns:
            The names of the steps that were made now.

        Raises:
            FormatTooNew: a step of one of these owners is recorded that is not among *migrations*: a later version
                of its program was here.
            LocalTablesDiffer: a step was made here with another text, and the difference cannot be mended.
        """
        answer: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._submit(
            Job(lambda db: self._migrate(db, migrations), lambda result, error: answer.put((result, error)))
        )
        result, error = answer.get()
        if error is not None:
            raise error
        return list(result)

    def close(self) -> None:
        """Finish every write that was taken, then close."""
        if self._closed:
            return
        self._closed = True
        self._jobs.close()
        self._reader.close()
        self._writer.close()

    def _submit(self, job: Job) -> None:
        if self._closed:
            raise ShuttingDown
        self._jobs.put(job)

    def _prepare(self) -> None:
        try:
            mark = self._writer.execute("PRAGMA application_id").fetchone()[0]
            found = self._writer.execute("PRAGMA user_version").fetchone()[0]
            tables = self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if mark != schema.APPLICATION_ID and tables:
                raise FileDamaged(
                    self.path, "is a database of another program", hint="move it away, then retry"
                )
            if found > FORMAT:
                raise FormatTooNew(self.path, found, FORMAT)
            self._writer.execute("PRAGMA journal_mode = WAL")
            if not tables:
                self._writer.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
                self._writer.execute(f"PRAGMA user_version = {FORMAT}")
                self._writer.execute(
                    "CREATE TABLE migration (name TEXT PRIMARY KEY, version TEXT NOT NULL,"
                    " made_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))) WITHOUT ROWID"
                )
        except sqlite3.DatabaseError as error:
            raise _unusable(self.path, error) from error

    def _migrate(self, db: sqlite3.Connection, migrations: Sequence[Migration]) -> list[str]:
        made = dict(db.execute("SELECT name, version FROM migration").fetchall())
        known = {migration.name for migration in migrations}
        owners = {_owner(name) for name in known}
        foreign = [name for name in made if name not in known and _owner(name) in owners]
        if foreign:
            raise FormatTooNew(
                self.path, max((made[name] for name in foreign), key=_version_key), self._version
            )
        new = [migration for migration in migrations if migration.name not in made]
        records = sqlite_utils.Database(db, execute_plugins=False)
        for migration in new:
            for statement in migration.statements:
                db.execute(statement)
            records.execute(
                "INSERT INTO migration (name, version) VALUES (?, ?)", [migration.name, self._version]
            )
        if len(new) < len(migrations):
            self._mend(db, migrations, made)
        return [migration.name for migration in new]

    def _mend(self, db: sqlite3.Connection, migrations: Sequence[Migration], made: dict[str, str]) -> None:
        """Steps that were *made* before (names with versions) may have had another text then."""
        try:
            added = drift.mend(db, migrations)
        except drift.Unmendable as error:
            by = max((made[step.name] for step in migrations if step.name in made), key=_version_key)
            raise LocalTablesDiffer(self.path, str(error), made_by=by) from error
        if added:
            _log.warning("local.db: an earlier version lacked, and now has: %s", ", ".join(added))

    def _commit(self, jobs: list[Job]) -> None:
        """Run *jobs* in one transaction and tell each its result once that is on disk."""
        outcomes: list[tuple[Any, BaseException | None]] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for job in jobs:
                outcomes.append(self._run(job))
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            outcomes = [(None, error)] * len(jobs)
        for job, (result, failure) in zip(jobs, outcomes, strict=True):
            job.done(result, failure)

    def _run(self, job: Job) -> tuple[Any, BaseException | None]:
        self._writer.execute("SAVEPOINT job")
        try:
            result = job.write(self._writer)
        except Exception as error:  # noqa: BLE001 - handed to the one who asked, or logged for who does not wait
            self._writer.execute("ROLLBACK TO job")
            self._writer.execute("RELEASE job")
            return None, error
        self._writer.execute("RELEASE job")
        return result, None


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _unusable(path, error) from error
    return connection


def _unusable(path: Path, error: sqlite3.DatabaseError) -> ThrumError:
    """Why the file cannot be used: sqlite tells of a full disk as of any other, when it needs space only to read."""
    if disk_full(error) or (
        isinstance(error, sqlite3.OperationalError) and not os.statvfs(path.parent).f_bavail
    ):
        return StoreFull(path)
    return FileDamaged(
        path,
        f"cannot be used as a database: {error}",
        hint="bring it back from a backup; without it, what only this machine knows is gone",
    )


def _owner(name: str) -> str:
    return name.partition(".")[0]


def _version_key(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """End a future that work in a thread was for, on its loop; whoever awaited it may be gone."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _log_failure(_result: Any, error: BaseException | None) -> None:
    if error is not None:
        _log.error("local.db: a write failed", exc_info=error)

"""Monitors and alarms that are due, as rows of the plugin's own tables in local.db."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

import msgspec

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import NotFound
from thrum_monitor.debounce import Window
from thrum_monitor.times import timestamp

Status = Literal["running", "dead", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """One monitor.

    Attributes:
        target: who gets its alarms, with the ``@``.
        env: names of the variables that it was given; their values lie in a file of their own.
        path: where its program is looked for, the ``PATH`` of whoever started it.
        schedule: its cron line; empty when the command runs all the time.
        timeout_seconds: how long a scheduled run may take; 0: as the settings say.
        request_id: of the call that made it.
        status: ``running`` is what it should do, also between two runs.
        reason: why it is dead.
        pid, start_time, run: its latest process; pid None when that ended.
        rerouted_to: who gets its alarms instead of a target that is gone; empty while that is there.
    """

    id: str
    name: str
    argv: tuple[str, ...]
    match_pattern: str
    target: str
    cwd: str
    env: tuple[str, ...] = ()
    path: str
    debounce_seconds: int
    schedule: str = ""
    timeout_seconds: int = 0
    created_by: str = ""
    request_id: str = ""
    created_at: str
    updated_at: str
    status: Status = "running"
    reason: str = ""
    last_started_at: str | None = None
    last_exit_code: int | None = None
    last_exit_at: str | None = None
    pid: int | None = None
    start_time: int | None = None
    run: str = ""
    rerouted_to: str = ""
    skipped_bytes: int = 0
    dropped: int = 0
    window: Window = field(default_factory=Window)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A message that is due. ``key`` names it for ever: the monitor, and its window or the run that it is about."""

    key: str
    monitor: str
    name: str
    target: str
    content: str
    created_at: str
    problem: str = ""


MAX_DUE: Final = 200
"""Alarms of one monitor that wait for somebody to send them to."""
_LISTS: Final = ("argv", "env")
_PLAIN: Final = tuple(each.name for each in fields(Monitor) if each.name not in (*_LISTS, "window"))
_WINDOW: Final = ("window", "window_ends_us", "suppressed", "first_suppressed")
_COLUMNS: Final = (*_PLAIN, *_LISTS, *_WINDOW)
_ALARM: Final = tuple(each.name for each in fields(Alarm))


class Store:
    """Reads at once; every write is one durable transaction.

    Raises:
        sqlite3.Error: the database failed.
    """

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx

    # --- monitors ----------------------------------------------------------------------------------------------------

    def monitors(self, *, running: bool = False) -> list[Monitor]:
        """All, or those that should run, oldest first."""
        where = "WHERE status = 'running'" if running else ""
        return [_monitor(row) for row in self._read(f"{where} ORDER BY id")]

    def find(self, name_or_id: str) -> Monitor:
        """The monitor with this id or name.

        Raises:
            NotFound: there is none.
        """
        rows = self._read("WHERE id = ? OR name = ?", name_or_id, name_or_id)
        if not rows:
            raise NotFound(
                "monitor",
                name_or_id,
                message=f"monitor not found: {name_or_id}",
                hint="thrum monitor list --all",
            )
        return _monitor(rows[0])

    def called(self, name: str) -> Monitor | None:
        """The monitor that is called so, in whatever state."""
        return next(map(_monitor, self._read("WHERE name = ?", name)), None)

    def with_processes(self) -> list[Monitor]:
        """Those whose latest process was not seen to end."""
        return [_monitor(row) for row in self._read("WHERE pid IS NOT NULL")]

    async def add(self, monitor: Monitor) -> None:
        """A new one.

        Raises:
            sqlite3.IntegrityError: its name is in use.
        """
        values = _values(monitor)
        marks = ", ".join("?" * len(values))
        await self._write(f"INSERT INTO monitors ({', '.join(values)}) VALUES ({marks})", *values.values())

    async def delete(self, monitor: str) -> None:
        """Forget one. What is due of it stays due."""
        await self._write("DELETE FROM monitors WHERE id = ?", monitor)

    async def change(self, monitor: str, *, alarms: Iterable[Alarm] = (), **values: Any) -> None:
        """Change columns of a monitor and note alarms that are due, together.

        Args:
            values: by column; ``window`` is a `Window`.
        """
        plain = _flat(values)
        sets = ", ".join(f"{name} = ?" for name in plain)

        def change(db: sqlite3.Connection) -> None:
            if plain:
                db.execute(f"UPDATE monitors SET {sets} WHERE id = ?", (*plain.values(), monitor))
            for alarm in alarms:
                _note(db, alarm)

        await self._ctx.write(change)

    # --- the runner --------------------------------------------------------------------------------------------------

    def runner(self) -> tuple[int, int] | None:
        """Process id and start time of the latest runner; None when there was none."""
        rows = self._ctx.read("SELECT pid, start_time FROM monitor_runner", local=True)
        return (int(rows[0][0]), int(rows[0][1])) if rows else None

    async def set_runner(self, pid: int, start_time: int) -> None:
        """Write down who runs the commands."""
        await self._write("INSERT OR REPLACE INTO monitor_runner VALUES (1, ?, ?)", pid, start_time)

    # --- alarms ------------------------------------------------------------------------------------------------------

    def due(self) -> list[Alarm]:
        """What is to be sent, oldest first."""
        rows = self._ctx.read(f"SELECT {', '.join(_ALARM)} FROM monitor_alarms ORDER BY rowid", local=True)
        return [Alarm(**dict(zip(_ALARM, row, strict=True))) for row in rows]

    def due_of(self, monitor: str) -> list[Alarm]:
        """What is to be sent of one monitor."""
        return [alarm for alarm in self.due() if alarm.monitor == monitor]

    async def sent(self, alarm: Alarm, rerouted_to: str | None) -> None:
        """It is in the log; *rerouted_to* is who got it instead of its target, None when nobody knows."""

        def change(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM monitor_alarms WHERE key = ?", (alarm.key,))
            if rerouted_to is not None:
                db.execute("UPDATE monitors SET rerouted_to = ? WHERE id = ?", (rerouted_to, alarm.monitor))

        await self._ctx.write(change)

    async def not_sent(self, alarm: Alarm, problem: str) -> None:
        """It could not be sent yet."""
        if problem != alarm.problem:
            await self._write("UPDATE monitor_alarms SET problem = ? WHERE key = ?", problem, alarm.key)

    def now(self) -> str:
        """The time, as rows have it."""
        return timestamp(self._ctx.clock.now_us())

    def _read(self, condition: str, *params: Any) -> list[tuple[Any, ...]]:
        return self._ctx.read(f"SELECT {', '.join(_COLUMNS)} FROM monitors {condition}", params, local=True)

    async def _write(self, sql: str, *params: Any) -> None:
        await self._ctx.write(lambda db: db.execute(sql, params).rowcount)


def _note(db: sqlite3.Connection, alarm: Alarm) -> None:
    """Write down an alarm, once; where too many wait already it is counted, and the count is shown."""
    (waiting,) = db.execute(
        "SELECT count(*) FROM monitor_alarms WHERE monitor = ?", (alarm.monitor,)
    ).fetchone()
    if waiting >= MAX_DUE:
        db.execute("UPDATE monitors SET dropped = dropped + 1 WHERE id = ?", (alarm.monitor,))
        return
    due = [getattr(alarm, name) for name in _ALARM]
    marks = ", ".join("?" * len(due))
    db.execute(f"INSERT OR IGNORE INTO monitor_alarms ({', '.join(_ALARM)}) VALUES ({marks})", due)


def _monitor(row: Sequence[Any]) -> Monitor:
    values = dict(zip(_COLUMNS, row, strict=True))
    number, ends_us, suppressed, first = (values.pop(name) for name in _WINDOW)
    for name in _LISTS:
        values[name] = msgspec.json.decode(values[name], type=tuple[str, ...])
    return Monitor(**values, window=Window(number, ends_us, suppressed, first))


def _values(monitor: Monitor) -> dict[str, Any]:
    return _flat({each.name: getattr(monitor, each.name) for each in fields(monitor)})


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Values as columns."""
    plain = dict(values)
    window = plain.pop("window", None)
    if window is not None:
        told = (window.number, window.ends_us, window.suppressed, window.first)
        plain.update(zip(_WINDOW, told, strict=True))
    for name in _LISTS:
        if name in plain:
            plain[name] = msgspec.json.encode(plain[name]).decode()
    return plain

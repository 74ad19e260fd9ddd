"""The plugin's tables in local.db: machine truth, never synced.

Source: spec/kernel.md §3.3 for the columns of ``monitors`` (``env`` holds the names only, values lie in a file).
"""

from __future__ import annotations

from typing import Final

from thrum_kernel.api import Migration, Tables

TABLES: Final = Tables(
    local=(
        Migration(
            "monitor.0001_monitors",
            (
                """CREATE TABLE monitors (
                    id TEXT PRIMARY KEY,
                    name TEXT NOT NULL UNIQUE,
                    argv TEXT NOT NULL,
                    match_pattern TEXT NOT NULL,
                    target TEXT NOT NULL,
                    cwd TEXT NOT NULL,
                    env TEXT NOT NULL,
                    path TEXT NOT NULL,
                    debounce_seconds INTEGER NOT NULL,
                    schedule TEXT NOT NULL DEFAULT '',
                    timeout_seconds INTEGER NOT NULL DEFAULT 0,
                    created_by TEXT NOT NULL DEFAULT '',
                    request_id TEXT NOT NULL DEFAULT '',
                    created_at TEXT NOT NULL,
                    updated_at TEXT NOT NULL,
                    status TEXT NOT NULL,
                    reason TEXT NOT NULL DEFAULT '',
                    last_started_at TEXT,
                    last_exit_code INTEGER,
                    last_exit_at TEXT,
                    pid INTEGER,
                    start_time INTEGER,
                    run TEXT NOT NULL DEFAULT '',
                    rerouted_to TEXT NOT NULL DEFAULT '',
                    skipped_bytes INTEGER NOT NULL DEFAULT 0,
                    dropped INTEGER NOT NULL DEFAULT 0,
                    window INTEGER NOT NULL DEFAULT 0,
                    window_ends_us INTEGER NOT NULL DEFAULT 0,
                    suppressed INTEGER NOT NULL DEFAULT 0,
                    first_suppressed TEXT NOT NULL DEFAULT '')""",
                """CREATE TABLE monitor_alarms (
                    key TEXT PRIMARY KEY,
                    monitor TEXT NOT NULL,
                    name TEXT NOT NULL,
                    target TEXT NOT NULL,
                    content TEXT NOT NULL,
                    created_at TEXT NOT NULL,
                    problem TEXT NOT NULL DEFAULT '')""",
                """CREATE TABLE monitor_runner (
                    one INTEGER PRIMARY KEY CHECK (one = 1),
                    pid INTEGER NOT NULL,
                    start_time INTEGER NOT NULL)""",
            ),
        ),
    )
)

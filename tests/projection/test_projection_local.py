"""Machine truth: migrations, writes that are on disk, a file of a later program."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path

import pytest

from thrum_kernel.api import Migration
from thrum_kernel.errors import FileDamaged, FormatTooNew, LocalTablesDiffer, ShuttingDown
from thrum_kernel.projection.db import LocalDb

FIRST = Migration("queue.0001", ("CREATE TABLE queue (id INTEGER PRIMARY KEY, word TEXT UNIQUE)",))
SECOND = Migration(
    "queue.0002", ("ALTER TABLE queue ADD COLUMN state TEXT", "UPDATE queue SET state = 'old'")
)


def opened(path: Path, version: str = "0.11.0") -> LocalDb:
    return LocalDb(path, version=version)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "T" / "local.db"


def test_local_db_makes_each_migration_once(path: Path) -> None:
    local = opened(path)
    assert local.migrate([FIRST]) == ["queue.0001"]
    asyncio.run(local.write(lambda db: db.execute("INSERT INTO queue (word) VALUES ('a')")))
    assert local.migrate([FIRST, SECOND]) == ["queue.0002"]
    assert local.migrate([FIRST, SECOND]) == []
    assert local.read("SELECT word, state FROM queue") == [("a", "old")]
    local.close()
    again = opened(path)
    assert again.migrate([FIRST, SECOND]) == []
    assert again.read("PRAGMA synchronous") == [(2,)]
    assert again.read("PRAGMA journal_mode") == [("wal",)]
    again.close()


def test_local_db_undoes_a_failed_migration_whole(path: Path) -> None:
    local = opened(path)
    broken = Migration("queue.0001", ("CREATE TABLE queue (id INTEGER)", "INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(sqlite3.OperationalError):
        local.migrate([broken])
    assert local.read("SELECT name FROM sqlite_master WHERE name = 'queue'") == []
    assert local.migrate([FIRST]) == ["queue.0001"]
    local.close()


def test_local_db_of_a_later_program_is_refused_and_named(path: Path) -> None:
    newer = opened(path, "0.13.2")
    newer.migrate([FIRST, SECOND])
    newer.close()
    local = opened(path)
    with pytest.raises(FormatTooNew, match=r"0\.13\.2.*this thrum has 0\.11\.0") as refused:
        local.migrate([FIRST])
    assert "upgrade" in refused.value.hint
    # another owner's tables may be unknown: its plugin is just not here
    assert local.migrate([Migration("monitor.0001", ("CREATE TABLE monitor (id)",))]) == ["monitor.0001"]
    local.close()


def test_local_db_of_an_earlier_text_of_a_step_gets_what_it_lacks(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    early = opened(path)
    early.migrate([FIRST])
    asyncio.run(early.write(lambda db: db.execute("INSERT INTO queue (word) VALUES ('a')")))
    early.close()
    edited = Migration(
        "queue.0001",
        (
            "CREATE TABLE queue (id INTEGER PRIMARY KEY, request_id TEXT NOT NULL DEFAULT '', word TEXT UNIQUE,"
            " dropped INTEGER)",
            "CREATE INDEX queue_request ON queue (request_id)",
            "CREATE TABLE queue_alarm (key TEXT PRIMARY KEY)",
        ),
    )
    local = opened(path)
    assert local.migrate([edited]) == []
    assert local.read("SELECT word, request_id, dropped FROM queue") == [("a", "", None)]
    assert local.read("SELECT key FROM queue_alarm INDEXED BY sqlite_autoindex_queue_alarm_1") == []
    assert local.read("SELECT id FROM queue INDEXED BY queue_request WHERE request_id = ''") == [(1,)]
    assert "queue_alarm, queue.request_id, queue.dropped, queue_request" in caplog.text
    caplog.clear()
    assert local.migrate([edited]) == []
    assert caplog.text == ""
    local.close()


@pytest.mark.parametrize(
    ("edited", "told"),
    [
        (
            "CREATE TABLE queue (id INTEGER PRIMARY KEY, word TEXT, who TEXT NOT NULL)",
            "table queue lacks who",
        ),
        ("CREATE TABLE queue (id INTEGER PRIMARY KEY)", "table queue wants word"),
    ],
)
def test_local_db_whose_tables_differ_beyond_mending_is_refused(path: Path, edited: str, told: str) -> None:
    early = opened(path, "0.10.9")
    early.migrate(
        [Migration("queue.0001", ("CREATE TABLE queue (id INTEGER PRIMARY KEY, word TEXT NOT NULL)",))]
    )
    early.close()
    local = opened(path)
    more = Migration("queue.0002", ("CREATE TABLE queue_more (x)",))
    with pytest.raises(LocalTablesDiffer, match=rf"{told}.*another build \(thrum 0\.10\.9\)") as refused:
        local.migrate([Migration("queue.0001", (edited,)), more])
    assert "nothing was changed" in refused.value.hint
    assert local.read("SELECT name FROM sqlite_master WHERE name = 'queue_more'") == []
    local.close()


def test_local_db_of_a_later_format_is_refused(path: Path) -> None:
    opened(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(FormatTooNew):
        opened(path)


def test_local_db_refuses_what_is_not_ours(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(FileDamaged, match="another program"):
        opened(path)
    path.write_bytes(b"no database at all" * 300)
    with pytest.raises(FileDamaged):
        opened(path)
    assert path.read_bytes().startswith(b"no database")


def test_write_is_there_for_readers_when_it_returns(path: Path) -> None:
    async def story() -> list[int]:
        local = opened(path)
        local.migrate([FIRST])
        keys = await asyncio.gather(
            *(
                local.write(
                    lambda db, n=number: (
                        db.execute("INSERT INTO queue (word) VALUES (?)", (f"w{n}",)).lastrowid
                    )
                )
                for number in range(50)
            )
        )
        assert local.read("SELECT count(*) FROM queue") == [(50,)]
        local.close()
        return keys

    assert sorted(asyncio.run(story())) == list(range(1, 51))


def test_write_that_fails_takes_no_other_along(path: Path) -> None:
    async def story() -> None:
        local = opened(path)
        local.migrate([FIRST])

        def add(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO queue (word) VALUES ('same')")

        results = await asyncio.gather(local.write(add), local.write(add), return_exceptions=True)
        assert [type(result) for result in results] == [type(None), sqlite3.IntegrityError]
        assert local.read("SELECT word FROM queue") == [("same",)]
        local.close()

    asyncio.run(story())


def test_write_later_is_done_before_close_and_failures_are_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    local = opened(path)
    local.migrate([FIRST])
    with caplog.at_level(logging.ERROR):
        local.write_later(lambda db: db.execute("INSERT INTO queue (word) VALUES ('later')"))
        local.write_later(lambda db: db.execute("INSERT INTO nowhere VALUES (1)"))
        local.close()
    assert "a write failed" in caplog.text
    again = opened(path)
    assert again.read("SELECT word FROM queue") == [("later",)]
    again.close()


def test_closed_local_db_takes_nothing(path: Path) -> None:
    local = opened(path)
    local.close()
    local.close()
    with pytest.raises(ShuttingDown):
        local.write_later(lambda db: None)


def test_reading_connection_cannot_write(path: Path) -> None:
    local = opened(path)
    local.migrate([FIRST])
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        local.read("INSERT INTO queue (word) VALUES ('x')")
    assert local.tables["queue"].count == 0
    local.close()

"""The cache as a file: made, moved aside, rebuilt, swapped, folded back off the loop."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from projection_log import FixedClock, LogMaker, aloud, core_types, project

from thrum_kernel.errors import Projecting
from thrum_kernel.projection import checkpoint, db, queries, replay
from thrum_kernel.projection.apply import Projector
from thrum_kernel.projection.db import Cache


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "messages.db"


def test_cache_is_made_where_there_is_none(path: Path) -> None:
    cache = Cache(path)
    assert cache.is_empty
    assert cache.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert cache.connection.execute("PRAGMA synchronous").fetchone() == (1,)
    assert cache.connection.execute("PRAGMA secure_delete").fetchone() == (1,)
    cache.close()
    again = Cache(path)
    assert not again.is_empty
    again.close()


def test_cache_moves_another_programs_database_aside(path: Path) -> None:
    path.parent.mkdir()
    for content in ("theirs", "theirs too"):
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE messages (message_id TEXT)")
        other.execute("INSERT INTO messages VALUES (?)", (content,))
        other.commit()
        other.close()
        cache = Cache(path)
        assert cache.is_empty
        assert cache.moved_aside is not None
        kept = sqlite3.connect(cache.moved_aside)
        assert kept.execute("SELECT * FROM messages").fetchall() == [(content,)]
        kept.close()
        cache.close()
        path.unlink()


def test_cache_moves_aside_what_is_no_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"notes of somebody" * 100)
    cache = Cache(path)
    assert cache.moved_aside is not None
    assert cache.moved_aside.read_bytes().startswith(b"notes")
    cache.close()


@pytest.mark.parametrize("damage", ["schema", "half written", "torn"])
def test_cache_replaces_one_of_ours_that_it_cannot_use(path: Path, damage: str) -> None:
    Cache(path).close()
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        with sqlite3.connect(path) as other:
            sql = "UPDATE meta SET value = '1'" if damage == "schema" else "DELETE FROM meta"
            other.execute(f"{sql} WHERE key = 'schema'")
        other.close()
    cache = Cache(path)
    assert cache.is_empty
    assert cache.moved_aside is None
    assert cache.read("SELECT count(*) FROM message") == [(0,)]
    cache.close()


def test_cache_with_other_tables_of_plugins_is_replaced(path: Path) -> None:
    tables = ("CREATE TABLE monitor_seen (name TEXT)",)
    Cache(path).close()
    cache = Cache(path, extra_tables=tables)
    assert cache.is_empty
    assert cache.read("SELECT * FROM monitor_seen") == []
    cache.close()
    same = Cache(path, extra_tables=tables)
    assert not same.is_empty
    same.close()


def test_transaction_leaves_nothing_when_it_fails(path: Path) -> None:
    cache = Cache(path)
    with pytest.raises(ZeroDivisionError), cache.transaction() as connection:
        connection.execute("INSERT INTO daemon (daemon_id) VALUES ('d_A')")
        raise ZeroDivisionError
    assert cache.read("SELECT * FROM daemon") == []
    cache.close()


def test_cache_answers_with_its_progress_while_rebuilding(path: Path) -> None:
    cache = Cache(path)
    cache.projecting(43)
    with pytest.raises(Projecting, match="projecting 43 %"):
        queries.live_agents(cache)
    cache.resume()
    assert queries.live_agents(cache) == []
    cache.close()


def test_swap_serves_the_rebuilt_log(path: Path) -> None:
    log = LogMaker()
    alice, bob = log.agent("alice"), log.agent("bob", daemon="d_B")
    log.message(alice, [bob], "first")
    cache = project(path, log.lines)
    expected, birth = aloud(cache), cache.birth
    target = path.with_name("new.db")
    told: list[int] = []
    cache.projecting(0)
    size = sum(len(line[3]) + 1 for line in log.lines)
    found = replay.rebuild(
        log.batches, target, core_types(), clock=FixedClock(), progress=told.append, size=size
    )
    cache.swap(target)
    assert (found.lines, found.messages, found.passes) == (3, 1, 1)
    assert told == sorted(set(told)) and 0 < told[0] <= told[-1] < 100
    assert aloud(cache) == expected
    assert cache.birth != birth
    assert sorted(path.parent.iterdir()) == sorted(
        path.with_name(f"messages.db{suffix}") for suffix in ("", "-shm", "-wal")
    )
    # and it goes on from there
    log.message(alice, [bob], "second")
    Projector(cache, core_types(), clock=FixedClock()).apply_lines(log.lines[-1:])
    bobs = queries.agents_named(cache, "bob")[0]
    assert queries.unread_count(cache, bobs.id) == 2
    cache.close()


def test_rebuild_leaves_nothing_behind_when_the_log_fails(path: Path) -> None:
    def log() -> list[list[tuple[str, str, int, bytes]]]:
        raise OSError("gone")

    path.parent.mkdir()
    with pytest.raises(OSError, match="gone"):
        replay.rebuild(log, path, core_types())
    assert list(path.parent.iterdir()) == []


def test_rebuild_up_to_a_point_leaves_out_what_came_later(path: Path) -> None:
    log = LogMaker()
    alice = log.agent("alice")
    first = log.message(alice, [alice], "first")
    log.message(alice, [alice], "second")
    log.edit(first, "changed")
    path.parent.mkdir()
    replay.rebuild(log.batches, path, core_types(), clock=FixedClock(), until=first.ulid)
    cache = Cache(path)
    assert cache.read("SELECT body_content FROM messages") == [("first",)]
    cache.close()


def test_long_write_ahead_log_is_folded_back_beside_the_loop(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_BYTES", 64 * 1024)
    monkeypatch.setattr(db, "CHECKPOINT_BYTES", 64 * 1024)
    cache = Cache(path)
    before = path.stat().st_size
    wal = path.with_name("messages.db-wal")
    longest = 0
    for number in range(200):
        with cache.transaction() as connection:
            connection.execute("INSERT INTO daemon (daemon_id) VALUES (?)", (f"d_{number}" * 400,))
        longest = max(longest, wal.stat().st_size)
        cache._checkpointer.close()  # waits for the thread, as slow commits would
    assert path.stat().st_size > before
    assert longest < 2 * 64 * 1024
    cache.close()


def test_reading_writes_nothing(path: Path) -> None:
    log = LogMaker()
    alice = log.agent("alice")
    log.message(alice, [alice])
    cache = project(path, log.lines)
    files = {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in path.parent.iterdir()}
    for _ in range(50):
        queries.inbox_page(cache, queries.live_agents(cache)[0].id)
    same = {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in path.parent.iterdir()}
    assert {name: value for name, value in same.items() if name.suffix != ".db-shm"} == {
        name: value for name, value in files.items() if name.suffix != ".db-shm"
    }
    cache.close()


def test_a_rebuild_from_a_log_that_still_holds_a_deleted_text_leaves_no_copy_of_it(tmp_path: Path) -> None:
    log = LogMaker()
    alice = log.agent("alice")
    for number in range(40):
        message = log.message(alice, text=f"deleted-{number} " * 20)
        log.edit(message, f"deleted-{number}, too " * 20)
        log.delete(message)
    path = tmp_path / "messages.db"
    replay.rebuild(log.batches, path, core_types(), clock=FixedClock())
    assert b"deleted-" not in path.read_bytes()

"""The daemon's log file: one entry a record, rotated by size, gzipped, not kept for ever."""

from __future__ import annotations

import gzip
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from thrum_kernel.clock import parse_us
from thrum_kernel.daemon import logs


@pytest.fixture
def own_logger() -> Iterator[logging.Logger]:
    """A logger that nothing else uses."""
    logger = logging.Logger("thrum.test")
    yield logger
    for handler in logger.handlers:
        handler.close()


def write_to(logger: logging.Logger, path: Path, *, max_bytes: int) -> None:
    handler = logs.RotatingLog(path, max_bytes=max_bytes)
    handler.setFormatter(logs.LINES)
    logger.addHandler(handler)


def rotated(folder: Path) -> list[Path]:
    return sorted(folder.glob("daemon-*.log.gz"))


def test_a_record_is_one_entry_with_time_level_and_name(tmp_path: Path, own_logger: logging.Logger) -> None:
    write_to(own_logger, tmp_path / "daemon.log", max_bytes=10_000)

    own_logger.warning("two\nlines of %s", "text")
    try:
        raise ValueError("a reason")
    except ValueError:
        own_logger.exception("it failed")

    written = (tmp_path / "daemon.log").read_text().splitlines()
    stamp, level, name, *words = written[0].split()
    assert abs(parse_us(stamp) / 1e6 - time.time()) < 60 and stamp.endswith("Z") and len(stamp) == 27
    assert (level, name, words) == ("WARNING", "thrum.test:", ["two"])
    assert written[1] == "  lines of text"
    assert written[-1] == "  ValueError: a reason"
    assert [line for line in written if not line.startswith(" ")] == [written[0], written[2]]


def test_files_are_rotated_by_size_and_the_oldest_go(tmp_path: Path, own_logger: logging.Logger) -> None:
    log = tmp_path / "daemon.log"
    write_to(own_logger, log, max_bytes=2_000)

    for number in range(200):
        own_logger.warning("entry %03d %s", number, "x" * 50)

    kept = rotated(tmp_path)
    assert len(kept) == logs.BACKUPS == 4
    assert log.stat().st_size <= 2_000
    text = "".join(gzip.decompress(path.read_bytes()).decode() for path in kept) + log.read_text()
    numbers = [int(line.split("entry ")[1][:3]) for line in text.splitlines()]
    assert numbers == list(range(numbers[0], 200))
    assert {path.stat().st_mode & 0o777 for path in (log, *kept)} == {0o600}


def test_files_older_than_four_weeks_go_at_the_next_start(tmp_path: Path) -> None:
    for name, age_days in (("daemon-20260101T000000-1.log.gz", 29), ("daemon-20260201T000000-1.log.gz", 27)):
        (tmp_path / name).write_bytes(gzip.compress(b"old\n"))
        at = time.time() - age_days * 86400
        os.utime(tmp_path / name, (at, at))

    logs.RotatingLog(tmp_path / "daemon.log").close()

    assert [path.name for path in rotated(tmp_path)] == ["daemon-20260201T000000-1.log.gz"]


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path: Path, own_logger: logging.Logger) -> None:
    write_to(own_logger, tmp_path / "daemon.log", max_bytes=10_000)

    own_logger.warning("name %s", os.fsdecode(b"\xff"))

    assert "name \\udcff" in (tmp_path / "daemon.log").read_text()

"""Small files are read with a clear error and replaced in one step."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from thrum_kernel.errors import FileDamaged
from thrum_kernel.jsonio import locked, read_object, write_object


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"

    write_object(path, {"b": 1, "a": "ü"})

    assert read_object(path) == {"b": 1, "a": "ü"}
    assert path.read_text() == '{\n  "b": 1,\n  "a": "ü"\n}\n'
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty (line 1, column 1)"),
        (b'{"a": 1,\n "b"', "line 2"),
        (b"[1]", "holds a JSON list, not an object"),
        (b'{"a": "\xff"}', "is not UTF-8"),
        (b'{"a":' * 20_000, "is nested too deeply"),
    ],
)
def test_a_damaged_file_is_named_with_its_fault(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(data)

    with pytest.raises(FileDamaged) as caught:
        read_object(path)

    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert path.read_bytes() == data


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_object(path, {"old": True})

    with pytest.raises(TypeError):
        write_object(path, {"new": object()})

    assert read_object(path) == {"old": True}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def _count_up(folder: Path) -> None:
    for _ in range(50):
        with locked(folder):
            value = read_object(folder / "count.json")
            write_object(folder / "count.json", {"n": value["n"] + 1})


def test_no_update_is_lost_between_processes(tmp_path: Path) -> None:
    write_object(tmp_path / "count.json", {"n": 0})
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count_up, args=(tmp_path,)) for _ in range(3)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert read_object(tmp_path / "count.json") == {"n": 150}

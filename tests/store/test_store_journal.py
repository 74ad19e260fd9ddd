from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from thrum_kernel.errors import FileDamaged, StoreError, StoreFull
from thrum_kernel.store import journal
from thrum_kernel.store.disk import File, OsDisk
from thrum_kernel.store.journal import Journal, Mark, Previous, recover
from thrum_kernel.testing.disk import FaultDisk


def event(sequence: int, text: str = "x") -> bytes:
    return msgspec.json.encode({"type": "message.create", "sequence": sequence, "text": text})


def opened(
    disk: OsDisk | FaultDisk, root: Path, writer: str = "w1", previous: Previous | None = None
) -> Journal:
    return Journal.open_new(disk, root / "journal", writer=writer, daemon="d_1", previous=previous)


def lines_of(disk: OsDisk | FaultDisk, path: Path) -> list[bytes]:
    return [line for _, _, line in journal.read(disk, path)]


def test_read_gives_what_was_appended(tmp_path: Path) -> None:
    disk = OsDisk()
    log = opened(disk, tmp_path)
    log.append([event(1), event(2)])
    log.append([event(3)])
    assert list(journal.read(disk, log.path, 1)) == [("w1", 2, event(2)), ("w1", 3, event(3))]
    assert log.mark == Mark(3, log.path.stat().st_size)


def test_reading_on_starts_where_the_last_reader_ended(tmp_path: Path) -> None:
    disk = OsDisk()
    log = opened(disk, tmp_path)
    log.append([event(1)])
    mark = log.mark
    log.append([event(2), event(3)])
    found = list(journal.read_on(disk, log.path, mark))
    assert [line for _, line in found] == [event(2), event(3)]
    assert found[-1][0] == log.mark


@pytest.mark.parametrize(
    "lines", [[], [event(2)], [event(1), event(3)], [event(1) + b"\n"], [b"{}"], [b"no"]]
)
def test_append_refuses_lines_out_of_order_and_goes_on(tmp_path: Path, lines: list[bytes]) -> None:
    log = opened(OsDisk(), tmp_path)
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        log.append(lines)
    log.append([event(1)])
    assert log.last == 1


def test_a_writer_is_never_opened_twice(tmp_path: Path) -> None:
    opened(OsDisk(), tmp_path)
    with pytest.raises(StoreError):
        opened(OsDisk(), tmp_path)


@pytest.mark.parametrize("verb", ["write", "sync", "sync folder"])
def test_a_failed_append_ends_the_journal_for_good(verb: str) -> None:
    disk = FaultDisk()
    log = opened(disk, Path("/T"))
    if verb != "sync folder":
        log.append([event(1)])
    before = log.last
    fail_next(disk, verb)
    with pytest.raises(StoreError):
        log.append([event(before + 1)])
    with pytest.raises(StoreError):
        log.append([event(before + 1)])
    assert log.last == before
    assert len(lines_of(disk, log.path)) == before


def fail_next(disk: FaultDisk, verb: str) -> None:
    """Fail the next call of this kind."""

    def look(found: FaultDisk, called: str) -> None:
        if called == verb:
            disk.before_call = None
            disk.fail(found.calls)

    disk.before_call = look


def test_what_was_refused_stays_out_when_it_could_not_be_truncated() -> None:
    disk = FaultDisk()
    first = opened(disk, Path("/T"))
    first.append([event(1)])
    fail_next(disk, "sync")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoreError):
        patch.setattr(disk, "cut_short", refuse)  # the disk that failed to sync fails to truncate, too
        first.append([event(2, "refused")])
    second = opened(disk, Path("/T"), "w2", first.end())
    second.append([event(1)])
    found = recover(disk, Path("/T/journal"), Path("/T/quarantine"))
    assert [(ended.header.writer, ended.last) for ended in found.journals] == [("w1", 1), ("w2", 1)]
    assert [torn.lines for torn in found.torn] == [1]
    assert b"refused" in disk.read(found.torn[0].kept)
    assert b"refused" not in disk.read(first.path)


def refuse(path: Path, size: int) -> None:
    raise StoreError("Input/output error")


def test_recover_cuts_a_torn_tail_once_and_keeps_its_bytes(tmp_path: Path) -> None:
    disk = OsDisk()
    log = opened(disk, tmp_path)
    log.append([event(1), event(2)])
    torn = event(3)[:9] + bytes(20)
    with log.path.open("ab") as file:
        file.write(torn)
    found = recover(disk, tmp_path / "journal", tmp_path / "quarantine")
    assert [(ended.last, ended.offset) for ended in found.journals] == [tuple(log.mark)]
    assert [item.kept.read_bytes() for item in found.torn] == [torn]
    again = recover(disk, tmp_path / "journal", tmp_path / "quarantine")
    assert again.journals == found.journals and again.torn == []


def test_recover_takes_away_a_journal_without_a_whole_first_line(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    (folder / "w1.jsonl").write_bytes(b'{"thrum":"jour')
    (folder / "w2.jsonl").write_bytes(b"")
    found = recover(OsDisk(), folder, tmp_path / "quarantine")
    assert found.journals == [] and [item.size for item in found.torn] == [14]
    assert list(folder.iterdir()) == []


def test_recover_leaves_the_current_journal_alone(tmp_path: Path) -> None:
    disk = OsDisk()
    log = opened(disk, tmp_path)
    log.append([event(1)])
    with log.path.open("ab") as file:
        file.write(b"being writ")
    assert recover(disk, tmp_path / "journal", tmp_path / "quarantine", current="w1") == ([], [])


def test_recover_orders_journals_by_their_chain_not_their_names(tmp_path: Path) -> None:
    disk = OsDisk()
    previous = None
    for writer in ("m", "z", "a"):
        log = opened(disk, tmp_path, writer, previous)
        log.append([event(1)])
        previous = log.end()
    found = recover(disk, tmp_path / "journal", tmp_path / "quarantine")
    assert [ended.header.writer for ended in found.journals] == ["m", "z", "a"]


def test_recover_on_a_full_disk_leaves_the_tail_until_there_is_space() -> None:
    disk = FaultDisk()
    log = opened(disk, Path("/T"))
    log.append([event(1)])
    disk.fill()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoreError):
        patch.setattr(disk, "cut_short", refuse)
        log.append([event(2)])
    full = recover(disk, Path("/T/journal"), Path("/T/quarantine"))
    assert [(ended.last, ended.is_clean) for ended in full.journals] == [(1, False)] and not full.torn
    disk.free()
    after = recover(disk, Path("/T/journal"), Path("/T/quarantine"))
    assert [(ended.last, ended.is_clean) for ended in after.journals] == [(1, True)]
    assert len(after.torn) == 1


def test_a_file_that_is_no_journal_is_told(tmp_path: Path) -> None:
    path = tmp_path / "w1.jsonl"
    path.write_bytes(b"{}\n")
    with pytest.raises(FileDamaged):
        list(journal.read(OsDisk(), path))


def test_a_full_disk_is_told_as_such() -> None:
    disk = FaultDisk()
    log = opened(disk, Path("/T"))
    disk.fill()
    with pytest.raises(StoreError):
        log.append([event(1)])
    with pytest.raises(StoreFull):
        opened(disk, Path("/T"), "w2", log.end())
    disk.free()
    opened(disk, Path("/T"), "w3", log.end()).append([event(1)])


def test_a_journal_that_cannot_begin_leaves_nothing_behind() -> None:
    disk = FaultDisk(Path("/T"))
    disk.before_call = lambda at, what: at.fill() if what.startswith("write") else None

    with pytest.raises(StoreError):
        opened(disk, Path("/T"))

    assert disk.entries(Path("/T/journal")) == []


class Full(OsDisk):
    """A disk that takes names, but no bytes; it knows which files are open."""

    def __init__(self) -> None:
        self.open: list[Path] = []

    def create(self, path: Path) -> File:
        file = super().create(path)
        self.open.append(path)
        return Refusing(self, path, file)


class Refusing:
    def __init__(self, disk: Full, path: Path, file: File) -> None:
        self._disk, self._path, self._file = disk, path, file

    def write(self, data: bytes) -> int:
        raise StoreFull(self._path)

    def sync(self) -> None:
        raise AssertionError("there is nothing to sync")

    def close(self) -> None:
        self._file.close()
        self._disk.open.remove(self._path)


def test_a_disk_that_stays_full_costs_no_open_files(tmp_path: Path) -> None:
    disk = Full()
    for number in range(3):
        with pytest.raises(StoreFull):
            opened(disk, tmp_path, f"w{number}")

    assert disk.open == []

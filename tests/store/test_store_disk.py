from __future__ import annotations

import errno
import random
import subprocess
import sys
from pathlib import Path

import pytest

from thrum_kernel.errors import FileMissing, StoreError, StoreFull
from thrum_kernel.store.disk import Disk, Folders, OsDisk
from thrum_kernel.testing.disk import FaultDisk


@pytest.fixture(params=["real", "fault"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Disk, Path]:
    return (OsDisk(), tmp_path) if request.param == "real" else (FaultDisk(Path("/T")), Path("/T"))


def put(disk: Disk, path: Path, data: bytes) -> None:
    file = disk.create(path)
    assert file.write(data) == len(data)
    file.sync()
    file.close()


def test_both_disks_behave_alike(place: tuple[Disk, Path]) -> None:
    disk, root = place
    folder = Folders(disk, root).ensure(root / "a" / "b")
    put(disk, folder / "one", b"0123456789")
    assert disk.read(folder / "one") == b"0123456789"
    assert disk.read(folder / "one", offset=3, length=4) == b"3456"
    disk.cut_short(folder / "one", 5)
    assert disk.size(folder / "one") == 5
    disk.move(folder / "one", root / "two")
    assert [tuple(entry) for entry in disk.entries(root)] == [("a", True), ("two", False)]
    with pytest.raises(StoreError, match="exists"):
        disk.create(root / "two")
    disk.remove(root / "two")
    disk.remove(root / "two")
    disk.sync_folder(root)
    assert disk.size(root / "two") is None
    assert disk.entries(root / "none") == []
    with pytest.raises(FileMissing):
        disk.read(root / "two")
    with pytest.raises(FileMissing):
        disk.move(root / "two", root / "three")


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull), (errno.EIO, StoreError)]
)
def test_what_the_system_says_becomes_an_error_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[StoreError]
) -> None:
    file = OsDisk().create(tmp_path / "x")

    def refuse(descriptor: int, data: bytes) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr("os.write", refuse)
    with pytest.raises(expected) as caught:
        file.write(b"x")
    assert type(caught.value) is expected
    file.close()


def test_a_link_is_never_followed_when_creating(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        OsDisk().create(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_the_test_disk_keeps_only_what_was_synced() -> None:
    disk, root = FaultDisk(), Path("/T")
    put(disk, root / "named", b"kept")
    disk.sync_folder(root)
    put(disk, root / "unnamed", b"lost")
    file = disk.create(root / "unsynced")
    file.write(b"lost")
    disk.sync_folder(root)
    disk.remove(root / "named")
    assert disk.crashed().files() == {
        root / "named": b"kept",
        root / "unnamed": b"lost",
        root / "unsynced": b"",
    }


def test_the_test_disk_never_loses_a_file_that_is_moved() -> None:
    for seed in range(40):
        disk, root = FaultDisk(), Path("/T")
        Folders(disk, root).ensure(root / "f")
        put(disk, root / "old", b"data")
        disk.sync_folder(root)
        disk.move(root / "old", root / "f" / "new")
        if seed % 2:
            disk.sync_folder(root)
        for rng in (None, random.Random(seed)):
            assert b"data" in disk.crashed(rng).files().values()


def test_bytes_of_a_failed_sync_are_never_stored_later() -> None:
    disk, root = FaultDisk(faults={3: "fail"}), Path("/T")
    file = disk.create(root / "x")
    file.write(b"gone")
    with pytest.raises(StoreError):
        file.sync()
    file.sync()
    disk.sync_folder(root)
    assert disk.read(root / "x") == b"gone"
    assert disk.crashed().files() == {root / "x": b""}


SHORT = """
import resource, sys
from pathlib import Path
from thrum_kernel.errors import StoreError
from thrum_kernel.store.disk import OsDisk

file = OsDisk().create(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    file.write(b"x" * 5000)
except StoreError as error:
    print(error)
"""


def test_a_write_that_is_taken_in_part_tells_what_stopped_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"

    told = subprocess.run(
        [sys.executable, "-c", SHORT, path], capture_output=True, text=True, check=True
    ).stdout

    assert told.strip() == f"cannot write {path}: File too large"

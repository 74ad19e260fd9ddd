from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from thrum_kernel.errors import StoreError, StoreLocked
from thrum_kernel.store.lock import Lock

HOLD = """
import sys
from pathlib import Path
from thrum_kernel.store.lock import Lock
lock = Lock.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_taker_is_told_who_holds_it(tmp_path: Path) -> None:
    lock = Lock.take(tmp_path / "lock")
    with pytest.raises(StoreLocked) as caught:
        Lock.take(tmp_path / "lock")
    assert caught.value.pid == os.getpid()
    lock.release()
    Lock.take(tmp_path / "lock").release()


def test_it_is_held_against_another_process_and_free_after_its_death(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    assert holder.stdin is not None and holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreLocked) as caught:
            Lock.take(path)
        assert caught.value.pid == holder.pid
        holder.kill()
    Lock.take(path).release()


@pytest.mark.parametrize("replaced", [True, False])
def test_the_holder_notices_that_its_file_is_gone(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "lock"
    lock = Lock.take(path)
    assert lock.still_ours()
    path.rename(tmp_path / "aside")
    if replaced:
        path.touch()
    assert not lock.still_ours()
    lock.release()


def test_releasing_keeps_the_file_and_can_be_done_twice(tmp_path: Path) -> None:
    lock = Lock.take(tmp_path / "lock")
    lock.release()
    lock.release()
    assert (tmp_path / "lock").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot open the lock"):
        Lock.take(tmp_path / "missing" / "lock")

"""A repository on a file system of another machine, with a real mount of one: sshfs, whose server is here."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from thrum_kernel.bus import address
from thrum_kernel.cli import process
from thrum_kernel.errors import DaemonError
from thrum_kernel.store.filesystem import kind_at
from thrum_kernel.testing.harness import Cli, Repo
from thrum_kernel.testing.spawner import Spawner

SERVERS = (
    Path("/usr/lib/openssh/sftp-server"),
    Path("/usr/libexec/sftp-server"),
    Path("/usr/lib/ssh/sftp-server"),
)
MOUNT_S = 20.0


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A folder that lies on another machine, as far as the system knows."""
    server = next((path for path in SERVERS if path.exists()), None)
    if server is None or not shutil.which("sshfs") or not shutil.which("fusermount3"):
        pytest.skip("no sshfs, fusermount3 or sftp-server here")
    folder, there = tmp_path / "mounted", tmp_path / "there"
    folder.mkdir()
    there.mkdir()
    ours, theirs = socket.socketpair()
    with (tmp_path / "sshfs.log").open("wb") as log, ours, theirs:
        serving = subprocess.Popen([str(server)], stdin=theirs.fileno(), stdout=theirs.fileno())
        words = ["sshfs", "-f", "-o", "passive", f"there:{there}", str(folder)]
        mounting = subprocess.Popen(words, stdin=ours.fileno(), stdout=ours.fileno(), stderr=log)
    try:
        if not is_mounted(folder, mounting):
            pytest.skip(f"nothing can be mounted here: {(tmp_path / 'sshfs.log').read_text().strip()}")
        yield folder
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(folder)], capture_output=True, check=False)
        for each in (mounting, serving):
            each.kill()
            each.wait()


def is_mounted(folder: Path, mounting: subprocess.Popen[bytes]) -> bool:
    """Whether it is, once it is or *mounting* gave up."""
    deadline = time.monotonic() + MOUNT_S
    while not kind_at(folder).startswith("fuse."):
        if mounting.poll() is not None or time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_mount_of_another_machine_is_refused_with_the_reason_and_a_remedy_that_can_be_typed(
    mounted: Path, isolated_home: dict[str, str], thrum_spawner: Spawner
) -> None:
    there = Repo.make(mounted.with_name("there") / "project", isolated_home)
    before = sorted(path.name for path in there.path.iterdir())

    refused = Cli(thrum_spawner, mounted / "project", there.env).refused("init", "--non-interactive")

    assert "network file system (fuse.sshfs), where locks and syncs may not hold" in refused
    assert "thrum init --no-daemon && thrum config set store.allow_network_fs true" in refused
    assert sorted(path.name for path in there.path.iterdir()) == before
    assert not (there.path / ".git/thrum-sync").exists()
    with pytest.raises(DaemonError, match="Operation not permitted") as told:
        address.listen(mounted / "thrum.sock")  # where it is allowed, what sshfs lacks is told as that
    assert told.value.hint == "the file system holds none: move the repository to a local disk"


def test_what_a_daemon_said_last_comes_with_its_hint(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    log.write_text("Error: an older one\nHint: an old hint\nError: it cannot\nHint: do this\nstopped\n")
    told = process.why_it_ended(log)
    assert told is not None and (str(told), told.hint) == ("the daemon ended: it cannot", "do this")
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(DaemonError, match="the daemon ended: it cannot") as ended:
        process.wait_until_up(gone.pid, is_up=lambda: False, log=log)
    assert ended.value.hint == "do this"
    log.write_text("Error: it cannot\n")
    told = process.why_it_ended(log)
    assert told is not None and told.hint.startswith("see ")

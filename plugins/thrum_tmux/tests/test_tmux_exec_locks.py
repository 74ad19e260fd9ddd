"""Locks of commands in clean panes: one holder at a time, whatever is destroyed or cleaned up meanwhile."""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from thrum_tmux.exec.job import Order, run
from thrum_tmux.exec.locks import locked
from thrum_tmux.exec.server import ExecServer
from thrum_tmux.exec.sessions import Sessions

from thrum_kernel.errors import NotFound


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ExecServer]:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm"}
    made = ExecServer(f"thrum-test-exec-{secrets.token_hex(4)}", env)
    yield made
    made.ask("kill-server")
    for left in made.folder.glob(f"{made.socket}*"):
        left.unlink()


def is_free(path: Path) -> bool:
    """Whether somebody who comes now would have the lock at once."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


@pytest.mark.parametrize("kind", ["queue", "busy"])
def test_destroy_leaves_a_lock_to_whoever_holds_it(server: ExecServer, tmp_path: Path, kind: str) -> None:
    sessions = Sessions(server, {"PATH": os.environ["PATH"]}, user="me")
    sessions.create("held", cwd=tmp_path)
    with locked(server.lock_file("held", kind)):
        sessions.destroy("held")

        assert not is_free(server.lock_file("held", kind))

    assert is_free(server.lock_file("held", kind))


def test_a_session_that_is_not_there_leaves_no_lock_files(server: ExecServer) -> None:
    sessions = Sessions(server, {"PATH": os.environ["PATH"]}, user="me")

    with pytest.raises(NotFound, match='session "nope" not found'):
        run(server, sessions, "nope", Order("true"), lambda data: None)

    assert not list(server.folder.glob(f"{server.socket}.nope.*"))


def test_a_lock_whose_file_was_deleted_is_none(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    inside = threading.Event()

    def wait() -> None:
        with locked(path):
            inside.set()

    waiter = threading.Thread(target=wait)
    with locked(path):
        waiter.start()
        until = time.monotonic() + 20
        while [file.path for file in psutil.Process().open_files()].count(str(path)) < 2:
            assert time.monotonic() < until
            time.sleep(0.01)
        path.unlink()
        newer = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(newer, fcntl.LOCK_EX)
    while [file.path for file in psutil.Process().open_files()].count(str(path)) < 2:
        assert not inside.is_set() and time.monotonic() < until
        time.sleep(0.01)
    os.close(newer)
    waiter.join(20)
    assert inside.is_set()

"""Commands in clean panes of a real tmux server of the tests' own."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from thrum_tmux.exec.job import Order, _Job, run
from thrum_tmux.exec.server import ExecServer
from thrum_tmux.exec.sessions import Sessions
from thrum_tmux.exec.stream import Ended, Stream

from thrum_kernel.errors import NotFound, Refused, UsageError


@dataclass
class Pool:
    server: ExecServer
    sessions: Sessions
    env: dict[str, str]

    def run(self, command: str, *, session: str = "", **order: object) -> tuple[bytes, Ended]:
        output = bytearray()
        given = {"cwd": Path("/"), "env": self.env, "timeout_s": 20.0, **order}
        ended = run(
            self.server, self.sessions, session or self.sessions.pool, Order(command, **given), output.extend
        )
        return bytes(output), ended


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path_factory.mktemp("home")),
        "LANG": "C.UTF-8",
        "TERM": "xterm",
    }
    server = ExecServer(f"thrum-test-exec-{secrets.token_hex(4)}", env)
    yield Pool(server, Sessions(server, env, user="me"), env)
    server.ask("kill-server")
    for left in server.folder.glob(f"{server.socket}*"):
        left.unlink()


def gone(pid: int) -> bool:
    """Whether a process ends soon, or is only waiting to be buried."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("command", "output", "status"),
    [
        ("echo hi; exit 3", b"hi\n", 3),
        ("printf 'a\\tb \\r\\n  no newline'", b"a\tb \r\n  no newline", 0),
        ("true", b"", 0),
        ("printf 'ü%.0s' {1..300}; echo; echo wide", "ü".encode() * 300 + b"\nwide\n", 0),
        ("printf '\\033]0;not ended'", b"\x1b]0;not ended", 0),
        ("echo out; echo err >&2", b"out\nerr\n", 0),
        ("kill -9 $$", b"", 137),
        ("pwd; test -t 0 && test -t 1 && echo terminal", b"/\nterminal\n", 0),
        ("echo $X; trap 'echo bye' EXIT", b"\nbye\n", 0),
    ],
)
def test_output_and_status_are_the_commands_own(pool: Pool, command: str, output: bytes, status: int) -> None:
    assert pool.run(command) == (output, Ended(status, "done"))


def test_much_output_comes_whole(pool: Pool) -> None:
    output, _ = pool.run("seq 1 60000")
    assert output == b"".join(b"%d\n" % number for number in range(1, 60001))


def test_the_environment_is_the_callers_and_not_the_panes(pool: Pool) -> None:
    output, _ = pool.run('echo "$COLOUR ${TMUX-none} ${PS1-none}"', env={**pool.env, "COLOUR": "a 'b'\n$c"})
    assert output == b"a 'b'\n$c none none\n"


def test_what_is_left_in_the_background_ends_with_the_command(pool: Pool) -> None:
    output, ended = pool.run("sleep 300 & echo $!")
    assert ended.how == "done"
    assert gone(int(output))


def test_a_command_that_takes_too_long_is_ended_and_the_pane_is_clean_again(pool: Pool) -> None:
    output, ended = pool.run("echo $$; stty raw -echo; sleep 300", timeout_s=0.5)
    assert ended.how == "timeout"
    assert gone(int(output))
    assert pool.run("stty -a | grep -c ' icanon'") == (b"1\n", Ended(0, "done"))


def test_a_command_that_will_not_be_interrupted_is_killed(pool: Pool) -> None:
    output, ended = pool.run(
        "trap '' INT TERM; echo $$; while :; do sleep 1; done", timeout_s=0.3, grace_s=0.2
    )
    assert ended == Ended(137, "timeout")
    assert gone(int(output))


def test_commands_at_the_same_time_wait_for_each_other(pool: Pool) -> None:
    found: dict[int, tuple[bytes, Ended]] = {}

    def go(number: int) -> None:
        found[number] = pool.run(f"for i in 1 2 3; do echo {number}; sleep 0.02; done; exit {number}")

    threads = [threading.Thread(target=go, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: (b"%d\n" % n * 3, Ended(n, "done")) for n in range(4)}


def test_a_pane_that_is_taken_away_is_told_at_once(pool: Pool) -> None:
    def take_away() -> None:
        deadline = time.monotonic() + 10
        while (
            "sleep" not in [row["command"] for row in pool.sessions.names()] and time.monotonic() < deadline
        ):
            time.sleep(0.02)
        pool.sessions.destroy(pool.sessions.pool)

    thread = threading.Thread(target=take_away)
    thread.start()
    with pytest.raises(Refused, match="the pane ended"):
        pool.run("exec sleep 300", timeout_s=60)
    thread.join()
    assert pool.run("echo again")[0] == b"again\n"


def test_a_session_of_ones_own_keeps_its_shell(pool: Pool, tmp_path: Path) -> None:
    sessions = pool.sessions
    sessions.create("mine", cwd=tmp_path)
    with pytest.raises(Refused, match="exists already"):
        sessions.create("mine", cwd=tmp_path)
    sessions.type_line("mine", "export COLOUR=grün; cd /; : -dash 'ü'")
    assert pool.run("echo $COLOUR; pwd", session="mine", cwd=None, env=None)[0] == "grün\n/\n".encode()
    output, _ = pool.run("sleep 300 & echo $!", session="mine", cwd=None, env=None, sweep=False)
    assert psutil.pid_exists(int(output))
    psutil.Process(int(output)).kill()
    assert "grün" in "\n".join(sessions.captured("mine"))
    sessions.clear("mine")
    assert "grün" not in "\n".join(sessions.captured("mine"))
    sessions.type_line("mine", "exec cat")
    with pytest.raises(Refused, match="cat has the pane"):
        pool.run("echo typed into cat", session="mine")
    sessions.destroy("mine")
    with pytest.raises(NotFound):
        pool.run("true", session="mine")


def test_a_command_that_is_done_before_its_caller_looks_again(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    until = _Job._until

    def slow(*given: object) -> None:
        until(*given)  # type: ignore[arg-type]
        deadline = time.monotonic() + 10
        while list(tmp_path.glob("*/pane")) and time.monotonic() < deadline:
            time.sleep(0.01)  # the runner takes it away as it ends

    monkeypatch.setattr(_Job, "_until", slow)
    assert pool.run("echo hi") == (b"hi\n", Ended(0, "done"))


def test_nothing_is_left_behind(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pool.run("true")
    with pytest.raises(UsageError):
        ExecServer("x;y", pool.env).ask("ls")
    assert list(tmp_path.iterdir()) == []


def test_a_mark_is_found_however_the_bytes_are_cut() -> None:
    whole = b"typed\r\n\x1b]7717;begin;n;42\x07one\r\n\x1b[1mtwo\x1b]7717;end;n;7;done\x07after"
    for size in (1, 2, 3, 7, len(whole)):
        stream = Stream("n")
        output = b"".join(stream.feed(whole[at : at + size]) for at in range(0, len(whole), size))
        assert output == b"one\n\x1b[1mtwo"
        assert (stream.runner, stream.ended) == (42, Ended(7, "done"))


def test_the_marks_of_another_job_are_only_output() -> None:
    stream = Stream("n")
    assert stream.feed(b"\x1b]7717;begin;n;1\x07a\x1b]7717;end;m;0;done\x07b\n") != b""
    assert stream.ended is None

"""Commands in process: with no daemon, with one that may not be reached, and how one is started."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NoReturn

import pytest
from cli_daemon import SmallDaemon
from cli_program import Program

from thrum_kernel.cli import autostart
from thrum_kernel.errors import (
    CacheUnavailable,
    DaemonError,
    DaemonNotRunning,
    DaemonUnreachable,
    Projecting,
    ShuttingDown,
)
from thrum_kernel.paths import Paths, find


def place(project: Path) -> Paths:
    return find(project, env={"HOME": "/nowhere"})


def test_a_command_that_needs_no_daemon_looks_into_the_files(in_process: Program) -> None:
    ran = in_process("look")

    assert (ran.status, ran.out) == (0, b"['from files']\n")


def test_it_asks_the_daemon_when_there_is_one(daemon: SmallDaemon, in_process: Program) -> None:
    daemon.kept.sent.append("from the daemon")

    assert in_process("look").out == b"['from the daemon']\n"


def test_no_daemon_is_started_after_a_deliberate_stop(in_process: Program) -> None:
    place(in_process.cwd).stopped.touch()

    ran = in_process("inbox")

    assert ran.status == 1
    assert ran.err == b"Error: daemon is not running (it was stopped on purpose)\nHint: thrum daemon start\n"
    assert not place(in_process.cwd).pid_file.exists()


def test_no_daemon_is_started_where_that_is_switched_off(in_process: Program) -> None:
    place(in_process.cwd).config.write_text('{"daemon": {"autostart": false}}')

    assert in_process("inbox").err.startswith(b"Error: daemon is not running\n")


def test_no_daemon_is_started_for_a_socket_that_the_caller_names(in_process: Program) -> None:
    ran = in_process("inbox", THRUM_SOCKET="/run/other.sock")

    assert ran.status == 1
    told = b"Error: no daemon listens at /run/other.sock (THRUM_SOCKET)\nHint: unset THRUM_SOCKET\n"
    assert ran.err == told
    assert not place(in_process.cwd).pid_file.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_socket_that_may_not_be_reached_starts_nothing(daemon: SmallDaemon, in_process: Program) -> None:
    daemon.socket.chmod(0)

    ran = in_process("inbox")

    assert ran.err.startswith(b"Error: cannot reach the daemon: Permission denied")


def test_being_refused_is_not_the_same_as_nobody_there(in_process: Program) -> None:
    def refused(path: Path, *, timeout_s: float) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(DaemonUnreachable, match="Permission denied"):
        autostart.is_up(place(in_process.cwd), connect=refused)
    assert not autostart.is_up(place(in_process.cwd))


def test_local_commands_see_the_whole_environment_and_others_the_allowed_part(
    daemon: SmallDaemon, in_process: Program
) -> None:
    ran = in_process("where", "--json", SECRET="s", THRUM_LAUNCHER="/x", THRUM_REQUEST_ID="r", THRUM_ROLE="a")

    assert ran.json["env"] == ["HOME", "LC_ALL", "THRUM_ROLE"]


def test_the_request_id_of_the_thin_client_goes_on(daemon: SmallDaemon, in_process: Program) -> None:
    in_process("send", "one", THRUM_REQUEST_ID="abc")
    in_process("send", "two", THRUM_REQUEST_ID="abc")

    assert daemon.kept.sent == ["one"], "the second try of a request changes nothing"
    assert daemon.kept.requests == ["abc.1"]


def test_both_ways_number_their_calls_alike(daemon: SmallDaemon, thrum: Program) -> None:
    thrum("send", "one")

    assert [request.rpartition(".")[2] for request in daemon.kept.requests] == ["1"]


def test_the_progress_of_a_rebuild_is_told_while_it_lasts(tmp_path: Path) -> None:
    answers = iter([Projecting(12), Projecting(12), Projecting(90), {"status": "ok"}])
    told: list[str] = []

    class Rebuilding:
        def call(self, method: str, /, **params: object) -> object:
            answer = next(answers)
            if isinstance(answer, Projecting):
                raise answer
            return answer

    autostart.wait_until_projected(Rebuilding(), told.append, log=tmp_path, patience_s=0)

    assert told == ["projecting 12 %", "projecting 90 %"]


def test_a_daemon_that_cannot_make_its_cache_is_not_waited_for(tmp_path: Path) -> None:
    class Failed:
        def call(self, method: str, /, **params: object) -> object:
            return {"status": "ok", "sync_state": str(CacheUnavailable("no space left on the disk"))}

    told: list[str] = []
    autostart.wait_until_projected(Failed(), told.append, log=tmp_path, patience_s=0)

    assert told == []


@pytest.mark.parametrize("error", [DaemonNotRunning(), DaemonUnreachable("gone"), ShuttingDown()])
def test_a_daemon_that_ends_while_it_is_waited_for_is_asked_why(tmp_path: Path, error: DaemonError) -> None:
    log = tmp_path / "daemon.log"
    log.write_text(
        "Error: long ago\nT INFO x: daemon d_1 of thrum 0.11.0 starts (PID 1)\nError: no space left\n"
    )

    class Ending:
        def call(self, method: str, /, **params: object) -> object:
            raise error

    with pytest.raises(DaemonError, match="the daemon ended: no space left"):
        autostart.wait_until_projected(Ending(), [].append, log=log)
    log.unlink()
    with pytest.raises(type(error)):
        autostart.wait_until_projected(Ending(), [].append, log=log)


def test_a_daemon_of_another_version_is_told() -> None:
    class Old:
        def call(self, method: str, /, **params: object) -> object:
            return {"status": "ok", "version": "0.10.0+abc"}

    assert "the daemon runs thrum 0.10.0, this is 0.11.0" in autostart.version_skew(Old(), "0.11.0")
    assert autostart.version_skew(Old(), "0.10.0") == ""


def test_a_reader_that_goes_away_ends_the_command_silently(daemon: SmallDaemon, in_process: Program) -> None:
    running = in_process.start("noisy", "200000")
    assert running.stdout is not None
    running.stdout.read(10)
    running.stdout.close()

    assert running.wait(20) == 141


def test_only_the_owner_may_enter_the_folder_that_is_made(tmp_path: Path) -> None:
    (tmp_path / ".thrum").mkdir()
    (tmp_path / ".thrum" / "config.json").write_text('{"daemon": {"autostart": false}}')

    with pytest.raises(DaemonNotRunning):
        autostart.ensure(place(tmp_path), {})
    with autostart._alone(place(tmp_path)):
        mode = place(tmp_path).var.stat().st_mode

    assert stat.S_IMODE(mode) == 0o700

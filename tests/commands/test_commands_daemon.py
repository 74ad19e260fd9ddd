"""Starting and stopping real processes in a daemon's place, its log, its units."""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path

import psutil
import pytest
from command_run import run

from thrum_kernel.cli import daemon_log, process, units
from thrum_kernel.cli.lifecycle import Lifecycle
from thrum_kernel.clock import parse_us
from thrum_kernel.errors import DaemonError, DaemonNotRunning, FileDamaged, NotInitialized
from thrum_kernel.paths import Paths


def test_start_gives_a_daemon_that_answers_and_is_nobodys_child(daemon: Lifecycle, where: Paths) -> None:
    started = daemon.start()
    assert not started.was_running
    assert process.is_answering(where.socket)
    found = psutil.Process(started.pid)
    assert found.ppid() not in (os.getpid(), 0)
    assert found.pid != os.getpid()
    cwd, session, descriptors = json.loads((where.var / "facts").read_text())
    assert (cwd, session) == ("/", started.pid)
    assert descriptors <= 6  # standard ones, the socket, the folder being listed


def test_start_hands_on_settings_but_nobodys_identity(daemon: Lifecycle, where: Paths) -> None:
    daemon.start()
    env = json.loads((where.var / "environment").read_text())
    assert env["THRUM_WS_PORT"] == "9"
    assert "THRUM_NAME" not in env


def test_start_again_is_told_that_it_runs(daemon: Lifecycle) -> None:
    first = daemon.start()
    again = daemon.start()
    assert (again.pid, again.was_running) == (first.pid, True)


def test_stop_waits_for_the_end_and_stays_stopped_until_start(daemon: Lifecycle, where: Paths) -> None:
    pid = daemon.start().pid
    assert daemon.stop().pid == pid
    assert not process.is_running(pid)
    assert where.stopped.exists()
    with pytest.raises(DaemonNotRunning):
        daemon.stop()
    daemon.start()
    assert not where.stopped.exists()


def test_restart_is_another_process(daemon: Lifecycle, where: Paths) -> None:
    first = daemon.start().pid
    second = daemon.restart().pid
    assert second != first
    assert not process.is_running(first)
    assert not where.stopped.exists()


def test_restart_with_a_damaged_configuration_leaves_the_daemon_alone(
    daemon: Lifecycle, where: Paths
) -> None:
    pid = daemon.start().pid
    where.config.write_bytes(b'{"half')
    with pytest.raises(FileDamaged):
        daemon.restart()
    assert process.is_running(pid)


def test_start_of_one_that_ends_says_its_last_words(where: Paths) -> None:
    script = "import sys; sys.exit('Error: the disk is on fire')"
    lifecycle = Lifecycle(where, {}, words=lambda repo, **_: [sys.executable, "-c", script])
    where.var.mkdir()
    where.log.write_text("Error: of yesterday\n")
    with pytest.raises(DaemonError, match="the daemon ended: the disk is on fire") as caught:
        lifecycle.start()
    assert str(where.log) in caught.value.hint


def test_start_of_a_program_that_is_not_there(where: Paths) -> None:
    with pytest.raises(DaemonError, match="cannot start the daemon"):
        Lifecycle(where, {}, words=lambda repo, **_: ["/no/such/program"]).start()


def test_start_where_nothing_is_initialised(tmp_path: Path) -> None:
    empty = Paths(tmp_path, tmp_path / ".thrum", tmp_path / ".thrum", tmp_path, tmp_path / "T")
    with pytest.raises(NotInitialized):
        Lifecycle(empty, {}).start()


def test_a_pid_that_is_somebody_elses_now_is_not_running(where: Paths) -> None:
    where.var.mkdir()
    me = psutil.Process()
    where.pid_file.write_text(json.dumps({"pid": me.pid, "start_time": me.create_time() - 100}))
    assert process.running(where.pid_file) is None
    where.pid_file.write_text(json.dumps({"pid": me.pid, "start_time": me.create_time()}))
    assert process.running(where.pid_file) is not None


@pytest.mark.parametrize("text", ["", "{", "\x00" * 20])
def test_a_half_written_pid_file_names_nobody(where: Paths, text: str) -> None:
    where.var.mkdir()
    where.pid_file.write_text(text)
    assert process.running(where.pid_file) is None


@pytest.mark.parametrize("text", ["{}", '{"pid": -1}', '{"pid": "x"}', "[1]"])
def test_a_pid_file_without_a_pid_is_damaged(where: Paths, text: str) -> None:
    where.var.mkdir()
    where.pid_file.write_text(text)
    with pytest.raises(FileDamaged):
        process.running(where.pid_file)


def test_a_pid_file_with_a_plain_number_is_read(where: Paths) -> None:
    where.var.mkdir()
    where.pid_file.write_text(f"{os.getpid()}\n")
    found = process.running(where.pid_file)
    assert found is not None and found.pid == os.getpid()


# --- the commands ----------------------------------------------------------------------------------------------------


def test_status_of_none_ends_with_1_but_with_0_in_json(where: Paths) -> None:
    text = run("daemon", "status", cwd=where.repo)
    assert (text.status, text.out) == (1, "Daemon: not running\n  Start it: thrum daemon start\n")
    ran = run("daemon", "status", "--json", cwd=where.repo)
    assert (ran.status, ran.json) == (0, {"running": False, "status": "not running"})


def test_status_shows_identity_plugins_and_counts(daemon: Lifecycle, where: Paths) -> None:
    pid = daemon.start().pid
    answer = {
        "status": "ok",
        "uptime_ms": 65_000,
        "version": "0.11.0",
        "sync_state": "local-only",
        "ws_port": 9999,
        "identity": {
            "daemon_id": "d_1",
            "repo_name": "project",
            "hostname": "h",
            "repo_path": "/p",
            "init_at": "",
        },
        "counts": {"messages": 2, "agents": 1},
        "plugins": [
            {"name": "tmux", "distribution": "thrum-tmux", "version": "1", "state": "active"},
            {"name": "x", "distribution": "thrum-x", "state": "failed", "error": "no"},
        ],
        "services": [{"name": "kernel.publish", "state": "restarting", "error": "boom", "restarts": 1}],
        "warnings": ["clock skew 3 s"],
    }
    ran = run("daemon", "status", cwd=where.repo, answers={"daemon.status": answer})
    assert ran.status == 0
    assert ran.out == (
        "Daemon: running (ok)\n"
        f"  PID:       {pid}\n"
        f"  Repo:      {where.repo}\n"
        "  Uptime:    1m 5s\n"
        "  Version:   0.11.0\n"
        "  Sync:      local-only\n"
        "  WebSocket: ws://localhost:9999/ws\n"
        "  Counts:    2 messages, 1 agent\n"
        "  Warning: clock skew 3 s\n"
        "  Service kernel.publish restarting: boom (1 restart)\n"
        "Identity:\n"
        "  Daemon id: d_1\n"
        "  Repo:      project\n"
        "  Host:      h\n"
        "  Path:      /p\n"
        "Plugins:\n"
        "  tmux  active    thrum-tmux 1\n"
        "  x     failed    thrum-x\n"
        "      failed: no\n"
    )
    shown = run("daemon", "status", "--json", cwd=where.repo, answers={"daemon.status": answer}).json
    assert (shown["running"], shown["pid"], shown["uptime"]) == (True, pid, "1m 5s")


def test_stop_warns_what_no_longer_works(daemon: Lifecycle, where: Paths) -> None:
    daemon.start()
    ran = run("daemon", "stop", cwd=where.repo)
    assert ran.status == 0
    assert "Messaging commands fail until it runs again" in ran.out
    again = run("daemon", "stop", cwd=where.repo)
    assert (again.status, again.err.splitlines()[0]) == (1, "Error: daemon is not running")


def test_start_says_that_one_is_running(daemon: Lifecycle, where: Paths) -> None:
    pid = daemon.start().pid
    ran = run("daemon", "start", cwd=where.repo)
    assert (ran.status, ran.out) == (0, f"daemon is already running (PID {pid}) for repo {where.repo}\n")


def test_commands_outside_any_project_say_how_to_make_one(tmp_path: Path) -> None:
    ran = run("daemon", "status", cwd=tmp_path)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.splitlines()[1] == "Hint: run: thrum init"


def test_token_is_alone_on_standard_output() -> None:
    minted = {
        "token_id": "t1",
        "principal": "alice",
        "expires_at": "2030-01-01T00:00:00.000000Z",
        "token": "tok_X",
    }
    ran = run("daemon", "token", "--ttl", "8h", answers={"token.mint": minted})
    assert ran.params("token.mint") == {"ttl_s": 28_800}
    assert ran.out == "tok_X\n"
    assert ran.err.startswith("Speaks for alice, ")


def test_token_list_and_revoke() -> None:
    listed = {
        "tokens": [
            {"token_id": "t1", "principal": "alice", "created_at": "", "expires_at": "2030-01-01T00:00:00Z"}
        ]
    }
    assert run("daemon", "token", "--list", answers={"token.list": listed}).out.startswith(
        "t1  alice  until in "
    )
    done = {"token_id": "t1", "revoked": True}
    assert (
        run("daemon", "token", "--revoke", "t1", answers={"token.revoke": done}).out
        == "✓ Token revoked: t1\n"
    )


def test_adopt_says_which_daemon_this_is_now() -> None:
    ran = run("daemon", "adopt", "--new", answers={"daemon.adopt": {"daemon_id": "d_2", "restart": True}})
    assert ran.params("daemon.adopt") == {"new": True}
    assert ran.out == "✓ This daemon is d_2\n  Takes effect after: thrum daemon restart\n"


# --- the log ---------------------------------------------------------------------------------------------------------


def _line(minute: int, text: str) -> str:
    return f"2026-06-23T12:{minute:02d}:00.000000Z INFO    thrum: {text}"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    old = tmp_path / "daemon-20260623T120000-1.log.gz"
    old.write_bytes(gzip.compress("\n".join(_line(n, f"old {n}") for n in range(3)).encode() + b"\n"))
    current = tmp_path / "daemon.log"
    current.write_text("\n".join([_line(3, "new 3"), "  a traceback", _line(4, "new 4")]) + "\n")
    return current


def test_log_gives_the_last_lines_and_reaches_into_rotated_files(log: Path) -> None:
    assert daemon_log.read(log, last=2) == ["  a traceback", _line(4, "new 4")]
    assert daemon_log.read(log, last=4) == [_line(2, "old 2"), *daemon_log.read(log, last=3)]
    assert len(daemon_log.read(log)) == 6


def test_log_since_a_time_keeps_whole_entries(log: Path) -> None:
    assert daemon_log.read(log, since_us=parse_us("2026-06-23T12:03:00Z")) == daemon_log.read(log, last=3)
    assert len(daemon_log.read(log, since_us=parse_us("2026-06-23T12:01:00Z"))) == 5
    assert daemon_log.read(log, since_us=parse_us("2026-06-24T00:00:00Z")) == []


def test_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert daemon_log.read(tmp_path / "daemon.log") == []


def test_follow_gives_whole_lines_and_goes_on_after_rotation(log: Path) -> None:
    looks = iter(range(20))
    steps = daemon_log.follow(log, is_wanted=lambda: next(looks) < 19, poll_s=0)
    assert next(steps) == []
    with log.open("a") as stream:
        stream.write("whole\nhal")
    assert next(steps) == ["whole"]
    with log.open("a") as stream:
        stream.write("f\n")
    assert next(steps) == ["half"]
    log.unlink()
    assert next(steps) == []
    log.write_text("after\n")
    assert next(steps) == ["after"]


def test_logs_command_filters_and_counts(where: Paths, log: Path) -> None:
    where.var.mkdir()
    where.log.write_bytes(log.read_bytes())
    assert run("daemon", "logs", "-n", "1", cwd=where.repo).out == _line(4, "new 4") + "\n"
    shown = run("daemon", "logs", "--since", "2026-06-23T12:04:00Z", "--json", cwd=where.repo).json
    assert shown == {"lines": [_line(4, "new 4")]}
    assert run("daemon", "logs", "-f", "--json", cwd=where.repo).status == 1


# --- units -----------------------------------------------------------------------------------------------------------


def test_systemd_unit_quotes_what_needs_it() -> None:
    text = units.systemd(Path("/a b"), ["/py", "-m", "thrum_kernel", "daemon", "run", "--repo", "/a b/50%"])
    assert 'ExecStart=/py -m thrum_kernel daemon run --repo "/a b/50%%"\n' in text
    assert "KillMode=process\n" in text  # agents in tmux go on


def test_launchd_unit_escapes_what_needs_it() -> None:
    text = units.launchd(Path("/a&b"), ["/py", "/a&b"], log=Path("/l"))
    assert "<string>/a&amp;b</string>" in text


def test_unit_names_differ_where_folders_share_a_name() -> None:
    assert units.unit_name(Path("/a/x y")) != units.unit_name(Path("/b/x y"))
    assert units.unit_name(Path("/a/x y")).startswith("thrum-x-y-")


def test_unit_command_prints_the_unit_alone(where: Paths) -> None:
    ran = run("daemon", "unit", "--systemd", cwd=where.repo)
    assert ran.out.startswith("[Unit]\n")
    assert "systemctl --user enable --now thrum-" in ran.err

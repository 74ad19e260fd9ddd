"""Start, stop, restart, crash: one daemon at a time, and it comes back with everything."""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from daemon_house import House, health, is_alive

from thrum_kernel.cli.lifecycle import Lifecycle
from thrum_kernel.errors import DaemonError, StoreError
from thrum_kernel.paths import find
from thrum_kernel.testing.waiting import until


def test_start_when_it_runs_says_so(house: House) -> None:
    pid = house.pid

    said = house.person("daemon", "start")

    assert said == f"daemon is already running (PID {pid}) for repo {house.repo.path}\n"
    assert house.pid == pid


def test_run_when_another_runs_is_refused(house: House) -> None:
    pid = house.pid

    done = house.person.in_process().run("daemon", "run")

    assert done.status == 1
    assert done.err.startswith("Error: ")
    assert str(pid) in done.err
    assert health(house.socket)["status"] == "ok"


@pytest.fixture
def usual_port_taken(house: House) -> Iterator[None]:
    """The daemon has a port of its own, which no other daemon of this machine wants."""
    house.person("daemon", "stop")
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # somebody else has it: just as well
            other.bind(("127.0.0.1", 9999))
            other.listen()
        house.person("daemon", "start")
        yield


def test_restart_keeps_identity_port_and_messages(house: House, usual_port_taken: None) -> None:
    sent = house.alice.json("send", "before the restart", "--to", "@bob")["message_id"]
    before = house.status()

    house.person("daemon", "restart")

    after = house.status()
    assert after["pid"] != before["pid"]
    assert after["ws_port"] == before["ws_port"] not in (0, 9999)
    assert after["identity"] == before["identity"]
    assert after["counts"] == before["counts"]
    assert house.bob.json("message", "get", sent)["message"]["body"]["content"] == "before the restart"


def test_a_crash_is_healed_by_the_next_command(house: House) -> None:
    sent = house.alice.json("send", "before the crash", "--to", "@bob")["message_id"]
    old = house.pid

    house.kill()
    assert house.socket.exists()  # what a dead daemon leaves behind
    found = house.bob.json("inbox", "--unread", "--page-size", "100")

    assert sent in [message["message_id"] for message in found["messages"]]
    assert house.pid != old


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_daemon_of_a_job_that_ignores_signals_heeds_them(house: House, number: signal.Signals) -> None:
    house.person("daemon", "stop")
    job = replace(
        house.person, program=("sh", "-c", 'trap "" INT QUIT TERM; exec "$0" "$@"', *house.person.program)
    )

    job("daemon", "start")
    pid = house.pid
    os.kill(pid, number)
    until(lambda: not is_alive(pid))

    assert not house.socket.exists()
    assert house.alice.run("inbox").status == 0


def test_two_commands_after_a_crash_start_one_daemon(house: House) -> None:
    house.kill()

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: house.alice.run("team", "--json"), range(6)))

    assert [answer.status for answer in answers] == [0] * 6, answers
    starts = [
        line for line in house.person("daemon", "logs", "-n", "0").splitlines() if " starts (PID " in line
    ]
    alive = [line for line in starts if is_alive(int(line.rpartition("PID ")[2].rstrip(")")))]
    assert len(alive) == 1


def test_a_daemon_that_cannot_make_its_cache_ends_and_every_command_says_why(house: House) -> None:
    house.kill()
    cache, in_the_way = (house.thrum / "var" / name for name in ("messages.db", "messages.rebuild.db"))
    in_the_way.mkdir()
    told = []
    try:
        for who, words, status in (
            (house.person, ("daemon", "start"), 1),
            (house.alice.in_process(), ("wait", "--timeout", "60s"), 2),
        ):
            cache.unlink()
            told.append(who.refused(*words, status=status))
    finally:
        in_the_way.rmdir()

    assert {line.partition(":")[0] for text in told for line in text.splitlines()} == {"Error", "Hint"}, told
    assert all("the daemon ended: " in text and "messages.rebuild.db" in text for text in told), told
    assert house.alice.run("inbox").status == 0


def test_explicit_stop_is_told_and_nothing_starts_it_again(house: House) -> None:
    pid = house.pid

    said = house.person("daemon", "stop")

    assert said.startswith(f"✓ Daemon stopped (PID {pid})")
    assert "thrum daemon start" in said
    assert not is_alive(pid)
    assert not house.socket.exists()
    refused = house.alice.refused("send", "hello", "--to", "@bob")
    assert refused.startswith("Error: ")
    assert "thrum daemon start" in refused
    assert house.person.json("daemon", "status")["running"] is False
    assert house.alice("whoami", "--field", "agent_id").strip() == "alice"  # needs no daemon
    house.person("daemon", "start")
    assert house.alice("send", "hello", "--to", "@bob").startswith("✓ Message sent: ")


def test_a_daemon_that_does_not_end_is_named_and_killed_only_by_force(house: House) -> None:
    pid, where = house.pid, find(house.repo.path, env=house.repo.env)
    sent = house.alice.json("send", "before the kill", "--to", "@bob")["message_id"]
    lifecycle = Lifecycle(where, house.repo.env, grace_s=0.3)
    where.blocked.write_text("plugin acme (acme 1.0) has blocked the loop")
    os.kill(pid, signal.SIGSTOP)  # it does not hear that it is to end
    try:
        with pytest.raises(DaemonError, match=r"did not stop within 0\.3 s: plugin acme") as refused:
            lifecycle.stop()
        assert refused.value.hint.endswith("thrum daemon stop --force") and is_alive(pid)
        assert not where.stopped.exists()

        ended = lifecycle.stop(force=True)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    assert ended.pid == pid and "plugin acme" in ended.killed and not is_alive(pid)
    left = (where.pid_file, where.socket, where.blocked)
    assert where.stopped.exists() and not [path for path in left if path.exists()]
    house.person("daemon", "start")
    assert house.bob.json("message", "get", sent)["message"]["body"]["content"] == "before the kill"


def test_run_in_the_foreground_ends_with_0_on_sigterm(house: House, tmp_path: Path) -> None:
    house.person("daemon", "stop")
    running = house.person.in_process().background("daemon", "run", output=tmp_path / "output.txt")
    until(house.socket.exists)
    until(lambda: health(house.socket)["sync_state"] == "local-only")

    running.signal(signal.SIGTERM)

    assert running.wait() == 0
    assert not house.socket.exists()
    assert not (house.thrum / "var/thrum.pid").exists()
    house.person("daemon", "start")


def test_status_shows_everything_for_people_and_programs(house: House) -> None:
    found = house.person.json("daemon", "status")
    text = house.person("daemon", "status")

    assert found["running"] is True and found["status"] == "ok"
    assert found["pid"] == house.pid
    assert set(found["identity"]) == {
        "daemon_id",
        "repo_name",
        "hostname",
        "repo_path",
        "git_origin_url",
        "init_at",
    }
    assert all({"name", "state"} <= set(plugin) for plugin in found["plugins"])
    assert found["counts"]["agents"] == 2
    assert found["uptime"] and found["uptime_ms"] > 0
    for words in (
        "Uptime:",
        "Identity:",
        found["identity"]["daemon_id"],
        "2 agents",
        f"PID:       {house.pid}",
    ):
        assert words in text


def test_logs_by_number_and_time(house: House) -> None:
    everything = house.person("daemon", "logs", "-n", "0").splitlines()

    assert house.person("daemon", "logs", "-n", "2").splitlines() == everything[-2:]
    assert house.person("daemon", "logs", "--since", "1h").splitlines() == everything
    assert house.person("daemon", "logs", "--since", "2999-01-01") == ""
    assert house.person.json("daemon", "logs", "-n", "1")["lines"] == everything[-1:]
    assert any("ready" in line for line in everything)


def test_restart_under_load_never_has_two_daemons(own_house: House, tmp_path: Path) -> None:
    sender = Path(__file__).parents[1] / "contract/sender.py"
    outputs = [tmp_path / f"load-{number}.txt" for number in range(3)]
    for output in outputs:
        load = own_house.alice.spawner.start(
            [sys.executable, sender, own_house.socket, "@bob", "4"],
            cwd=own_house.alice.cwd,
            env=own_house.alice.env,
            output=output,
        )
        until(lambda output=output: output.exists() and "msg_" in output.read_text())
        own_house.person("daemon", "restart")
        assert load.wait() == 0

    spans = life_spans(own_house.person("daemon", "logs", "-n", "0").splitlines())
    assert len(spans) == 4
    for (_, ended), (begun, _) in itertools.pairwise(spans):
        assert ended < begun
    acknowledged = [
        word for output in outputs for word in output.read_text().split() if word.startswith("msg_")
    ]
    assert acknowledged
    found = own_house.bob.json("inbox", "--unread", "--page-size", "1")
    assert found["unread"] == own_house.status()["counts"]["messages"] >= len(acknowledged)
    assert own_house.person.json("log", "verify")["ok"]


def life_spans(log: list[str]) -> list[tuple[str, str]]:
    """When each daemon began and stopped, by the log; one that has not stopped ends after all others."""
    begun = [line.split()[0] for line in log if " starts (PID " in line]
    ended = [line.split()[0] for line in log if line.endswith("process: stopped")]
    return list(zip(begun, [*ended, "9"], strict=True))


def test_a_wait_that_is_pending_does_not_hold_up_a_stop(house: House, tmp_path: Path) -> None:
    output = tmp_path / "wait.txt"
    waiting = house.bob.background("wait", "--timeout", "50s", "--json", output=output)
    until(lambda: house.status()["waits"] == 1)

    house.person("daemon", "restart")

    log = house.person("daemon", "logs", "-n", "0").splitlines()
    begun, ended = (
        [line.split()[0] for line in log if line.endswith(f"process: {what}")][-1]
        for what in ("stopping", "stopped")
    )
    took = datetime.fromisoformat(ended) - datetime.fromisoformat(begun)
    assert took < timedelta(seconds=10)  # it was not drained, which ends after 12
    sent = house.alice.json("send", "after the restart", "--to", "@bob")["message_id"]
    assert waiting.wait(30) == 0
    assert [message["message_id"] for message in json.loads(output.read_text())["messages"]] == [sent]


def test_shutdown_leaves_no_accepted_request_unanswered(house: House) -> None:
    """Every request is answered, or its connection is closed and nothing of it happened."""
    until(lambda: "messages" in house.status()["counts"])
    before = house.status()["counts"]["messages"]
    unread = house.bob.json("inbox", "--unread", "--page-size", "1")["unread"]
    program = Path(__file__).with_name("daemon_shutdown_load.py")
    done = house.alice.spawner.run(
        [sys.executable, program, house.socket, str(house.pid), "@bob"],
        cwd=house.alice.cwd,
        env=house.alice.env,
    )
    assert done.status == 0, done.err
    load = json.loads(done.out)

    house.person("daemon", "start")
    assert load["answered"], load
    assert house.status()["counts"]["messages"] - before == len(load["answered"])
    found = house.bob.json("inbox", "--unread", "--page-size", "1")
    assert found["unread"] - unread == len(load["answered"])
    assert load["refused_otherwise"] == []


def test_a_restart_on_a_full_disk_is_refused_and_the_daemon_goes_on(house: House) -> None:
    env = house.person.env
    where = find(house.repo.path, env=env)

    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    before = house.pid
    with pytest.raises(StoreError, match=r"no space left on the disk of .*: the daemon goes on as it was"):
        Lifecycle(where, env, try_write=full).restart()

    assert house.pid == before
    assert Lifecycle(where, env).restart().pid != before
    assert not [path for path in where.var.iterdir() if path.name.startswith("tmp")]

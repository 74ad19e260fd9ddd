"""Monitors with a real daemon, real commands and real processes."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pytest
from monitor_house import MARKED, House, is_running, processes_of, python, session_of

from thrum_kernel.testing.harness import Cli
from thrum_kernel.testing.waiting import until

KILLS = 40 if os.environ.get("THRUM_SOAK") else 1


def test_a_line_that_matches_is_a_message_and_a_stop_ends_the_command(house: House) -> None:
    monitor = house.watch_log(match="FAIL|panic:")
    pid = house.show("build")["pid"]
    house.write("all is well")
    house.write("panic: nil")

    until(house.texts, what="the alarm")
    house.write("FAIL again")
    until(lambda: house.show("build").get("suppressed"), what="the count")
    listed = house.cli.json("monitor", "list")
    shown = house.cli("monitor", "show", "build")
    said = house.cli("monitor", "stop", "build")

    assert [each["name"] for each in listed] == ["build"]
    assert (listed[0]["status"], listed[0]["target"], listed[0]["pid"]) == ("running", "@rev", pid)
    assert f"Status:      running (PID {pid})" in shown and "panic: nil" in shown
    assert said == f"Stopped monitor {monitor}\n"
    assert not is_running(pid) and not session_of(pid)
    until(lambda: len(house.texts()) == 2, what="what was suppressed")
    assert house.texts() == ["panic: nil", "FAIL again\n(suppressed during last 1m)"]
    (first, *_) = house.cli.json("inbox", "--unread", "--from", "@monitor:build")["messages"]
    assert first["agent_id"] == "monitor:build"
    assert house.cli.json("monitor", "list") == []
    assert house.cli.json("monitor", "list", "--all")[0]["status"] == "stopped"
    house.cli("inbox")
    house.cli("monitor", "delete", "build")


def test_words_after_the_dashes_are_the_commands(house: House) -> None:
    start = ("monitor", "add", "--name", "echo", "--match", "x", "--to", "rev")
    done = json.loads(
        house.cli("--json", *start, "--", "sh", "-c", 'echo "$@"; sleep 600', "sh", "--json", "--help")
    )
    until(lambda: "--json --help" in house.cli("monitor", "logs", "echo"), what="the output")
    assert set(done) == {"id", "pid"} and house.show("echo")["target"] == "@rev"
    lines = house.cli.json("monitor", "logs", "echo", "-n", "1")
    assert [line["text"] for line in lines] == ["--json --help"] and lines[0]["at"].endswith("Z")
    assert house.cli("monitor", "logs", "echo", "--matches") == "Nothing matched yet.\n"
    house.cli("monitor", "delete", "echo")


def test_mistakes_are_one_clear_line(house: House) -> None:
    start = ("monitor", "start", "--name", "new", "--match", "x", "--to", "@rev")
    for words, told in (
        (("monitor", "start", "--name", "n", "--to", "@rev", "--", "true"), "Error: --match is missing"),
        ((*start, "--debounce", "soon", "--", "true"), 'Error: invalid duration "soon" for --debounce'),
        ((*start, "--env", "NOT_MINE", "--", "true"), "Error: --env NOT_MINE: you have no such variable"),
        ((*start, "--", "no-such-program"), "Error: there is no program no-such-program"),
        ((*start, "--", "true", "\udcff"), r"Error: b'\xff' is no UTF-8"),
        (("monitor", "stop", "ghost"), "Error: monitor not found: ghost"),
    ):
        assert house.cli.refused(*words).splitlines()[0] == told
    assert house.cli.json("monitor", "list", "--all") == []


def test_a_program_is_found_by_the_callers_path_and_its_variables_are_passed_on(
    house: House, tmp_path: Path
) -> None:
    program = tmp_path / "my-check"
    program.write_text("#!/bin/sh\necho FAIL got ${#TOKEN}\nsleep 600\n")
    program.chmod(0o755)
    cli = house.cli.at(house.cli.cwd, PATH=f"{tmp_path}:{house.cli.env['PATH']}", TOKEN="hunter22")
    words = ("--name", "mine", "--match", "FAIL", "--to", "@rev", "--env", "TOKEN", "--", "my-check")
    cli("monitor", "start", *words)
    until(house.texts, what="the alarm")
    assert house.texts() == ["FAIL got 8"]
    assert "hunter22" not in json.dumps(house.show("mine"))
    house.cli("inbox")
    house.cli("monitor", "delete", "mine")


def test_a_monitor_outlives_its_daemon_and_doctor_tells_of_dead_ones(house: House) -> None:
    house.watch_log("again")
    pid = house.show("again")["pid"]
    house.cli("daemon", "stop")
    assert not is_running(pid)
    house.cli("daemon", "start")
    until(lambda: house.show("again").get("pid") not in (None, pid), what="the next start")
    house.write("FAIL after the restart", name="again")
    until(house.texts, what="the alarm")
    looked = house.cli.run("doctor", "--json").out
    assert "1 running" in json.dumps(json.loads(looked))
    folder = house.repo.path / ".git" / "thrum-sync" / "plugins" / "monitor" / "env"
    house.start("secret", "sleep", "600", env="TOKEN=hunter22")
    (kept,) = folder.iterdir()
    kept.chmod(0o644)
    assert f"{kept} can be read by others" in house.cli.run("doctor").out
    house.cli("inbox")
    for name in ("again", "secret"):
        house.cli("monitor", "delete", name)


@pytest.mark.soak
def test_a_daemon_that_is_killed_at_any_moment_leaves_no_process_behind(house: House, tmp_path: Path) -> None:
    chance = random.Random(6)
    mark = str(tmp_path)
    code = "import time\nwhile True: print('FAIL', flush=True); time.sleep(0.05)"
    house.start("loud", *python(code), env=f"{MARKED}={mark}")
    for number in range(KILLS):
        doing = chance.choice((("restart", "loud"), ("stop", "loud"), ("restart", "loud")))
        word = house.cli.background("monitor", *doing, output=tmp_path / f"{number}.txt")
        until(lambda: chance.random() < 0.2, what="a moment")
        kill_daemon(house.cli)
        word.wait(60)
        house.cli("daemon", "start")
        until(lambda: is_alone(house, "loud", mark), what="the end of what was left")
    house.cli("monitor", "restart", "loud")
    house.cli("monitor", "delete", "loud")
    assert not processes_of(mark)
    house.cli("inbox")


def is_alone(house: House, name: str, mark: str) -> bool:
    """Whether there are no processes but those of its present run, if it should run."""
    shown = house.show(name)
    if shown["status"] != "running":
        return not processes_of(mark)
    pid = shown.get("pid")
    return pid is not None and is_running(pid) and set(processes_of(mark)) <= set(session_of(pid))


def kill_daemon(cli: Cli) -> None:
    pid = json.loads((cli.cwd / ".thrum" / "var" / "thrum.pid").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)

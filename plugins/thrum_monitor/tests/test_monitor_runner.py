"""The process that starts, reads and ends commands, with real ones."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import psutil
import pytest
from monitor_house import is_running, python, session_of
from monitor_runner import Talk
from thrum_monitor.frames import Ended, Forget, Go, Launch, Matched, Ping, Pong, Running, Skipped, Stop
from thrum_monitor.link import Link, RunnerLost

from thrum_kernel.api import PluginContext
from thrum_kernel.testing.waiting import until

SOAK_S = 600.0 if os.environ.get("THRUM_SOAK") else 1.0


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    with Talk(tmp_path / "output") as made:
        yield made


def test_a_command_is_run_read_and_told(talk: Talk, tmp_path: Path) -> None:
    code = "import sys,os; print('out FAIL'); print('err FAIL', file=sys.stderr); print(os.getcwd()); sys.exit(3)"
    talk.launch(*python(code), cwd=str(tmp_path))
    assert talk.hear(Ended).status == 3
    told = [line for word in talk.words if isinstance(word, Matched) for line in word.lines]
    assert told == ["out FAIL", "err FAIL"]
    lines = talk.lines()
    assert str(tmp_path) in lines and lines[-1] == "— exited with status 3"


def test_its_input_is_empty_and_it_inherits_nothing(talk: Talk) -> None:
    code = (
        "import os,sys,signal; print('read', repr(sys.stdin.read())); print('fds', os.listdir('/dev/fd'));"
        " print('pipe', signal.getsignal(signal.SIGPIPE)); print('leads', os.getsid(0) == os.getpgid(0) == os.getpid())"
    )
    talk.launch(*python(code))
    talk.hear(Ended)
    lines = talk.lines()
    assert "read ''" in lines and "leads True" in lines
    (descriptors,) = [line for line in lines if line.startswith("fds")]
    assert descriptors.count("'") == 8, f"0, 1, 2 and the one that lists them: {descriptors}"


def test_nothing_is_done_before_it_was_written_down(talk: Talk, tmp_path: Path) -> None:
    made = tmp_path / "made"
    pid = talk.launch("touch", str(made), go=False)
    assert is_running(pid) and not made.exists()
    talk.hang_up()
    talk.process.wait(20)
    assert not is_running(pid) and not made.exists()


@pytest.mark.parametrize(
    ("argv", "cwd", "told"),
    [
        (["no-such-program"], "/", "No such file or directory"),
        (["/etc/passwd"], "/", "Permission denied"),
        (["true"], "/no/such/folder", "No such file or directory"),
    ],
)
def test_a_command_that_cannot_be_started_says_why(talk: Talk, argv: list[str], cwd: str, told: str) -> None:
    talk.launch(*argv, cwd=cwd)
    ended = talk.hear(Ended)
    assert ended.status == 127 and told in ended.error
    assert not any(isinstance(word, Running) for word in talk.words)


def test_a_stop_asks_first_and_kills_what_does_not_listen(talk: Talk) -> None:
    polite = talk.launch("sh", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done")
    deaf = talk.launch(
        *python("import signal,time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(600)"),
        run="run_2",
    )
    talk.until(lambda: talk.lines().count("up") == 2)
    talk.say(Stop(run="run_1", grace_s=20))
    talk.say(Stop(run="run_2", grace_s=0.1))
    assert talk.hear(Ended).status == 7
    assert talk.hear(Ended, "run_2").status == -signal.SIGKILL
    assert not is_running(polite) and not is_running(deaf)
    assert "bye" in talk.lines()


def test_what_a_command_leaves_running_ends_with_it_whoever_holds_its_output(talk: Talk) -> None:
    code = (
        "import os,signal,time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    os.setpgid(0, 0)\n"
        "    print('grandchild', os.getpid()); time.sleep(600)\n"
        "time.sleep(0.3); print('leader FAIL'); os._exit(0)\n"
    )
    pid = talk.launch(*python(code))
    talk.until(lambda: talk.matched() == 1)
    (line,) = [line for line in talk.lines() if line.startswith("grandchild")]
    grandchild = int(line.split()[1])
    assert is_running(grandchild)
    talk.say(Stop(run="run_1", grace_s=0.1))
    assert talk.hear(Ended).status == 0
    assert not is_running(grandchild) and not session_of(pid)


def test_when_the_daemon_is_gone_everything_ends_and_the_output_is_kept(talk: Talk) -> None:
    pids = [
        talk.launch("sh", "-c", "echo up; sleep 600 & sleep 600", run=f"run_{number}") for number in range(3)
    ]
    talk.until(lambda: talk.lines().count("up") == 3)
    talk.hang_up()
    talk.process.wait(20)
    assert not any(session_of(pid) for pid in pids)
    with Talk(talk.folder) as later:
        assert later.lines().count("up") == 3
        later.say(Forget(monitor="mon_1"))
        assert later.lines() == []


def test_a_flood_is_read_and_told_without_growing(talk: Talk) -> None:
    """Thirty-two MB in short lines, without end, and faster than the budget."""
    runner = psutil.Process(talk.process.pid)
    flood = "import os\nfor _ in range(128): os.write(1, b'some line of a log\\n' * 13797)\nprint('the last FAIL')"
    talk.launch(*python(flood), bytes_a_second=1 << 30)
    talk.launch(*python(flood.replace("\\n'", "'")), run="run_2", bytes_a_second=1 << 30)
    before = runner.memory_info().rss
    most = before

    def over() -> bool:
        nonlocal most
        most = max(most, runner.memory_info().rss)
        return sum(isinstance(word, Ended) for word in talk.words) == 2

    talk.until(over)
    assert most - before < 16 << 20
    assert talk.matched() == 2
    talk.launch(*python(flood), run="run_3", bytes_a_second=1 << 20)
    talk.hear(Ended, "run_3")
    assert sum(word.count for word in talk.words if isinstance(word, Skipped)) > 16 << 20


def test_an_evil_neighbour_does_no_harm(talk: Talk) -> None:
    """Its pattern takes long and its output never ends; the other is heard at once."""
    evil = "import os\nwhile True: os.write(1, b'ab' * 30000)"
    talk.launch(*python(evil), pattern="[ab]*a[ab]{400}c", run="run_2", monitor="mon_2")
    talk.hear(Skipped, "run_2")
    talk.launch("sh", "-c", "echo FAIL; sleep 600")
    assert talk.hear(Matched).lines == ["FAIL"]


def test_matches_are_told_a_few_times_a_second_and_all_counted(talk: Talk) -> None:
    talk.launch(*python("print('FAIL\\n' * 200_000)"), bytes_a_second=1 << 30)
    talk.hear(Ended)
    assert (
        talk.matched() + sum(word.count for word in talk.words if isinstance(word, Skipped)) // 5 >= 199_999
    )
    assert sum(isinstance(word, Matched) for word in talk.words) < 50
    assert all(len(word.lines) <= 2 for word in talk.words if isinstance(word, Matched))


def test_secrets_are_hidden_in_what_is_told_and_kept(talk: Talk) -> None:
    talk.launch("sh", "-c", "echo FAIL $TOKEN", env={"TOKEN": "hunter22"}, secrets=["hunter22"])
    talk.hear(Ended)
    assert talk.hear(Matched).lines == ["FAIL <redacted>"]
    assert "FAIL <redacted>" in talk.lines()
    kept = until(lambda: [path.read_text() for path in talk.folder.glob("*.json")])
    assert "hunter22" not in "".join(kept)


def test_a_runner_that_was_asked_to_end_ends_everything(talk: Talk) -> None:
    pid = talk.launch("sleep", "600")
    talk.hear(Running)
    os.kill(talk.process.pid, signal.SIGTERM)
    talk.process.wait(20)
    assert not is_running(pid)


def test_a_bad_launch_is_an_end(talk: Talk) -> None:
    talk.say(
        Launch(
            run="run_1", monitor="m", argv=[sys.executable], env={}, cwd="/", pattern="(", bytes_a_second=1
        )
    )
    assert "missing )" in talk.hear(Ended).error
    talk.say(Go(run="run_1"))
    talk.say(Stop(run="run_1", grace_s=0))
    assert talk.lines() == []


@pytest.mark.soak
def test_memory_stays_flat_while_output_never_ends(talk: Talk) -> None:
    """Ten minutes in the soak: a log, an endless line, more than the budget, and a storm of matches, side by side."""
    steady = "import os,time\nwhile True: os.write(1, b'some line of a log\\n' * 1000); time.sleep(0.02)"
    endless = steady.replace("\\n'", "'")
    storm = steady.replace("some line", "FAIL line").replace("1000", "100")
    flood = steady.replace("; time.sleep(0.02)", "")
    for number, code in enumerate((steady, endless, storm, flood)):
        talk.launch(*python(code), run=f"run_{number}", monitor=f"mon_{number}", bytes_a_second=4 << 20)
    runner = psutil.Process(talk.process.pid)
    settle(talk, SOAK_S / 10)
    settled = runner.memory_info().rss
    settle(talk, SOAK_S)
    assert runner.memory_info().rss - settled < 4 << 20
    assert all(is_running(child.pid) for child in runner.children())
    assert len(runner.children()) == 4


def settle(talk: Talk, seconds: float) -> None:
    """Let everything go on for a while; what the runner says is heard and forgotten."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        talk.listen()
        talk.words.clear()


def test_a_runner_that_gives_no_answer_is_noticed_while_nobody_asks_for_anything(
    talk: Talk, tmp_path: Path
) -> None:
    talk.say(Ping())
    talk.until(lambda: Pong() in talk.words, what="the answer")

    async def stopped() -> int:
        link = Link(cast(PluginContext, None), tmp_path, grace_s=1.0, hear=lambda word: None, beat_s=0.02)
        pid = await link.open()
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(RunnerLost, match="it gave no answer for"):
            await link.listen()
        await link.close()
        return pid

    assert not is_running(asyncio.run(stopped()))

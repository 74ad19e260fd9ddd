"""What an earlier daemon left behind is ended, and nobody else's process is."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import psutil
import pytest
from monitor_house import is_running, python
from thrum_monitor import leftovers
from thrum_monitor.leftovers import Left
from thrum_monitor.sessions import MARK

from thrum_kernel.api import Process
from thrum_kernel.testing.waiting import until

ORPHAN = "import os,time\nif os.fork() == 0: print(os.getpid(), flush=True); time.sleep(600)\nos._exit(0)"
DEAF = "import signal,time\nsignal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


def process(pid: int) -> Process | None:
    """As the kernel tells it."""
    if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
        return None
    return Process(pid, 0, int(psutil.Process(pid).create_time() * 100))


def start_time(pid: int) -> int:
    found = process(pid)
    assert found is not None
    return found.start_time


class Started:
    """Commands as the runner starts them; ended with the test."""

    def __init__(self) -> None:
        self._all: list[subprocess.Popen[bytes]] = []

    def __call__(self, *argv: str, run: str = "run_1") -> subprocess.Popen[bytes]:
        env = {**os.environ, MARK: run}
        made = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, start_new_session=True)
        self._all.append(made)
        return made

    def end(self) -> None:
        for each in self._all:
            each.kill()
            each.wait()
            assert each.stdout is not None
            each.stdout.close()


@pytest.fixture
def started() -> Iterator[Started]:
    made = Started()
    yield made
    made.end()


def orphan(started: Started) -> tuple[int, int]:
    """The session of a leader that has ended, and the process that it left."""
    leader = started(*python(ORPHAN))
    assert leader.stdout is not None
    left = int(leader.stdout.readline())
    leader.wait()
    return leader.pid, left


def end(*left: Left, runner: Left | None = None, grace_s: float = 10.0) -> list[int]:
    return leftovers.end(left, process=process, grace_s=grace_s, runner=runner, runner_s=grace_s)


def test_a_command_is_ended_when_id_and_start_time_fit(started: Started) -> None:
    sleep = started("sleep", "600")
    assert end(Left("run_1", sleep.pid, start_time(sleep.pid))) == []
    assert sleep.wait(10) == -signal.SIGTERM


def test_another_process_that_has_the_number_now_is_left_alone(started: Started) -> None:
    sleep = started("sleep", "600")
    assert end(Left("run_1", sleep.pid, start_time(sleep.pid) + 1)) == []
    assert is_running(sleep.pid)


def test_one_that_does_not_listen_is_killed(started: Started) -> None:
    deaf = started(*python(DEAF))
    assert deaf.stdout is not None and deaf.stdout.readline() == b"up\n"
    assert end(Left("run_1", deaf.pid, start_time(deaf.pid)), grace_s=0.1) == []
    assert deaf.wait(10) == -signal.SIGKILL


def test_what_a_dead_leader_left_is_ended_when_it_carries_the_mark(started: Started) -> None:
    leader, left = orphan(started)
    try:
        end(Left("run_other", leader, 1))
        assert is_running(left), "a session of somebody else that got the number"
        end(Left("run_1", leader, 1))
        until(lambda: not is_running(left), what="its end")
    finally:
        if is_running(left):
            os.kill(left, signal.SIGKILL)


def test_the_runner_is_given_time_and_then_killed(started: Started) -> None:
    deaf = started(*python(DEAF))
    end(runner=Left("", deaf.pid, start_time(deaf.pid) + 1), grace_s=0.1)
    assert is_running(deaf.pid)
    end(runner=Left("", deaf.pid, start_time(deaf.pid)), grace_s=0.1)
    assert deaf.wait(10) == -signal.SIGKILL


def test_nothing_is_left_of_nothing() -> None:
    assert end() == [] and end(Left("run_1", 2**22 - 1, 1)) == []

"""kill -9 at any moment: no process is left behind after the next start, no alarm is missing or told twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from monitor_house import processes_of
from monitor_victim import rev

from thrum_kernel.clock import SystemClock
from thrum_kernel.testing.harness import Repo
from thrum_kernel.testing.kernel import Kernel, running
from thrum_kernel.testing.waiting import until

FULL = bool(os.environ.get("THRUM_SOAK"))
POINTS = 60
"""More than there are."""
TRIED = POINTS if FULL else 1


def died(repo: Repo, home: str, point: int) -> bool:
    """Whether the victim was killed; otherwise there is no such point."""
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("monitor_victim.py")),
            str(repo.path),
            home,
            str(point),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def rows(repo: Repo, sql: str) -> list[tuple[str, ...]]:
    """Rows of local.db."""
    with sqlite3.connect(repo.path / ".git" / "thrum-sync" / "local.db") as db:
        return db.execute(sql).fetchall()


def told(kernel: Kernel) -> list[str]:
    """The keys of all alarms in the log."""
    sql = "SELECT ref_value FROM message_refs WHERE ref_type = 'monitor'"
    return [row[0] for row in kernel.context("monitor").read(sql)]


@pytest.mark.soak
def test_whenever_the_daemon_is_killed_nothing_is_left_and_every_alarm_is_told_once(
    repo: Repo, isolated_home: dict[str, str]
) -> None:
    chance = random.Random(20261122)
    points = range(1, POINTS + 1) if FULL else chance.sample(range(1, 18), TRIED)
    deaths = 0
    for point in points:
        if not died(repo, isolated_home["HOME"], point):
            break
        deaths += 1
        runners = rows(repo, "SELECT pid FROM monitor_runner")
        if chance.random() < 0.5 and runners:  # then nobody but the next daemon ends what it left
            kill(int(runners[0][0]))
        due = {row[0] for row in rows(repo, "SELECT key FROM monitor_alarms")}
        next_start(repo, isolated_home, due)
    assert deaths > 20 if FULL else deaths == TRIED


def next_start(repo: Repo, env: dict[str, str], due: set[str]) -> None:
    """Start a kernel, and see what it makes of what the last one left."""
    mark = str(repo.path)
    before = processes_of(mark)
    with running(repo, clock=SystemClock(), env={"THRUM_PLUGINS_STRICT": "1", **env}) as kernel:
        agent = rev(kernel)
        should_run = agent.call("monitor.list")
        kernel.until(lambda: not kernel.context("monitor").read("SELECT 1 FROM monitor_alarms", local=True))
        kernel.until(lambda: not set(before) & set(processes_of(mark)))
        if should_run:
            kernel.until(
                lambda: any(each.get("pid") in processes_of(mark) for each in agent.call("monitor.list"))
            )
        keys = told(kernel)
        assert len(keys) == len(set(keys)), "an alarm was told twice"
        assert due <= set(keys), "an alarm is missing"
        for monitor in agent.call("monitor.list", include_all=True):
            agent.call("monitor.delete", id=monitor["id"])
        until(lambda: not processes_of(mark), what="the end of every command")


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return

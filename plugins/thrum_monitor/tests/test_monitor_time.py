"""Windows, schedules and restarts as time passes; the kernel's clock stands until the test moves it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from monitor_house import MARKED, processes_of, python
from thrum_monitor.desk import Desk
from thrum_monitor.model import IdParams, MonitorView, StartParams
from thrum_monitor.restarts import Restarts

from thrum_kernel.api import Call
from thrum_kernel.testing.clock import SettableClock
from thrum_kernel.testing.kernel import Agent, Kernel


class Hurried:
    """A desk of the plugin whose restarts wait for milliseconds, and that looks at the clock all the time."""

    def __init__(self, kernel: Kernel, rev: Agent) -> None:
        self.kernel = kernel
        self.rev = rev
        self._desk = Desk(
            kernel.context("monitor"), restarts=lambda: Restarts(first_delay_s=0.001), look_s=0.02
        )
        services = (self._desk.alarms.run, self._desk.keeper.run)
        self._tasks = [kernel.run(self._task(run)) for run in services]

    async def _task(self, run: Any) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(run(lambda: None))

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.kernel.run(self._gathered())

    async def _gathered(self) -> None:
        await asyncio.wait(self._tasks)

    def start(self, *argv: str, **params: Any) -> str:
        given = {"name": "m", "match": "FAIL", "target": f"@{self.rev.name}", "cwd": "/", **params}
        return self.call("start", StartParams(argv=list(argv), **given)).id

    def call(self, method: str, params: Any) -> Any:
        call = cast(Call, _Asked(self.rev))
        return self.kernel.run(getattr(self._desk.methods, method)(call, params))

    def show(self) -> MonitorView:
        return self._desk.methods.show(cast(Call, _Asked(self.rev)), IdParams(id="m"))


class _Asked:
    request_id = ""

    def __init__(self, rev: Agent) -> None:
        self.caller = rev.caller


@pytest.fixture
def desk(kernel: Kernel, rev: Agent) -> Iterator[Hurried]:
    made = Hurried(kernel, rev)
    yield made
    made.call("delete", IdParams(id="m"))
    made.close()


def test_what_was_suppressed_is_told_at_the_end_of_the_window_and_then_the_next_match_at_once(
    desk: Hurried, kernel: Kernel, rev: Agent, clock: SettableClock
) -> None:
    code = "import sys,time\nfor n in range(3): print('FAIL', n)\ntime.sleep(600)"
    desk.start(*python(code), debounce_seconds=45)
    kernel.until(lambda: desk.show().suppressed == 2)
    kernel.until(rev.inbox)
    assert rev.inbox() == ["FAIL 0"]
    clock.advance(44.9)
    kernel.run(asyncio.sleep(0.1))
    assert rev.inbox() == ["FAIL 0"]
    clock.advance(0.2)
    kernel.until(lambda: len(rev.inbox()) == 2)
    assert rev.inbox()[1] == "FAIL 1\n(+1 more matches suppressed in the last 45s)"
    assert desk.show().suppressed == 0


def test_a_command_that_keeps_ending_is_given_up_and_its_death_is_a_message(
    desk: Hurried, kernel: Kernel, rev: Agent
) -> None:
    desk.start("sh", "-c", "echo broken; exit 4")
    kernel.until(lambda: desk.show().status == "dead")
    kernel.until(rev.inbox)
    why = "its command ended 8 times in a row within 10 s, the last exited with status 4"
    assert desk.show().reason == why and desk.show().last_exit_code == 4
    (told,) = rev.inbox()
    assert told.splitlines() == [
        f"Monitor m is dead: {why}.",
        "What it printed: thrum monitor logs m",
        "Start it again: thrum monitor restart m",
    ]
    assert desk.call("restart", IdParams(id="m")).pid
    kernel.until(lambda: len(rev.inbox()) == 2)


def test_a_schedule_starts_the_command_at_its_moments_and_ends_one_that_hangs(
    desk: Hurried, kernel: Kernel, rev: Agent, clock: SettableClock
) -> None:
    desk.start("sh", "-c", "echo FAIL; sleep 600", schedule="*/10 * * * *", timeout_seconds=1)
    assert rev.inbox() == [] and desk.show().next_run_at.endswith("0:00.000000Z")
    clock.advance(601)
    kernel.until(lambda: len(rev.inbox()) == 2)
    assert rev.inbox() == [
        "FAIL",
        "Monitor m: its run was ended, it took longer than 1s.\nWhat it printed: thrum monitor logs m",
    ]
    kernel.until(lambda: desk.show().next_run_at)
    assert desk.show().last_exit_code == -15 and desk.show().status == "running"
    clock.advance(600)
    kernel.until(lambda: len(rev.inbox()) == 4)


def test_a_stop_while_the_service_begins_is_a_stop(kernel: Kernel, rev: Agent, tmp_path: Path) -> None:
    """The service starts what should run; one that was stopped at that moment should not."""
    for delay_s in (0.0, 0.02, 0.05, 0.1):
        first = Hurried(kernel, rev)
        first.start("sleep", "600", name=f"m{delay_s}", env={MARKED: str(tmp_path)})
        first.close()
        second = Hurried(kernel, rev)
        kernel.run(asyncio.sleep(delay_s))
        second.call("stop", IdParams(id=f"m{delay_s}"))
        kernel.until(lambda: not processes_of(str(tmp_path)))
        kernel.run(asyncio.sleep(0.2))  # nothing comes of it later either
        assert not processes_of(str(tmp_path))
        second.close()


def test_a_scheduled_command_that_is_gone_is_given_up(
    desk: Hurried, kernel: Kernel, rev: Agent, clock: SettableClock
) -> None:
    script = rev.repo.path / "check"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    desk.start(str(script), schedule="* * * * *")
    script.unlink()
    kernel.until(lambda: clock.advance(60) or desk.show().status == "dead")
    kernel.until(rev.inbox)
    assert "could not be started 5 times in a row" in rev.inbox()[0]

"""Services are kept running, restarted, given up and cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from thrum_kernel.api import Service
from thrum_kernel.clock import SystemClock
from thrum_kernel.plugins import supervisor
from thrum_kernel.plugins.supervisor import Supervisor


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_DELAY_S", 0.001)


def test_a_service_is_up_when_start_returns_and_gone_after_stop() -> None:
    async def story() -> None:
        ended = asyncio.Event()

        async def work(started: Callable[[], None]) -> None:
            started()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        keeper = Supervisor(SystemClock())
        await keeper.start(Service("a.b", work))
        assert keeper.states["a.b"].state == "running"

        await keeper.stop_all()

        assert ended.is_set()
        assert keeper.states["a.b"].state == "ended"

    asyncio.run(story())


def test_a_failing_service_is_restarted_then_given_up_and_hurts_no_sibling() -> None:
    async def story() -> None:
        runs: list[int] = []

        async def broken(started: Callable[[], None]) -> None:
            runs.append(1)
            started()
            raise RuntimeError("no luck")

        async def steady(started: Callable[[], None]) -> None:
            started()
            await asyncio.Event().wait()

        keeper = Supervisor(SystemClock())
        await keeper.start(Service("steady", steady))
        await keeper.start(Service("broken", broken))
        while keeper.states["broken"].state != "failed":  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)

        assert len(runs) == supervisor.FAILURES
        assert keeper.states["broken"].error == "RuntimeError: no luck"
        assert keeper.states["steady"].state == "running"
        await keeper.stop_all()

    asyncio.run(story())


def test_a_service_that_ignores_its_cancellation_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        release = asyncio.Event()

        async def stubborn(started: Callable[[], None]) -> None:
            started()
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        keeper = Supervisor(SystemClock())
        await keeper.start(Service("stubborn", stubborn, stop_time_s=0.01))

        await keeper.stop_all()
        release.set()
        await asyncio.wait([task for task in asyncio.all_tasks() if task is not asyncio.current_task()])

    asyncio.run(story())
    assert "stubborn ignores its cancellation" in caplog.text

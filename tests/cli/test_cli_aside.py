"""A command's function asks the loop and waits, on the loop itself or in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from thrum_kernel.cli.aside import answer, run_brief, run_threaded

HERE: ContextVar[str] = ContextVar("HERE", default="nowhere")

Way = Callable[..., Awaitable[Any]]


@pytest.fixture(params=["brief", "threaded"])
def way(request: pytest.FixtureRequest) -> Way:
    if request.param == "brief":
        return run_brief

    async def threaded(function: Callable[..., Any], *args: Any) -> Any:
        with ThreadPoolExecutor(1) as executor:
            return await run_threaded(executor, function, *args)

    return threaded


async def doubled(number: int) -> int:
    await asyncio.sleep(0.001)
    if number < 0:
        raise ValueError(f"{number} is negative")
    return 2 * number


def test_answers_come_in_order(way: Way) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()

        def function(*numbers: int) -> list[int]:
            return [answer(doubled(number), loop) for number in numbers]

        assert await way(function, 1, 2, 3) == [2, 4, 6]
        assert await way(lambda: "asks nothing") == "asks nothing"

    asyncio.run(story())


def test_what_fails_fails_where_it_was_asked(way: Way) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()

        def careful() -> int:
            try:
                return answer(doubled(-1), loop)
            except ValueError:
                return answer(doubled(21), loop)

        assert await way(careful) == 42
        with pytest.raises(ValueError, match="-3 is negative"):
            await way(lambda: answer(doubled(-3), loop))
        with pytest.raises(KeyError):
            await way({"something": 1}.__getitem__, "nothing")

    asyncio.run(story())


def test_the_loop_goes_on_meanwhile(way: Way) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        told = asyncio.Event()

        async def waits() -> str:
            await told.wait()
            return "told"

        first = asyncio.ensure_future(way(lambda: answer(waits(), loop)))
        assert await way(lambda: answer(doubled(1), loop)) == 2
        assert not first.done()
        told.set()
        assert await first == "told"

    asyncio.run(story())


def test_a_brief_one_stays_on_the_loop_and_in_its_context() -> None:
    async def story() -> None:
        HERE.set("in the task")
        assert await run_brief(lambda: (threading.current_thread(), HERE.get())) == (
            threading.current_thread(),
            "in the task",
        )

    asyncio.run(story())


def test_when_nobody_waits_any_more_a_brief_one_ends_where_it_stands() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        ends: list[str] = []

        def function() -> None:
            try:
                answer(asyncio.sleep(60), loop)
            finally:
                ends.append("cleaned up")

        task = asyncio.ensure_future(run_brief(function))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ends == ["cleaned up"]

    asyncio.run(story())

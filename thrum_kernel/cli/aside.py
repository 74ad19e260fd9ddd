"""How a command's function, which is synchronous, asks the loop and waits for the answer.

In a thread of its own it may take its time. Changing threads costs more than what most commands do, though: a brief
one runs on the loop itself, in a greenlet that is left while the loop finds the answer.

Source: DESIGN.md D4; docs/explanation/performance.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar, cast

import greenlet

P = ParamSpec("P")
T = TypeVar("T")


async def run_brief(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run *function* on the loop; what it asks for with `answer` is awaited here, by the calling task."""
    aside = greenlet.greenlet(function)
    aside.gr_context = copy_context()
    asked = aside.switch(*args, **kwargs)
    while not aside.dead:
        try:
            answered = await cast(Awaitable[Any], asked)
        except BaseException as error:  # noqa: BLE001 - whoever asked is told, also that nobody waits any more
            asked = aside.throw(error)
        else:
            asked = aside.switch(answered)
    return cast(T, asked)


async def run_threaded(
    executor: Executor, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run *function* in a thread of *executor*."""
    return await asyncio.get_running_loop().run_in_executor(executor, lambda: function(*args, **kwargs))


def answer(question: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """What *question* gives on the *loop*; for a function that `run_brief` or `run_threaded` runs."""
    caller = greenlet.getcurrent().parent
    if caller is not None:  # we are in a greenlet, so on the loop
        return cast(T, caller.switch(question))
    return asyncio.run_coroutine_threadsafe(question, loop).result()

"""Waiting for something to come true, with an end: for threads and for the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, overload

T = TypeVar("T")

PATIENCE_S: Final = 30.0
"""Long: nothing waits so long unless it fails."""
_FIRST_REST_S: Final = 0.005
_LONGEST_REST_S: Final = 0.2


def until(look: Callable[[], T], *, what: str = "it", limit_s: float = PATIENCE_S) -> T:
    """What *look* gives once that is true; looked at more and more seldom.

    Raises:
        AssertionError: it never is; *what* is named.
    """
    deadline = time.monotonic() + limit_s
    rest_s = _FIRST_REST_S
    while not (found := look()):
        assert time.monotonic() < deadline, _failure(what, limit_s, found)
        time.sleep(rest_s)
        rest_s = _longer(rest_s)
    return found


@overload
async def until_on_loop(
    look: Callable[[], Awaitable[T]], *, what: str = "it", limit_s: float = PATIENCE_S
) -> T: ...


@overload
async def until_on_loop(look: Callable[[], T], *, what: str = "it", limit_s: float = PATIENCE_S) -> T: ...


async def until_on_loop(
    look: Callable[[], T | Awaitable[T]], *, what: str = "it", limit_s: float = PATIENCE_S
) -> T:
    """`until`, for who shares the loop with what it waits for; *look* may be a coroutine function."""
    deadline = time.monotonic() + limit_s
    rest_s = _FIRST_REST_S
    while True:
        answer = look()
        found: T = await answer if isinstance(answer, Awaitable) else answer
        if found:
            return found
        assert time.monotonic() < deadline, _failure(what, limit_s, found)
        await asyncio.sleep(rest_s)
        rest_s = _longer(rest_s)


def _longer(rest_s: float) -> float:
    return min(rest_s * 1.4, _LONGEST_REST_S)


def _failure(what: str, limit_s: float, found: object) -> str:
    return f"{what} did not come true within {limit_s:g} s; last seen: {found!r}"

"""Waiting: until it is true, and no longer than asked."""

from __future__ import annotations

import asyncio

import pytest

from thrum_kernel.testing.waiting import until, until_on_loop


def test_the_first_true_answer_is_given() -> None:
    answers = iter([0, [], "third"])
    assert until(lambda: next(answers)) == "third"
    answers = iter([0, [], "third"])
    assert asyncio.run(until_on_loop(lambda: next(answers))) == "third"


def test_what_never_comes_true_is_named_with_what_was_seen_last() -> None:
    with pytest.raises(AssertionError, match=r"the alarm did not come true within 0.01 s; last seen: \[\]"):
        until(list, what="the alarm", limit_s=0.01)

    async def never() -> int:
        return 0

    with pytest.raises(AssertionError, match=r"the alarm did not come true .*; last seen: 0"):
        asyncio.run(until_on_loop(never, what="the alarm", limit_s=0.01))

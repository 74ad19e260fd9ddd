"""Topics: one encoding for all, subscriptions that end, failures that stay with their subscriber."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from thrum_kernel.bus.topics import Subscriptions, Topics

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Ear:
    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def push(self, frame: bytes) -> None:
        self.frames.append(frame)


async def test_a_frame_is_encoded_once_for_all() -> None:
    topics, ears = Topics(), [Ear() for _ in range(10)]
    for ear in ears:
        topics.attach("news", ear, as_method="heard")
    assert topics.publish("news", {"a": 1}) == 10
    assert topics.publish("other", {"a": 1}) == 0
    assert ears[0].frames == [b'{"jsonrpc":"2.0","method":"heard","params":{"a":1}}\n']
    assert all(ear.frames[0] is ears[0].frames[0] for ear in ears)


async def test_subscribing_twice_is_once_and_ends_with_the_connection() -> None:
    topics, ear = Topics(), Ear()
    held = Subscriptions(topics, ear)
    held.add("a", as_method="m")
    held.add("a", as_method="m")
    held.add("b", as_method="m")
    topics.publish("a", 1)
    assert len(ear.frames) == 1
    assert bool(held)
    held.end()
    assert not held
    assert topics.publish("a", 1) == topics.publish("b", 1) == 0
    assert topics.subscribers("a") == 0


async def test_a_sink_that_leaves_while_pushed_to_disturbs_nobody() -> None:
    topics, late = Topics(), Ear()

    class Leaver(Ear):
        def push(self, frame: bytes) -> None:
            topics.detach("news", self, as_method="m")
            topics.detach("news", late, as_method="m")

    topics.attach("news", Leaver(), as_method="m")
    topics.attach("news", late, as_method="m")
    topics.publish("news", 1)
    assert topics.publish("news", 2) == 0


async def test_callbacks_inside_get_the_payload_and_fail_alone(caplog: pytest.LogCaptureFixture) -> None:
    topics = Topics()
    got: list[Any] = []
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: failures.append(context["exception"])
    )
    topics.subscribe("news", lambda payload: 1 // 0)
    end = topics.subscribe("news", got.append)
    assert topics.publish("news", {"a": 1}) == 2
    await asyncio.sleep(0)
    assert got == [{"a": 1}]
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
    end()
    end()
    assert topics.publish("news", 1) == 1


async def test_what_json_cannot_say_reaches_nobody() -> None:
    topics, ear = Topics(), Ear()
    topics.attach("news", ear, as_method="m")
    with pytest.raises(TypeError):
        topics.publish("news", object())
    assert ear.frames == []

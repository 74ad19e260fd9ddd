"""The sending half of a connection: bounded for threads, and never a wait for whoever runs on the loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

from thrum_kernel.cli.outgoing import Outgoing
from thrum_kernel.cli.output import STDERR, STDOUT

MUCH = b"x" * (9 << 20)
"""More than is held for a client that takes nothing."""


class Slow:
    """A transport whose client takes nothing yet."""

    def __init__(self) -> None:
        self.taken = b""

    def write(self, data: bytes) -> None:
        self.taken += data


def test_a_command_on_the_loop_writes_all_it_has_to_say() -> None:
    wire = Slow()

    async def story() -> None:
        out = Outgoing(cast(Any, wire), asyncio.get_running_loop())
        out.write(STDOUT, MUCH)
        out.write(STDERR, b"and a hint")
        out.end_with(b"the end")

    loop = threading.Thread(target=lambda: asyncio.run(story()), daemon=True)
    loop.start()
    loop.join(20)
    assert len(wire.taken) > len(MUCH) and b"and a hint" in wire.taken and wire.taken.endswith(b"the end")


def test_a_thread_waits_until_the_client_has_taken_some() -> None:
    async def story() -> None:
        wire = Slow()
        out = Outgoing(cast(Any, wire), asyncio.get_running_loop())
        out.pause()
        written: list[str] = []

        def command() -> None:
            for word in ("first", "second"):
                out.write(STDOUT, MUCH)
                written.append(word)

        thread = threading.Thread(target=command)
        thread.start()
        async with asyncio.timeout(20):
            while not written:  # noqa: ASYNC110 - of a thread
                await asyncio.sleep(0)
            assert written == ["first"]
            out.resume()
            while thread.is_alive():  # noqa: ASYNC110 - of a thread
                await asyncio.sleep(0)
        out.send()
        assert written == ["first", "second"] and len(wire.taken) > 2 * len(MUCH)

    asyncio.run(story())

"""A transport in memory: keeps what is sent, brings in what a test says has come, and fails on demand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


class TransportDown(ConnectionError):
    """The other side cannot be reached now."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Something that went out.

    Attributes:
        reference: what the other side calls it.
        to: where it went.
        text: what it says.
    """

    reference: str
    to: str
    text: str


@dataclass(frozen=True, slots=True)
class Received:
    """Something that came in.

    Attributes:
        reference: what the other side calls it; the same when it comes twice.
        sender: who wrote it, in the other side's words.
        text: what it says.
    """

    reference: str
    sender: str
    text: str


class FakeTransport:
    """A channel to people or machines elsewhere.

    ::

        transport = FakeTransport()
        await transport.send("team", "the build is green")
        assert transport.texts("team") == ["the build is green"]
        transport.inject("ada", "thank you")
        assert (await transport.receive()).text == "thank you"

    Attributes:
        sent: everything that went out, in order.
        is_down: while true, `send` and `receive` raise TransportDown.
    """

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.is_down = False
        self._arrived: list[Received] = []
        self._count = 0

    # what a plugin does

    async def send(self, to: str, text: str) -> str:
        """Send a text; gives the reference by which the other side knows it. Raises TransportDown."""
        await asyncio.sleep(0)  # as a network does, it lets others go first
        self._check()
        self.sent.append(Sent(self._next("out"), to, text))
        return self.sent[-1].reference

    async def receive(self) -> Received:
        """The oldest text that has come and was not received yet; waits for one. Raises TransportDown."""
        while True:
            self._check()
            if self._arrived:
                return self._arrived.pop(0)
            await asyncio.sleep(_LOOK_EVERY_S)

    # what a test does

    def inject(self, sender: str, text: str, *, reference: str = "") -> Received:
        """A text comes in. The same *reference* again is the same text delivered twice."""
        arrived = Received(reference or self._next("in"), sender, text)
        self._arrived.append(arrived)
        return arrived

    def texts(self, to: str) -> list[str]:
        """What was sent to somebody, in order."""
        return [each.text for each in self.sent if each.to == to]

    @property
    def is_drained(self) -> bool:
        """Whether everything that came in was received."""
        return not self._arrived

    def _check(self) -> None:
        if self.is_down:
            raise TransportDown("the other side does not answer")

    def _next(self, what: str) -> str:
        self._count += 1
        return f"{what}-{self._count}"


_LOOK_EVERY_S = 0.002
"""Looked at, not waited for, so that a test may inject from any thread and loop."""

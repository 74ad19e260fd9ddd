"""Topics: the push half of the bus. A frame is encoded once for all; nobody slow is waited for.

A connection subscribes under the name that its client expects the notification to have; every connection that
subscribed under one name gets the same bytes. A sink that does not keep up cuts itself off in `Sink.push`.

Source: DESIGN.md D7; spec/kernel.md §9.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from thrum_kernel.bus.protocol import encode_notification


class Sink(Protocol):
    """A connection that frames are pushed to."""

    def push(self, frame: bytes) -> None:
        """Take one line to send. Must not block, wait or raise; cut the connection when too much is waiting."""
        ...


class Topics:
    """Who hears what; belongs to the loop's thread."""

    def __init__(self) -> None:
        self._sinks: dict[str, dict[str, dict[Sink, None]]] = {}
        self._callbacks: dict[str, dict[object, Callable[[Any], None]]] = {}

    def publish(self, topic: str, payload: Any) -> int:
        """Push *payload* to everyone who subscribed to *topic*; how many they were.

        Raises:
            TypeError: *payload* holds something that JSON cannot say; nobody got anything.
        """
        groups = self._sinks.get(topic)
        frames = [
            (encode_notification(name, payload), tuple(sinks)) for name, sinks in (groups or {}).items()
        ]
        count = 0
        for frame, sinks in frames:
            count += len(sinks)
            for sink in sinks:
                sink.push(frame)
        callbacks = self._callbacks.get(topic)
        if callbacks:
            loop = asyncio.get_running_loop()
            for callback in tuple(callbacks.values()):  # in its own turn: its failure is not the publisher's
                loop.call_soon(callback, payload)
            count += len(callbacks)
        return count

    def subscribe(self, topic: str, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call *callback* on the loop with each later payload of *topic*; the result ends it."""
        token = object()
        self._callbacks.setdefault(topic, {})[token] = callback

        def end() -> None:
            callbacks = self._callbacks.get(topic, {})
            callbacks.pop(token, None)
            if not callbacks:
                self._callbacks.pop(topic, None)

        return end

    def attach(self, topic: str, sink: Sink, *, as_method: str) -> None:
        """Push each later payload of *topic* to *sink* as notification *as_method*; twice is once."""
        self._sinks.setdefault(topic, {}).setdefault(as_method, {})[sink] = None

    def detach(self, topic: str, sink: Sink, *, as_method: str) -> None:
        """End what `attach` began; nothing happens when it had not."""
        groups = self._sinks.get(topic)
        sinks = groups.get(as_method) if groups else None
        if not groups or sinks is None:
            return
        sinks.pop(sink, None)
        if not sinks:
            del groups[as_method]
        if not groups:
            del self._sinks[topic]

    def subscribers(self, topic: str) -> int:
        """How many would get what is published to *topic* now; lets a publisher skip building a payload."""
        sinks = sum(len(group) for group in self._sinks.get(topic, {}).values())
        return sinks + len(self._callbacks.get(topic, ()))


class Subscriptions:
    """What one connection subscribed to; ended with it."""

    def __init__(self, topics: Topics, sink: Sink) -> None:
        self._topics = topics
        self._sink = sink
        self._held: set[tuple[str, str]] = set()

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, topic: str, *, as_method: str) -> None:
        """Subscribe to *topic*."""
        self._held.add((topic, as_method))
        self._topics.attach(topic, self._sink, as_method=as_method)

    def end(self) -> None:
        """Unsubscribe from everything."""
        for topic, as_method in self._held:
            self._topics.detach(topic, self._sink, as_method=as_method)
        self._held.clear()

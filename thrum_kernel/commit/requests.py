"""Which events a client's request caused, for ten minutes: a retry finds them and is not carried out twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from thrum_kernel.clock import Clock, parse_us
from thrum_kernel.events import Event

KEEP_US = 10 * 60 * 1_000_000


class RequestIndex:
    """Events by the request id they carry; forgets what is older than ten minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: OrderedDict[str, list[Event]] = OrderedDict()
        self._newest_us: dict[str, int] = {}

    def add(self, events: Iterable[Event]) -> None:
        """Note events that are durable; those without a request id or too old are passed over."""
        oldest = self._clock.now_us() - KEEP_US
        for event in events:
            if event.request_id and (at_us := parse_us(event.timestamp)) >= oldest:
                self._events.setdefault(event.request_id, []).append(event)
                self._newest_us[event.request_id] = at_us
        self._forget(oldest)

    def find(self, request_id: str) -> list[Event]:
        """The events of a request, oldest first; empty when there are none."""
        return list(self._events.get(request_id, ()))

    def _forget(self, oldest: int) -> None:
        while self._events:
            request_id = next(iter(self._events))
            if self._newest_us[request_id] >= oldest:
                return
            del self._events[request_id], self._newest_us[request_id]

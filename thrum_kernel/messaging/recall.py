"""Finding the event that answers a retry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from thrum_kernel.api import Call
from thrum_kernel.events import Event

E = TypeVar("E", bound=Event)


def event_of(call: Call, events: Sequence[Event], cls: type[E]) -> E:
    """The first event of a kind among those that a request caused.

    Raises:
        LookupError: there is none: the request id was another method's.
    """
    found = next((event for event in events if isinstance(event, cls)), None)
    if found is None:
        raise LookupError(f"{call.method}: no {cls.__name__} under request {call.request_id}")
    return found

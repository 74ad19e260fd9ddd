"""What an answer given before a restart is made of again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from thrum_kernel.events import Event

E = TypeVar("E", bound=Event)


def first_of(kind: type[E], events: Iterable[Event]) -> E:
    """The first event of a kind among those that a request caused.

    Raises:
        LookupError: there is none: these are the events of another method.
    """
    for event in events:
        if isinstance(event, kind):
            return event
    raise LookupError(f"no {kind.__name__} among the events of the request")

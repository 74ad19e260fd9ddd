"""Events: the lines of the log, typed where we know them and kept byte for byte where we do not."""

from thrum_kernel.events.envelope import Event, Head, UnknownEvent, read_head
from thrum_kernel.events.registry import EventTypes

__all__ = ["Event", "EventTypes", "Head", "UnknownEvent", "read_head"]

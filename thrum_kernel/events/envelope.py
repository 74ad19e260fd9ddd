"""What every event carries.

One event is one line of compact JSON: ``type`` first, then these fields, then its payload, all in one flat object.

- ``event_id``: ``evt_`` and a ULID of the sender's hybrid clock; the key for deduplication and for order.
- ``timestamp``: wall clock of the sender, RFC 3339, six fraction digits, ``Z``.
- ``v``: version of the payload, 1 when absent.
- ``origin_daemon``: the daemon that wrote it first.
- ``sequence``: its number in the journal of the writer that the file is named after, from 1, without gaps.
- ``request_id``: the client's request that caused it, for exactly-once retries.

Source: DESIGN.md D1, D2; spec/kernel.md §2.2.
"""

from __future__ import annotations

import msgspec

from thrum_kernel.api import Event as Event
from thrum_kernel.jsonlines import decoder


class Head(msgspec.Struct, kw_only=True):
    """The envelope alone, read from any line that is an event, known or not."""

    type: str
    event_id: str
    timestamp: str
    origin_daemon: str
    sequence: int = 0
    v: int = 1
    request_id: str = ""


class UnknownEvent(msgspec.Struct, kw_only=True):
    """An event of a type nobody here knows; its line is kept as it came.

    Attributes:
        head: its envelope.
        line: its bytes without the newline.
    """

    head: Head
    line: bytes


_decode_head = decoder(Head)


def read_head(line: bytes) -> Head:
    """The envelope of a line.

    Raises:
        msgspec.MsgspecError: it is not an event.
    """
    return _decode_head(line)

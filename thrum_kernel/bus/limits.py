"""What a connection may cost before it is closed or cut; the same for both sockets."""

from __future__ import annotations

from dataclasses import dataclass

from thrum_kernel.bus.protocol import MAX_LINE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may cost.

    Attributes:
        max_line: bytes of a request.
        max_outgoing: bytes of notifications waiting for a client.
        idle_s: how long it may ask nothing.
        stall_s: how long it may take nothing of what waits for it.
    """

    max_line: int = MAX_LINE_BYTES
    max_outgoing: int = 4 * 1024 * 1024
    idle_s: float = 300.0
    stall_s: float = 60.0

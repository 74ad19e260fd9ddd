"""What every part of this room stands on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from thrum_kernel.clock import Clock
from thrum_kernel.commit.committer import Committer
from thrum_kernel.events import Event
from thrum_kernel.messaging.model import HeldView
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.local import LocalDb

Withheld = Callable[[Event], Awaitable[Sequence[str]]]
"""Names of the patterns for which an event, just committed, does not travel; none for nearly every one."""


async def nothing_withheld(event: Event) -> Sequence[str]:
    """Every event travels."""
    return ()


@dataclass(frozen=True, slots=True)
class Ground:
    """The projection, this machine's own tables, the way in for events, and the time.

    Attributes:
        withheld: whether an event that was committed stays on this machine, and why.
    """

    cache: Cache
    local: LocalDb
    committer: Committer
    clock: Clock
    withheld: Withheld = nothing_withheld

    async def held(self, event: Event, name: str) -> HeldView | None:
        """What to tell whoever committed *event*, known to people as *name*; None when it travels."""
        patterns = await self.withheld(event)
        if not patterns:
            return None
        return HeldView(
            event_id=event.event_id, patterns=list(patterns), release=f"thrum sync release {name}"
        )

"""What every part of this room stands on."""

from __future__ import annotations

from dataclasses import dataclass

from thrum_kernel.clock import Clock
from thrum_kernel.commit.committer import Committer
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.local import LocalDb


@dataclass(frozen=True, slots=True)
class Ground:
    """The projection, this machine's own tables, the way in for events, and the time."""

    cache: Cache
    local: LocalDb
    committer: Committer
    clock: Clock

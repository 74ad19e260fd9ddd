"""What this room asks of plugins; a kernel alone answers nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from thrum_kernel.api import AgentInfo, GuardedCall, Hint, Moment, PrimeSection, Verdict


class BriefingHooks(Protocol):
    """The hooks of the briefing, each over all plugins, isolated: none raises for a plugin's mistake."""

    async def thrum_preamble(self, agent: AgentInfo) -> str | None:
        """The role text of an agent; None when no plugin has one."""
        ...

    async def thrum_prime(self, agent: AgentInfo) -> Sequence[PrimeSection]:
        """Sections of the briefing by ascending order."""
        ...

    async def thrum_guard(self, call: GuardedCall) -> Verdict | None:
        """The strictest verdict; None when nobody has anything to say."""
        ...

    async def thrum_hints(self, moment: Moment) -> Sequence[Hint]:
        """What plugins have to say around a command."""
        ...


class NoHooks:
    """No plugin; implements `BriefingHooks`."""

    async def thrum_preamble(self, agent: AgentInfo) -> str | None:
        return None

    async def thrum_prime(self, agent: AgentInfo) -> Sequence[PrimeSection]:
        return ()

    async def thrum_guard(self, call: GuardedCall) -> Verdict | None:
        return None

    async def thrum_hints(self, moment: Moment) -> Sequence[Hint]:
        return ()

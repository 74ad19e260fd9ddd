"""What this room asks of plugins; `plugins.host.PluginHost` answers, and a kernel alone says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from thrum_kernel.api import AgentInfo, GuardedCall, Hint, Moment, PrimeSection, Verdict


class BriefingHooks(Protocol):
    """The hooks of the briefing, each over all plugins, isolated: none raises for a plugin's mistake."""

    def has_hints(self, command: str) -> bool:
        """Whether any plugin is asked for hints around *command*."""
        ...

    async def preamble(self, agent: AgentInfo) -> str | None:
        """The role text of an agent; None when no plugin has one."""
        ...

    async def prime(self, agent: AgentInfo) -> Sequence[PrimeSection]:
        """Sections of the briefing by ascending order."""
        ...

    async def judge(self, call: GuardedCall) -> Verdict | None:
        """The strictest verdict; None when nobody has anything to say.

        Raises:
            GuardFired: it is denied.
        """
        ...

    async def hints(self, moment: Moment) -> Sequence[Hint]:
        """What plugins have to say around a command."""
        ...


class NoHooks:
    """No plugin; implements `BriefingHooks`."""

    def has_hints(self, command: str) -> bool:
        return False

    async def preamble(self, agent: AgentInfo) -> str | None:
        return None

    async def prime(self, agent: AgentInfo) -> Sequence[PrimeSection]:
        return ()

    async def judge(self, call: GuardedCall) -> Verdict | None:
        return None

    async def hints(self, moment: Moment) -> Sequence[Hint]:
        return ()

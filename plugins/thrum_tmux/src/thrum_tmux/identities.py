"""The identities of the project's worktrees, as the kernel tells them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from thrum_kernel.api import IdentityView, PluginContext


class Identity(IdentityView, frozen=True):
    """An identity file."""

    @property
    def home(self) -> Path:
        """The worktree that holds it."""
        return Path(self.worktree)

    @property
    def session(self) -> str:
        """The name of the session that ``tmux_session`` names; empty when it names none."""
        return self.tmux_session.rpartition(":")[0]


async def identities(ctx: PluginContext, *, name: str = "", worktree: Path | None = None) -> list[Identity]:
    """All of them, those of one agent, or of one worktree. Raises ThrumError."""
    found = await ctx.call("agent.identities", name=name, worktree=str(worktree or ""))
    return [_identity(each) for each in found["identities"]]


async def set_terminal(ctx: PluginContext, name: str, **fields: Any) -> Identity:
    """Note ``tmux_session``, ``runtime`` or ``preferred_runtime`` of an agent.

    Raises:
        NotFound: it has no identity file.
        GuardFired: a guard refuses.
    """
    return _identity(await ctx.call("agent.setTerminal", name=name, **fields))


def _identity(view: dict[str, Any]) -> Identity:
    return msgspec.convert(view, Identity)

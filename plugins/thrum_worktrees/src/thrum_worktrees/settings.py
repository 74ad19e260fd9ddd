"""The section ``worktrees`` of config.json. Source: spec/features.md §6.1, §17; seed 000, "Configuration"."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Worktrees(BaseModel):
    """Where worktrees of agents are made, and what is wired into them.

    Attributes:
        base_path: folder that they are made in; empty: ``~/.thrum/worktrees/<repository>``.
        beads_enabled: a new worktree shares the repository's ``.beads``.
        thrum_enabled: a new worktree shares the repository's ``.thrum``, and gets the hooks of its runtime.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    base_path: str = ""
    beads_enabled: bool = True
    thrum_enabled: bool = True


class Settings(BaseModel):
    """The settings of this plugin.

    Attributes:
        worktrees: where worktrees of agents are made, and what is wired into them.
    """

    model_config = ConfigDict(frozen=True)

    worktrees: Worktrees = Field(default_factory=Worktrees)

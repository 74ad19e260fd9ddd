"""What this plugin adds to the kernel."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Final

from thrum_kernel.api import Check, Method, PluginContext, Service, Tables, hookimpl
from thrum_kernel.errors import Projecting
from thrum_worktrees import checks
from thrum_worktrees.methods import WorktreeMethods
from thrum_worktrees.undertakings import TABLES

_AGAIN_S: Final = 0.5


@hookimpl
def thrum_migrations(ctx: PluginContext) -> Tables:
    """What is under way."""
    return TABLES


@hookimpl
def thrum_methods(ctx: PluginContext) -> Sequence[Method]:
    """``worktrees.create|destroy|setup|list``."""
    return WorktreeMethods(ctx, env=os.environ).methods()


@hookimpl
def thrum_services(ctx: PluginContext) -> Sequence[Service]:
    """Goes on with what an earlier daemon began."""

    async def resume(started: Callable[[], None]) -> None:
        started()
        while True:
            try:
                await ctx.call("worktrees.resume")
                return
            except Projecting:  # who lives where is known when the cache is there
                await asyncio.sleep(_AGAIN_S)

    return (Service(name="worktrees.resume", run=resume),)


@hookimpl
def thrum_checks(ctx: PluginContext) -> Sequence[Check]:
    """Worktrees that are half there."""
    return checks.checks(ctx, env=os.environ)

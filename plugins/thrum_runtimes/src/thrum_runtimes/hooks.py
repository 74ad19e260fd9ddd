"""What this plugin adds to the kernel."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from thrum_kernel.api import (
    Check,
    InitStep,
    Method,
    PluginContext,
    RuntimePreset,
    WorktreeChange,
    hookimpl,
)
from thrum_runtimes import checks, init_step, worktree_kit
from thrum_runtimes.methods import RuntimeMethods
from thrum_runtimes.presets import BUILT_IN


@hookimpl
def thrum_runtime_presets(ctx: PluginContext) -> Sequence[RuntimePreset]:
    """The ten runtimes that come with thrum."""
    return BUILT_IN


@hookimpl
def thrum_methods(ctx: PluginContext) -> Sequence[Method]:
    """``runtime.list|show|detect|evidence|notice``."""
    return RuntimeMethods(ctx, home=Path.home()).methods()


@hookimpl
def thrum_init_steps(ctx: PluginContext) -> Sequence[InitStep]:
    """``init --runtime`` and ``init --skills``."""
    return (init_step.step(ctx.presets),)


@hookimpl
def thrum_checks(ctx: PluginContext) -> Sequence[Check]:
    """Hooks and scripts of the runtimes used here, and the person's own runtimes."""
    return checks.checks(ctx, home=Path.home())


@hookimpl
async def thrum_worktree(ctx: PluginContext, change: WorktreeChange) -> None:
    """Puts the scripts and hooks of the runtime into a worktree that was prepared."""
    if change.kind != "prepared" or not change.wants_hooks:
        return
    put = functools.partial(worktree_kit.put, ctx.presets(), change, thrum=ctx.paths.thrum, home=Path.home())
    for path in await ctx.in_thread(put):
        ctx.log.info("wrote %s", path)

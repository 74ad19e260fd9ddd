"""What this plugin adds to the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from thrum_kernel.api import Check, InitStep, Method, PluginContext, RuntimePreset, hookimpl
from thrum_runtimes import checks, init_step
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

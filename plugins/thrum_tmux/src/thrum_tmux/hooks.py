"""What this plugin adds to the kernel, and what it decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from thrum_kernel.api import AgentInfo, Method, PluginContext, PrimeSection, Service, hookimpl
from thrum_tmux import service
from thrum_tmux.methods import methods
from thrum_tmux.restart import section


@hookimpl
def thrum_methods(ctx: PluginContext) -> Sequence[Method]:
    """``tmux.*``."""
    return methods(ctx)


@hookimpl
def thrum_services(ctx: PluginContext) -> Sequence[Service]:
    """Control clients."""

    async def hear(started: Callable[[], None]) -> None:
        await service.hear(ctx, started)

    return (Service(name="tmux.control", run=hear, stop_time_s=3.0),)


@hookimpl
async def thrum_prime(ctx: PluginContext, agent: AgentInfo) -> Sequence[PrimeSection]:
    """The snapshot of the session before this one."""
    return await section.sections(ctx, agent)

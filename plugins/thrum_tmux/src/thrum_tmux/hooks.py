"""What this plugin adds to the kernel, and what it decides."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from thrum_kernel.api import (
    AgentInfo,
    Check,
    Evidence,
    Hint,
    Method,
    Moment,
    PluginContext,
    PrimeSection,
    Service,
    Tables,
    Wake,
    WorktreeChange,
    hookimpl,
)
from thrum_tmux import checks, service
from thrum_tmux.methods import methods
from thrum_tmux.restart import section
from thrum_tmux.restart import service as restart_service
from thrum_tmux.session import hinting, leaving, records
from thrum_tmux.session.statuses import Statuses
from thrum_tmux.wake.rung import Waking
from thrum_tmux.wake.silence import Silence


@hookimpl
def thrum_migrations(ctx: PluginContext) -> Tables:
    """What this machine remembers of sessions."""
    return records.TABLES


@hookimpl
def thrum_methods(ctx: PluginContext) -> Sequence[Method]:
    """``tmux.*``."""
    return methods(ctx)


@hookimpl
def thrum_services(ctx: PluginContext) -> Sequence[Service]:
    """Control clients, restarts, and who is silent though it works."""

    async def hear(started: Callable[[], None]) -> None:
        await service.hear(ctx, started)

    async def keep_restarts(started: Callable[[], None]) -> None:
        await restart_service.keep(ctx, started)

    return (
        Service(name="tmux.control", run=hear, stop_time_s=3.0),
        Service(name="tmux.restart", run=keep_restarts, stop_time_s=3.0),
        Service(name="tmux.silence", run=Silence(ctx).watch),
    )


@hookimpl
async def thrum_prime(ctx: PluginContext, agent: AgentInfo) -> Sequence[PrimeSection]:
    """The snapshot of the session before this one."""
    return await section.sections(ctx, agent)


@hookimpl
def thrum_checks(ctx: PluginContext) -> Sequence[Check]:
    """tmux and its server."""
    return checks.checks(ctx)


@hookimpl
async def thrum_hints(ctx: PluginContext, moment: Moment) -> Sequence[Hint]:
    """Around ``tmux create``."""
    return await hinting.hints(ctx, moment)


@hookimpl
async def thrum_worktree(ctx: PluginContext, change: WorktreeChange) -> None:
    """Ends the sessions of a worktree that is about to go."""
    if change.kind == "going":
        await leaving.end_sessions(ctx, change.path)


@hookimpl
async def thrum_agent_facts(ctx: PluginContext, agent: AgentInfo) -> Mapping[str, Any]:
    """Where an agent is shown."""
    return await ctx.shared(Statuses).facts(agent.name)


@hookimpl
async def thrum_wake(ctx: PluginContext, wake: Wake) -> Coroutine[Any, Any, Evidence | None]:
    """The terminal rung; it waits for a quiet moment and for proof, so it answers later."""
    return ctx.shared(Waking).wake(wake)

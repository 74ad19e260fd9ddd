"""What this plugin adds to the kernel."""

from __future__ import annotations

from collections.abc import Sequence

from thrum_kernel.api import (
    AgentInfo,
    Check,
    Method,
    PluginContext,
    PrimeSection,
    Service,
    Tables,
    hookimpl,
)
from thrum_monitor import briefing, checks
from thrum_monitor.desk import Desk
from thrum_monitor.keeper import STOP_TIME_S
from thrum_monitor.methods import methods
from thrum_monitor.schema import TABLES


@hookimpl
def thrum_migrations(ctx: PluginContext) -> Tables:
    """``monitors`` and what is due of them, on this machine alone."""
    return TABLES


@hookimpl
def thrum_methods(ctx: PluginContext) -> Sequence[Method]:
    """``monitor.start|stop|restart|delete|list|show|logs|output``."""
    return methods(ctx.shared(Desk).methods)


@hookimpl
def thrum_services(ctx: PluginContext) -> Sequence[Service]:
    """What sends alarms, and what keeps the commands running."""
    desk = ctx.shared(Desk)
    return (
        Service("monitor.alarms", desk.alarms.run),
        Service("monitor.keeper", desk.keeper.run, stop_time_s=STOP_TIME_S),
    )


@hookimpl
async def thrum_prime(ctx: PluginContext, agent: AgentInfo) -> Sequence[PrimeSection]:
    """The monitors that concern an agent."""
    return briefing.section(agent, ctx.shared(Desk).store.monitors())


@hookimpl
def thrum_checks(ctx: PluginContext) -> Sequence[Check]:
    """Whether secrets are well kept, and every monitor alive and heard."""
    return checks.checks(ctx)

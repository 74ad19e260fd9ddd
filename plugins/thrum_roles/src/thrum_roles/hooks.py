"""What this plugin adds to the kernel, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from thrum_kernel.api import (
    AgentInfo,
    Check,
    Hint,
    HintOption,
    InitStep,
    Method,
    Moment,
    PluginContext,
    hookimpl,
)
from thrum_kernel.errors import FileDamaged
from thrum_roles import checks, init_step
from thrum_roles.drift import MIGRATION, Drift, drift
from thrum_roles.methods import RoleMethods, coordinator_name
from thrum_roles.repository import RepositoryTemplates
from thrum_roles.role_text import fields_of, header, role_text
from thrum_roles.shipped import catalogue

_LOOK: Final = HintOption(label="look first", cmd="thrum roles list")


@hookimpl
def thrum_methods(ctx: PluginContext) -> Sequence[Method]:
    """``roles.list|deploy|refresh|save-config``."""
    return RoleMethods(ctx).methods()


@hookimpl
def thrum_init_steps(ctx: PluginContext) -> Sequence[InitStep]:
    """``init --roles``."""
    return (init_step.step(ctx.clock),)


@hookimpl
def thrum_checks(ctx: PluginContext) -> Sequence[Check]:
    """Templates that cannot be read, and drift."""
    return checks.checks(ctx)


@hookimpl
async def thrum_preamble(ctx: PluginContext, agent: AgentInfo) -> str:
    """The rendered template of the agent's role; without one that can be used, who the agent is.

    A template that is damaged is told of in the text itself: whoever reads it must know that something is missing.
    """
    fields = fields_of(agent, repo=ctx.paths.repo, coordinator=await coordinator_name(ctx))
    templates = RepositoryTemplates(ctx.paths.thrum)
    try:
        text: str | None = await ctx.in_thread(
            role_text, templates, ctx.settings.role_config, agent.role, fields
        )
    except FileDamaged as error:
        ctx.log.warning("the template of role %s cannot be used: %s", agent.role, error)
        return f"{header(fields)}\nThe template of your role cannot be used; tell whoever looks after it: `{error}`\n"
    return header(fields) if text is None else text


@hookimpl
async def thrum_hints(ctx: PluginContext, moment: Moment) -> Sequence[Hint]:
    """Drift, told with a briefing."""
    if moment.command != "prime" or moment.phase != "after":
        return ()
    try:
        on_disk = await ctx.in_thread(RepositoryTemplates(ctx.paths.thrum).roles)
    except FileDamaged:
        return ()  # `thrum doctor` and `roles list` say what is wrong with the folder
    found = drift(ctx.settings.role_config, on_disk, catalogue())
    return () if found is None else (_hint(found),)


def _hint(found: Drift) -> Hint:
    if found.code == MIGRATION:
        options = (
            HintOption(label="take them over", cmd="thrum roles refresh", note="your own texts stay"),
            _LOOK,
        )
    else:
        note = "what you changed by hand is moved aside"
        options = (HintOption(label="write them anew", cmd="thrum roles refresh", note=note), _LOOK)
    return Hint(code=found.code, severity="warn", message=found.message, options=options)

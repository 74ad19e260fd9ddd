"""A guard with its scope, and a hint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from thrum_acme_guard.rule import outside
from thrum_kernel.api import GuardedCall, Hint, HintOption, Moment, PluginContext, Verdict, hookimpl


@hookimpl
def thrum_guard_scope(ctx: PluginContext) -> Sequence[str]:
    """Only sending: nothing else waits for this guard, nor is denied when it fails."""
    return ["message.send"]


@hookimpl
async def thrum_guard(ctx: PluginContext, call: GuardedCall) -> Verdict | None:
    """A member's message stays in the team; None lets everything else pass."""
    team: Sequence[str] = ctx.settings.team
    if call.caller.agent_id not in team:
        return None
    strangers = outside(call.params, {*team, *ctx.settings.audiences})
    if not strangers:
        return None
    return Verdict(
        outcome="deny",
        guard=ctx.name,
        reason="outside_team",
        facts={"outside": _listed(strangers), "team": _listed(team)},
        hint="write to one of the team, or have a person add the name to acme_guard.team",
    )


@hookimpl
async def thrum_hints(ctx: PluginContext, moment: Moment) -> Sequence[Hint]:
    """Tells a member who looks at everybody whom a message may go to."""
    team: Sequence[str] = ctx.settings.team
    if moment.phase != "after" or moment.caller.agent_id not in team:
        return []
    others = [name for name in team if name != moment.caller.agent_id]
    return [
        Hint(
            code="acme_guard.team-only",
            severity="info",
            message=f"you write within your team: {_listed(others) or 'nobody else is in it yet'}",
            options=(HintOption(label="whose it is", cmd="thrum plugin show acme_guard"),),
        )
    ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"@{name}" for name in names)

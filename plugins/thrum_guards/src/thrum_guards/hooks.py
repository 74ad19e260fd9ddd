"""What Thrum calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from thrum_guards import checkpoints, modes
from thrum_kernel.api import Check, Finding, GuardedCall, PluginContext, Verdict, hookimpl
from thrum_kernel.errors import FileDamaged

SUBJECT = "identity guards"


@hookimpl
def thrum_guard_scope(ctx: PluginContext) -> list[str]:
    """Every command, and whatever makes or changes an identity."""
    return ["command:*", "reclaim", "identity", "bootstrap", "prime", *checkpoints.OPEN_METHODS]


@hookimpl
async def thrum_guard(ctx: PluginContext, call: GuardedCall) -> Verdict | None:
    """The verdict of the checkpoints, as strict as they are set now."""
    try:
        current = modes.by_checkpoint(ctx.settings.identity_guard)
    except FileDamaged as problem:
        return modes.damaged(call, problem)
    return modes.verdict_of(call, checkpoints.judge(call, current), current, ctx.log)


@hookimpl
def thrum_checks(ctx: PluginContext) -> Sequence[Check]:
    """Whether the modes can be read, and which checkpoints look away."""
    return (Check(subject=SUBJECT, look=look),)


def look(ctx: PluginContext) -> list[Finding]:
    """What doctor shows."""
    try:
        current = modes.by_checkpoint(ctx.settings.identity_guard)
    except FileDamaged as problem:
        return [Finding(SUBJECT, "error", str(problem), problem.hint)]
    off = [name for name, mode in current.items() if mode == "off"]
    if off:
        remedy = f"thrum config set identity_guard.{off[0]} strict"
        return [Finding(SUBJECT, "warning", f"off: {', '.join(off)}", remedy)]
    counts = Counter(current.values())
    told = ", ".join(f"{number} {mode}" for mode, number in counts.most_common())
    return [Finding(SUBJECT, "ok", told)]

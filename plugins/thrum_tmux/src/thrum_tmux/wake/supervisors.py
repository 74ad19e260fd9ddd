"""Who is told when something goes wrong that only a person or a coordinator can mend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import ThrumError

SENDER: Final = "tmux:wake"
_DEFAULT: Final = ("coordinator",)


async def tell(ctx: PluginContext, text: str, *, about: str) -> bool:
    """Send *text* to the supervisors, except to whom it is *about*; whether there was one.

    Supervisors: ``permission_supervisors`` of config.json, by default whoever has the role ``coordinator``. An entry
    ``@name`` is that agent, a bare word every agent here with that role.
    """
    wanted = await _wanted(ctx)
    team = await ctx.call("team.list")
    names = sorted(_meant(wanted, team["members"]) - {about})
    if not names:
        ctx.log.warning("no supervisor here (%s) to tell: %s", ", ".join(wanted), text)
        return False
    await ctx.send(text, to=[f"@{name}" for name in names], sender=SENDER)
    return True


async def _wanted(ctx: PluginContext) -> Sequence[str]:
    try:
        shown = await ctx.call("config.show")
    except ThrumError:
        return _DEFAULT
    value = shown.get("permission_supervisors")
    if isinstance(value, Mapping):
        value = value.get("value")
    names = [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
    return names or _DEFAULT


def _meant(wanted: Sequence[str], members: Sequence[Mapping[str, Any]]) -> set[str]:
    """The agents of this daemon that *wanted* means."""
    names = {word[1:] for word in wanted if word.startswith("@")}
    roles = {word for word in wanted if not word.startswith("@")}
    return {
        str(member["agent_id"])
        for member in members
        if member.get("is_local")
        and not member.get("reserved")
        and (member["agent_id"] in names or member.get("role") in roles)
    }

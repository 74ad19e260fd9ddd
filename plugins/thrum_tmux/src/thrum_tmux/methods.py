"""The methods ``tmux.*``."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from thrum_kernel.api import Call, Method, PluginContext
from thrum_tmux.panes import Panes


class StatusParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class SessionView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One session."""

    name: str
    state: str
    agent: str = ""


class StatusResult(msgspec.Struct, kw_only=True):
    """Sessions by name."""

    sessions: list[SessionView]


def methods(ctx: PluginContext) -> Sequence[Method]:
    """All of them."""

    async def status(call: Call, params: StatusParams) -> StatusResult:
        panes = ctx.shared(Panes)
        await panes.refresh()
        return StatusResult(
            sessions=[
                SessionView(name=found.row.name, state="alive", agent=found.row.agent)
                for found in panes.managed()
            ]
        )

    return (
        Method(
            name="tmux.status",
            params=StatusParams,
            result=StatusResult,
            handler=status,
            summary="The sessions of this project's agents",
            anonymous=True,
        ),
    )

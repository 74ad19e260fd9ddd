"""``tmux.status`` and what the plugin knows of an agent: sessions and identities put together, from what is known.

Nothing is asked of tmux while control clients hear it, so the answer costs what reading two tables costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thrum_kernel.api import Call, PluginContext
from thrum_tmux.identities import Identity, identities
from thrum_tmux.panes import Found
from thrum_tmux.session.repairing import Repairing
from thrum_tmux.session.sessions import Sessions
from thrum_tmux.session.shapes import SessionView, State, StatusParams, StatusResult


class Statuses:
    """One for the plugin: ``ctx.shared(Statuses)``."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self._sessions = ctx.shared(Sessions)

    async def status(self, call: Call, params: StatusParams) -> StatusResult:
        """Every session of this project, and every identity that names one."""
        await self._sessions.look()
        everyone = await identities(self._ctx)
        by_name = {each.name: each for each in everyone}
        found = self._sessions.panes.managed()
        views = [self._living(each, by_name.get(each.row.agent)) for each in found]
        names = {each.row.name for each in found}
        views += [_gone(each) for each in everyone if each.session and each.session not in names]
        views = [view for view in views if not view.name.startswith("-")]
        if any(view.state != "alive" for view in views):
            # A person may have started the runtime again, or the session is one that they made.
            self._ctx.shared(Repairing).noticed()
        return StatusResult(
            sessions=sorted(views, key=lambda view: view.name), trouble=self._sessions.panes.troubles
        )

    async def facts(self, agent: str) -> Mapping[str, Any]:
        """What is known of an agent without waiting: where it is shown, and how that is."""
        found = next((each for each in self._sessions.panes.managed() if each.row.agent == agent), None)
        if found is None:
            return {}
        row = found.server.known.panes.get(found.row.agent_pane)
        place = found.server.known.place_of(row) if row is not None else ""
        state: State = "alive" if place else "dead"
        return {"tmux_session": place or f"{found.row.name}:", "tmux_state": state}

    def _living(self, found: Found, identity: Identity | None) -> SessionView:
        known = found.server.known
        pane = known.panes.get(found.row.agent_pane)
        place = known.place_of(pane) if pane is not None else ""
        if identity is None:
            return SessionView(
                name=found.row.name,
                state="alive",
                agent=found.row.agent,
                tmux_session=place,
                socket=found.server.socket,
            )
        is_stale = identity.agent_pid > 0 and not identity.is_running
        return SessionView(
            name=found.row.name,
            agent=identity.name,
            role=identity.role,
            module=identity.module,
            state="dead" if not place else "stale" if is_stale else "alive",
            runtime=identity.runtime or identity.preferred_runtime,
            branch=identity.branch,
            tmux_session=place,
            socket=found.server.socket,
        )


def _gone(identity: Identity) -> SessionView:
    return SessionView(
        name=identity.session,
        agent=identity.name,
        role=identity.role,
        module=identity.module,
        state="dead",
        runtime=identity.runtime or identity.preferred_runtime,
        branch=identity.branch,
    )

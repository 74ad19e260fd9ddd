"""``tmux.check-pane``: what a session's pane shows now, told to whoever acts on it.

It is published as ``tmux.pane-checked``: waiting messages, the queue and permission prompts each take it from there.
"""

from __future__ import annotations

from collections.abc import Sequence

from thrum_kernel.api import Call, PluginContext
from thrum_tmux import runtimes
from thrum_tmux.errors import PaneMissing
from thrum_tmux.identities import Identity, identities
from thrum_tmux.screen import patterns
from thrum_tmux.screen.reading import Reading, read
from thrum_tmux.session.sessions import Sessions
from thrum_tmux.session.shapes import CheckParams, CheckResult

TOPIC = "pane-checked"


class Checking:
    """The handler."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self._sessions = ctx.shared(Sessions)

    async def check(self, call: Call, params: CheckParams) -> CheckResult:
        """Look at a pane and tell what it shows. Raises SessionMissing, PaneMissing."""
        found = await self._sessions.get(params.session)
        pane = await self._sessions.panes.of_session(found.row.name)
        if pane is None:
            raise PaneMissing(found.row.agent_pane or found.row.name)
        living = await identities(self._ctx, name=found.row.agent) if found.row.agent else []
        identity = living[0] if living else None
        look = await pane.look()
        lines: Sequence[str] = params.content.split("\n") if params.content else look.lines
        runtime = (identity.runtime if identity else "") or runtimes.SHELL
        known = patterns.of(runtimes.preset_of(runtime, self._ctx.presets()))
        reading = read(lines, look.cursor, known, columns=look.size[0])
        result = judged(found.row.name, reading, runtime, identity, reason=params.reason)
        self._ctx.publish(
            TOPIC,
            {
                "session": result.session,
                "agent": identity.name if identity else "",
                "pane": pane.id,
                "runtime": runtime,
                "state": result.state,
                "reason": result.reason,
                "content": "\n".join(lines),
            },
        )
        return result


def judged(
    session: str, reading: Reading, runtime: str, identity: Identity | None, *, reason: str
) -> CheckResult:
    """What a screen comes to, for an agent that says it is working, or not."""
    if not reason and reading.owner == "dialog":
        reason = f"permission:{runtime}.{reading.dialog}"
    if reason.startswith("permission:"):
        return CheckResult(session=session, state="permission", reason=reason)
    if reading.is_busy or reading.owner == "unknown":
        return CheckResult(session=session, state="busy", reason=reason)
    if identity is not None and identity.agent_status == "working":
        return CheckResult(session=session, state="working_but_idle", reason=reason)
    return CheckResult(session=session, state="idle", reason=reason)

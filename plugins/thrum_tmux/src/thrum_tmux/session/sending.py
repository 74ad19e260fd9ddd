"""``tmux.send``, ``tmux.capture`` and ``tmux.kill``: what a person or agent does to a session by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from thrum_kernel.api import Belonging, Call, PluginContext
from thrum_kernel.errors import Refused, ThrumError, UsageError
from thrum_tmux import runtimes
from thrum_tmux.errors import NotEntered, PaneMissing
from thrum_tmux.identities import Identity, identities, set_terminal
from thrum_tmux.live_pane import LivePane
from thrum_tmux.panes import Found
from thrum_tmux.session import owning
from thrum_tmux.session.deliberate import Deliberate
from thrum_tmux.session.sessions import Sessions
from thrum_tmux.session.shapes import (
    CaptureParams,
    CaptureResult,
    KillParams,
    KillResult,
    SendParams,
    SendResult,
)
from thrum_tmux.session.standing import check_standing

MOST_LINES: Final = 10_000


class Sending:
    """The handlers."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self._sessions = ctx.shared(Sessions)

    async def send(self, call: Call, params: SendParams) -> SendResult:
        """Type a text and Enter; also into a dialog, for that may be what it answers.

        Raises:
            SessionMissing: there is no such session.
            Refused: the caller is nobody here; or the text would not come to the agent alone and there is no *force*.
            NotEntered: it is typed, and the pane changed before Enter.
            UsageError: the text cannot be typed.
        """
        if not params.text:
            raise UsageError("there is no text to send")
        found = await self._sessions.get(params.name)
        check_standing(call.caller, self._worktree_of(found))
        pane = await self._pane_of(found)
        living = await identities(self._ctx, name=found.row.agent) if found.row.agent else []
        runtime = next((each.runtime for each in living if each.runtime), runtimes.SHELL)
        preset = runtimes.preset_of(runtime, self._ctx.presets())
        has_ended = runtime != runtimes.SHELL and any(
            each.agent_pid and not each.is_running for each in living
        )
        async with self._sessions.panes.typing(pane.id):
            sending = Deliberate(self._ctx, pane, preset, force=params.force, has_ended=has_ended)
            sent = await sending.send(params.text, enter=params.enter)
        if not sent.is_typed:
            raise Refused(
                f'nothing was sent to session "{found.row.name}": {sent.reason}',
                hint="--force types all the same" if sent.can_force else "",
            )
        if sent.reason:
            raise NotEntered(found.row.name, sent.reason, sent.left)
        return SendResult(entered=sent.is_entered)

    async def capture(self, call: Call, params: CaptureParams) -> CaptureResult:
        """What a session's pane shows, wrapped lines made whole. Raises SessionMissing."""
        if not 0 < params.lines <= MOST_LINES:
            raise UsageError(f"lines must be between 1 and {MOST_LINES}, not {params.lines}")
        found = await self._sessions.get(params.name)
        pane = await self._pane_of(found)
        (lines,) = await found.server.ask(
            ("capture-pane", "-p", "-J", "-t", pane.id, "-S", f"-{params.lines}"), near=found.row.id
        )
        rows = [line.rstrip() for line in lines]
        while rows and not rows[-1]:
            rows.pop()
        return CaptureResult(content="".join(f"{row}\n" for row in rows[-params.lines :]))

    async def kill(self, call: Call, params: KillParams) -> KillResult | None:
        """End a session and what runs in it; its agent stays registered, shown nowhere.

        Raises:
            SessionMissing: there is no such session.
            NotYours: it is somebody else's, and there is no *force*.
        """
        found = await self._sessions.find(params.name)
        name = found.row.name if found else params.name
        shown = [each for each in await identities(self._ctx) if each.session == name]
        if found is None and not shown:
            found = await self._sessions.get(params.name)
        thing = self._belonging(name, found, shown)
        authority = await self._ctx.authorize(call.caller, thing, force=params.force)
        if found is not None:
            await self._sessions.end(found)
        for identity in shown:
            await self._clear(identity.name, identity.worktree)
        notes = await owning.tell(self._ctx, authority, call.caller, thing=thing, done="ended")
        return KillResult(notes=notes) if notes else None

    def _belonging(self, name: str, found: Found | None, shown: Sequence[Identity]) -> Belonging:
        record = self._sessions.record_of(found) if found else self._sessions.records.named(name)
        worktrees = {each.home for each in shown}
        return owning.belonging(
            name,
            filter(None, (*(each.name for each in shown), found.row.agent if found else "")),
            record=record,
            worktree=worktrees.pop() if len(worktrees) == 1 else None,
        )

    def _worktree_of(self, found: Found) -> Path | None:
        record = self._sessions.record_of(found)
        return record.cwd if record is not None else None

    async def _clear(self, name: str, worktree: str) -> None:
        """The session is gone whatever a guard says about the file; the next look repairs it."""
        try:
            await set_terminal(self._ctx, name, worktree=worktree, tmux_session="", runtime="")
        except ThrumError as error:
            self._ctx.log.warning("the identity of %s still names its session: %s", name, error)

    async def _pane_of(self, found: Found) -> LivePane:
        pane = await self._sessions.panes.of_session(found.row.name)
        if pane is None:
            raise PaneMissing(found.row.agent_pane or found.row.name)
        return pane

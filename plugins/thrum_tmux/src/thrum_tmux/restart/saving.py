"""The snapshot that a restart leaves: the agent's own where it saves one in time, else one made of its transcript.

Source: spec/features.md §5.
"""

from __future__ import annotations

import asyncio
import functools
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import FileDamaged, ThrumError
from thrum_tmux.restart import transcripts
from thrum_tmux.restart.conversation import Limits
from thrum_tmux.restart.snapshot import EXTERNAL, Snapshot, header, rendered, with_draft
from thrum_tmux.restart.store import Kept, Snapshots
from thrum_tmux.restart.subject import Subject
from thrum_tmux.restart.transcripts import NoTranscript, Transcript

SENDER = "system"
SCOPE = "restart"
"""Of the requests to save, so that one can be withdrawn."""
LOOK_S = 0.25
"""Between two looks for the agent's snapshot, while it is awaited."""
RECENT_S = 600
"""A snapshot that the agent saved no longer ago is what it wants to be told after the restart."""

_REQUEST = """\
Your session is about to be restarted ({reason}). Save now what you need to go on:

    thrum tmux snapshot save --reason {reason} --plan 'what you are doing, and what comes next'

You have {seconds} seconds; after that your transcript is read instead. This is for the session that was open at
{clock}: if yours began later, it is over, and there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What is there for the next session.

    Attributes:
        by: ``agent`` or ``transcript``; empty when nothing was saved.
        path: the file; None when there is none.
        lines: of conversation.
        why: why the agent did not save, or why nothing was saved; empty otherwise.
    """

    by: str = ""
    path: Path | None = None
    lines: int = 0
    why: str = ""


class Saving:
    """One for the plugin: ``ctx.shared(Saving)``."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx

    async def asked_for(self, who: Subject, *, reason: str) -> Saved | None:
        """Ask the agent to save, and wait until it did; None when it did not within ``restart.graceful_timeout``, or
        its runtime ended meanwhile, or it cannot be asked."""
        limit_s = float(self._ctx.settings.restart.graceful_timeout)
        asked_us = self._ctx.clock.now_us()
        text = _REQUEST.format(
            reason=reason,
            seconds=f"{limit_s:g}",
            clock=datetime.now().astimezone().isoformat(timespec="seconds"),
        )
        scope = {"type": SCOPE, "value": f"{who.agent}-{asked_us}"}
        try:
            message = await self._ctx.send(
                text, to=f"@{who.agent}", sender=SENDER, priority="high", scopes=[scope]
            )
        except ThrumError as error:
            self._ctx.log.warning("@%s cannot be asked to save: %s", who.agent, error)
            return None
        kept = await self._awaited(who, asked_us, limit_s)
        try:
            await self._settle(who, message, scope, is_done=kept is not None)
        except ThrumError as error:
            self._ctx.log.warning("the request to @%s stays in its inbox: %s", who.agent, error)
        return None if kept is None else _saved("agent", kept)

    async def _awaited(self, who: Subject, asked_us: int, limit_s: float) -> Kept | None:
        end = time.monotonic() + limit_s
        while time.monotonic() < end and self.is_alive(who):
            kept = await self._find(who)
            if kept is not None and kept.saved_us > asked_us:
                return kept
            await asyncio.sleep(LOOK_S)
        return None

    async def _settle(self, who: Subject, message: str, scope: dict[str, str], *, is_done: bool) -> None:
        """The next session is not to be woken for what was asked of this one: done, it was read; else it is withdrawn."""
        if is_done:
            proof = {"fact": "read", "means": "snapshot", "message_ids": [message]}
            await self._ctx.call("message.evidence", agent_id=who.agent, evidence=proof)
        else:
            await self._ctx.call(
                "message.deleteByScope", scope_type=scope["type"], scope_value=scope["value"]
            )

    async def already(self, who: Subject) -> Saved | None:
        """A snapshot that the agent saved a moment ago and that nobody was shown; None when there is none."""
        kept = await self._find(who)
        if kept is None or kept.shown_to or not kept.saved_in or kept.saved_in != who.session:
            return None
        age_s = (self._ctx.clock.now_us() - kept.saved_us) / 1_000_000
        return _saved("agent", kept) if age_s < RECENT_S else None

    async def transcript(self, who: Subject) -> Transcript | NoTranscript:
        """The transcript of the session that runs as *who*, or why there is none."""
        try:
            found: Transcript = await self._ctx.in_thread(transcripts.find, who, self._ctx.presets())
        except NoTranscript as problem:
            return problem
        return found

    async def extracted(
        self, who: Subject, transcript: Transcript | NoTranscript, *, reason: str, draft: str = ""
    ) -> Saved:
        """Make one of *transcript*; what there is to save without one is saved, too."""
        settings = self._ctx.settings.restart
        limits = Limits(lines=settings.max_lines, octets=settings.max_bytes)
        saved_at = datetime.now().astimezone()
        read = functools.partial(
            transcripts.extracted, subject=who, saved_at=saved_at, limits=limits, reason=reason
        )
        try:
            if isinstance(transcript, NoTranscript):
                raise transcript
            snapshot, why = await self._ctx.in_thread(read, transcript), ""
        except NoTranscript as problem:
            snapshot, why = Snapshot(who.agent, saved_at, reason=reason), str(problem)
        snapshot = replace(snapshot, draft=draft)
        if snapshot.is_empty:
            return await self._left(who, why or "nothing was said yet")
        path = await self._save(who, rendered(snapshot))
        return Saved("transcript", path, snapshot.lines, why)

    async def waiting(self, who: Subject) -> Saved:
        """The snapshot that is there, whoever saved it."""
        kept = await self._find(who)
        return Saved() if kept is None else _saved("", kept)

    async def add_draft(self, who: Subject, draft: str) -> None:
        """See to it that the snapshot that waits holds *draft*."""
        kept = await self._find(who)
        if not draft.strip():
            return
        if kept is None or kept.shown_to:
            at = datetime.now().astimezone()
            await self._save(who, rendered(Snapshot(who.agent, at, reason=EXTERNAL, draft=draft)))
            return
        text = with_draft(kept.text, draft)
        if text != kept.text:
            await self._save(who, text)

    async def forget_shown(self, who: Subject, session: str) -> None:
        """The runtime that was shown the snapshot ended before it did anything: the next one is shown it again."""
        await self._ctx.in_thread(Snapshots(who.thrum).forget_shown, who.agent, session)

    def is_alive(self, who: Subject) -> bool:
        """Whether the runtime that *who* names runs."""
        found = self._ctx.process(who.pid) if who.pid else None
        return found is not None and who.started in (0, found.start_time)

    # --- files -------------------------------------------------------------------------------------------------------

    async def _left(self, who: Subject, why: str) -> Saved:
        """What was there already, where there is nothing new to say."""
        kept = await self._find(who)
        return Saved(why=why) if kept is None or kept.shown_to else replace(_saved("agent", kept), why=why)

    async def _find(self, who: Subject) -> Kept | None:
        try:
            kept: Kept | None = await self._ctx.in_thread(Snapshots(who.thrum).find, who.agent)
        except FileDamaged:
            return None
        return kept

    async def _save(self, who: Subject, text: str) -> Path:
        path: Path = await self._ctx.in_thread(
            functools.partial(Snapshots(who.thrum).save, who.agent, text, saved_in=who.session)
        )
        return path


def _saved(by: str, kept: Kept) -> Saved:
    return Saved(by, kept.path, header(kept.text).lines)

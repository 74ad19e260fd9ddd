"""``tmux.restart``: an agent's runtime is ended and started anew in the same pane, and told what it was doing.

The session stays: its tags, environment, title, socket, other windows, and whoever is attached to it. Only the agent's
pane gets a fresh shell. How far it came is kept with the session (`marks`), so the next daemon goes on or tells.

Source: spec/features.md §5; issue "Terminal"; spec/decisions.md "Worktrees, tmux, queue, permissions, monitors".
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from thrum_kernel.api import Call, PluginContext
from thrum_kernel.errors import NotFound, Refused, ThrumError
from thrum_tmux import runtimes
from thrum_tmux.errors import SessionMissing
from thrum_tmux.identities import Identity, identities
from thrum_tmux.names import check_runtime
from thrum_tmux.panes import Found
from thrum_tmux.restart import drafts, marks
from thrum_tmux.restart.marks import Mark
from thrum_tmux.restart.renewing import Renewing
from thrum_tmux.restart.saving import Saved, Saving
from thrum_tmux.restart.shapes import RestartParams, RestartResult
from thrum_tmux.restart.snapshot import EXTERNAL, SELF
from thrum_tmux.restart.subject import Subject, subject
from thrum_tmux.session import owning
from thrum_tmux.session.records import Record
from thrum_tmux.session.sessions import Sessions
from thrum_tmux.wake import program


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A restart that is wanted.

    Attributes:
        found: the session.
        identity: who lives there.
        runtime: what is to be launched.
        reason: why, as the snapshot tells it.
        force: do not ask the agent to save.
        asked_by: who wants it; empty when nobody that can be told.
        is_own: the agent itself does, and waits for the answer.
    """

    found: Found
    identity: Identity
    runtime: str
    reason: str = EXTERNAL
    force: bool = False
    asked_by: str = ""
    is_own: bool = False


class Restarting:
    """The handler, and what restarts of the daemon's own have in common with it; ``ctx.shared(Restarting)``."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self._sessions = ctx.shared(Sessions)
        self._saving = ctx.shared(Saving)
        self._renewing = ctx.shared(Renewing)
        self._under_way: dict[str, asyncio.Task[RestartResult]] = {}
        self._left: set[str] = set()
        """Of those under way the ones that an earlier daemon left."""

    async def restart(self, call: Call, params: RestartParams) -> RestartResult:
        """Begin a session's runtime anew; goes on also when the caller goes away.

        Raises:
            UsageError: no runtime is called so, or it has no command.
            SessionMissing, NotFound: there is no such session, or nobody lives in it.
            NotYours: it is somebody else's, and there is no *force*.
            Refused: it is being restarted already, or the new runtime cannot be started: then the snapshot is kept.
            TmuxError, PaneMissing, ServerSilent: tmux cannot.
        """
        if params.runtime:
            check_runtime(params.runtime)
            runtimes.launchable(params.runtime, self._ctx.presets())
        found = await self._sessions.find(params.name)
        record = self._sessions.record_of(found) if found else self._remembered(params.name)
        name = found.row.name if found else params.name
        identity = await self._identity(name, found.row.agent if found else record.agent if record else "")
        thing = owning.belonging(name, [identity.name], record=record, worktree=identity.home)
        authority = await self._ctx.authorize(call.caller, thing, force=params.force)
        if params.runtime not in ("", identity.runtime):
            await self._check_known(params.runtime, identity)
        if found is None and record is not None:
            found = await self._sessions.make(record)
        assert found is not None, "one that is gone is remembered"
        left = await self._renewing.left(found)
        if left is not None and (identity.name in self._left or identity.name not in self._under_way):
            return await asyncio.shield(self.resume(found, identity, left))  # its caller asks the next daemon
        is_own = bool(identity.agent_pid) and call.caller.runtime_pid == identity.agent_pid
        caller = call.caller.agent_id if call.caller.kind == "agent" else ""
        runtime = await runtimes.chosen(
            self._ctx,
            asked=params.runtime,
            preferred=identity.runtime or identity.preferred_runtime or (record.runtime if record else ""),
            callers="",
        )
        runtimes.launchable(runtime, self._ctx.presets())
        order = Order(
            found=found,
            identity=identity,
            runtime=runtime,
            reason=SELF if is_own else EXTERNAL,
            force=params.force,
            asked_by=caller if caller != identity.name else "",
            is_own=is_own,
        )
        begun = self.begin(order)
        notes = await owning.tell(self._ctx, authority, call.caller, thing=thing, done="begun anew")
        return msgspec.structs.replace(await asyncio.shield(begun), notes=notes)

    def begin(self, order: Order) -> asyncio.Task[RestartResult]:
        """Carry out *order* in the background.

        Raises:
            Refused: the agent is being restarted already.
        """
        name = order.identity.name
        if name in self._under_way:
            raise Refused(
                f'session "{order.found.row.name}" is being restarted already',
                hint=f"wait for it: thrum tmux capture {order.found.row.name}",
            )
        return self._begin(name, order.found, self._restart(order))

    def resume(self, found: Found, identity: Identity, mark: Mark) -> asyncio.Task[RestartResult]:
        """Go through with a restart that an earlier daemon left when it had saved; the same task for all who ask."""
        under_way = self._under_way.get(identity.name)
        self._left.add(identity.name)
        return under_way or self._begin(identity.name, found, self._resumed(found, identity, mark))

    def is_under_way(self, agent: str) -> bool:
        """Whether this daemon is restarting an agent."""
        return agent in self._under_way

    async def close(self) -> None:
        """Leave restarts where they are, for the next daemon to go on with."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(
        self, name: str, found: Found, work: Coroutine[Any, Any, RestartResult]
    ) -> asyncio.Task[RestartResult]:
        task = asyncio.create_task(work)
        self._under_way[name] = task
        task.add_done_callback(lambda done: self._ended(name, found, done))
        return task

    # --- one restart -------------------------------------------------------------------------------------------------

    async def _restart(self, order: Order) -> RestartResult:
        identity = order.identity
        who = await self._living(order, await self._ctx.in_thread(subject, identity.name, identity.home))
        mark = Mark(
            phase=marks.SAVING,
            agent=identity.name,
            runtime=order.runtime,
            pid=who.pid if self._saving.is_alive(who) else 0,
            started=who.started,
            asked_by=order.asked_by,
            before=identity.runtime,
        )
        await self._renewing.note(order.found, mark)
        try:
            saved, draft = await self._saved(order, who)
        except ThrumError:
            await self._renewing.note(order.found, None)  # nothing has ended yet
            raise
        await self._renewing.renew(order.found, identity, mark, who)
        return RestartResult(
            session=order.found.row.name,
            runtime=order.runtime,
            snapshot_lines=saved.lines,
            saved_by=saved.by,
            snapshot=str(saved.path or ""),
            draft=draft,
            why=saved.why,
        )

    async def _living(self, order: Order, who: Subject) -> Subject:
        """*who* with the runtime that has the pane, where the identity names none that lives: nobody told us of it."""
        if self._saving.is_alive(who):
            return who
        pane = await self._sessions.panes.of_session(order.found.row.name)
        if pane is None:
            return who
        look = await pane.look()
        running = await program.running(self._ctx, look)
        process = self._ctx.process(running.pid) if running.runtime not in ("", runtimes.SHELL) else None
        if process is None:
            return who
        return replace(who, pid=process.pid, started=process.start_time, runtime=running.runtime)

    async def _resumed(self, found: Found, identity: Identity, mark: Mark) -> RestartResult:
        who = await self._ctx.in_thread(subject, identity.name, identity.home)
        await self._renewing.renew(found, identity, mark, who)
        saved = await self._saving.waiting(who)
        return RestartResult(
            session=found.row.name,
            runtime=mark.runtime,
            snapshot_lines=saved.lines,
            saved_by=saved.by,
            snapshot=str(saved.path or ""),
        )

    async def _saved(self, order: Order, who: Subject) -> tuple[Saved, str]:
        """What the next session will be told, and the draft that is part of it."""
        # Found while the runtime lives: its process tells where it keeps its sessions.
        transcript = await self._saving.transcript(who)
        saved = await self._saving.already(who)
        may_ask = not (saved or order.force or order.is_own) and self._saving.is_alive(who)
        why = ""
        if may_ask:
            saved = await self._saving.asked_for(who, reason=order.reason)
            why = "" if saved else "the agent did not save in time"
        # Looked at last: what is typed while the agent saves belongs to it, too.
        draft = await self._draft(order)
        if saved is None:
            saved = await self._saving.extracted(who, transcript, reason=order.reason, draft=draft)
            return replace(saved, why="; ".join(filter(None, (why, saved.why)))), draft
        await self._saving.add_draft(who, draft)
        return saved, draft

    async def _draft(self, order: Order) -> str:
        """What stands in the agent's prompt; empty where that cannot be told."""
        preset = runtimes.preset_of(order.identity.runtime or order.runtime, self._ctx.presets())
        try:
            pane = await self._sessions.panes.of_session(order.found.row.name)
            return "" if pane is None else await drafts.draft(pane, preset)
        except ThrumError as error:
            self._ctx.log.warning("the prompt of %s cannot be read: %s", order.found.row.name, error)
            return ""

    async def _check_known(self, runtime: str, identity: Identity) -> None:
        """Nothing is ended for a runtime that cannot be started. Raises UsageError."""
        running = identity.agent_pid if identity.is_running else 0

        def check() -> None:
            runtimes.check_known(runtime, self._ctx.presets(), running=running)

        await self._ctx.in_thread(check)

    # --- who and where -----------------------------------------------------------------------------------------------

    def _remembered(self, name: str) -> Record:
        """How a session was made that is gone.

        Raises:
            SessionMissing: there was none for an agent, or its folder is gone, too.
        """
        record = self._sessions.records.named(name)
        if record is None or not record.agent or not record.cwd.is_dir():
            raise SessionMissing(name)
        return record

    async def _identity(self, name: str, agent: str) -> Identity:
        """Who lives in the session *name*, which is made for *agent*, if for anybody."""
        everyone = await identities(self._ctx, name=agent)
        chosen = [each for each in everyone if agent or each.session == name]
        if not chosen:
            raise NotFound(
                "identity",
                name,
                message=f"no identity file found for session {name}",
                hint=f"register an agent there, then: thrum tmux launch {name}",
            )
        return chosen[0]

    def _ended(self, name: str, found: Found, task: asyncio.Task[RestartResult]) -> None:
        self._under_way.pop(name, None)
        self._left.discard(name)
        if task.cancelled() or (error := task.exception()) is None:
            return
        log = self._ctx.log.warning if isinstance(error, ThrumError) else self._ctx.log.error
        log("restart of session %s: %s", found.row.name, error)

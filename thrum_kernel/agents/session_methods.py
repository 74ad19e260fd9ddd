"""The methods ``session.*``: for identities of the caller's own worktree only.

Source: spec/kernel.md §4.4, §6.7; spec/decisions.md "Identity".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from thrum_kernel.agents.homes import ProcessKey
from thrum_kernel.agents.identity_files import IdentityFiles
from thrum_kernel.agents.recalled import first_of
from thrum_kernel.agents.requests import EndSession, Heartbeat, ListSessions, SetIntent, SetTask, StartSession
from thrum_kernel.agents.results import (
    HeartbeatTaken,
    IntentSet,
    SessionEnded,
    SessionInfo,
    SessionList,
    SessionStarted,
    TaskSet,
)
from thrum_kernel.agents.roster import Roster
from thrum_kernel.agents.session_rows import LabelChange
from thrum_kernel.agents.sessions import Beginning, Sessions
from thrum_kernel.agents.work import Work
from thrum_kernel.api import Call, Caller
from thrum_kernel.bus.standing import standing
from thrum_kernel.clock import Clock, format_us, parse_us
from thrum_kernel.errors import FileDamaged, NotFound, ParamsInvalid, Refused
from thrum_kernel.events import Event
from thrum_kernel.events.core import Label, SessionEnd, SessionStart
from thrum_kernel.identity.model import Identity
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow, SessionRow

HEARTBEAT_FRESH_S: Final = 2.0


class SessionMethods:
    """Handlers of ``session.*``."""

    def __init__(
        self, *, roster: Roster, sessions: Sessions, work: Work, files: IdentityFiles, clock: Clock
    ) -> None:
        self._roster = roster
        self._sessions = sessions
        self._work = work
        self._files = files
        self._clock = clock

    async def start(self, call: Call, params: StartSession) -> SessionStarted:
        """Begin a work period of an agent."""
        _check_labels(params.scopes, params.refs)
        caller = standing(call)
        agent = self._agent_to_start(params.agent_id)
        self._roster.require_own(caller, agent)
        seen = await self._work.look(agent, max_age_s=HEARTBEAT_FRESH_S)
        async with self._sessions.one_at_a_time:
            beginning = await self._begin(call, params, caller, agent, seen)
        return _started(beginning.start)

    async def _begin(
        self, call: Call, params: StartSession, caller: Caller, agent: AgentRow, seen: dict[str, Any]
    ) -> Beginning:
        process = self._process(caller, agent)
        beginning = self._sessions.plan(agent.name, agent.incarnation, self._sessions.open_of(agent), process)
        beginning.start.asserted = caller.asserted
        await self._sessions.commit(beginning, request_id=call.request_id)
        self._roster.homes.touch(agent.incarnation)
        await self._sessions.begun(beginning, scopes=params.scopes, refs=params.refs, context=seen)
        await self._sessions.note(agent, beginning.start.session_id)
        return beginning

    def recall_start(self, call: Call, events: Sequence[Event]) -> SessionStarted:
        """The answer that a start with *events* was given before a restart."""
        return _started(first_of(SessionStart, events))

    async def end(self, call: Call, params: EndSession) -> SessionEnded:
        """End a work period; the times of one that has ended are told again."""
        async with self._sessions.one_at_a_time:
            return await self._end(call, params)

    async def _end(self, call: Call, params: EndSession) -> SessionEnded:
        session, agent = self._own(call, params.session_id)
        if session.ended_us is not None:
            return _ended(session, session.ended_us)
        ends = await self._sessions.end(
            agent, [session], params.reason or "normal", request_id=call.request_id
        )
        return _ended(session, parse_us(ends[0].timestamp))

    def recall_end(self, call: Call, events: Sequence[Event]) -> SessionEnded:
        """The answer that an end with *events* was given before a restart."""
        event = first_of(SessionEnd, events)
        session = queries.session(self._roster.cache, event.session_id)
        started = session.started_us if session else parse_us(event.timestamp)
        row = SessionRow(event.session_id, 0, started, None, None)
        return _ended(row, parse_us(event.timestamp))

    def list_sessions(self, call: Call, params: ListSessions) -> SessionList:
        """Sessions, newest first; those of an agent that nobody knows are none."""
        agents = {agent.id: agent for agent in self._roster.everyone()}
        shown = self._roster.shown(agents.values())
        wanted = params.agent_id.removeprefix("@")
        cache = self._roster.cache
        rows = queries.all_open_sessions(cache) if params.active_only else queries.sessions(cache)
        missing = {row.agent for row in rows} - agents.keys()
        agents |= queries.agents_by_key(cache, missing)
        found = []
        for row in rows:
            agent = agents.get(row.agent)
            if agent is None or wanted not in ("", agent.name, shown.get(agent.id, agent.name)):
                continue
            found.append(self._info(row, agent, shown.get(agent.id, agent.name)))
        return SessionList(sessions=found)

    async def heartbeat(self, call: Call, params: Heartbeat) -> HeartbeatTaken:
        """Sign of life: notes the time, scopes and refs, and what git says of the worktree."""
        _check_labels(params.add_scopes, params.remove_scopes, params.add_refs, params.remove_refs)
        session, agent = self._own_open(call, params.session_id)
        self._roster.homes.touch(agent.incarnation)
        seen_us = self._sessions.rows.touch(session.session_id)
        await self._sessions.rows.label(
            session.session_id,
            [
                LabelChange("scope", add=params.add_scopes, remove=params.remove_scopes),
                LabelChange("ref", add=params.add_refs, remove=params.remove_refs),
            ],
        )
        taken = HeartbeatTaken(session_id=session.session_id, last_seen_at=format_us(seen_us))
        seen = await self._work.look(agent, max_age_s=HEARTBEAT_FRESH_S)
        if seen:
            await self._sessions.contexts.note(session.session_id, agent.incarnation, **seen)
            taken.branch = seen["branch"] or msgspec.UNSET
            taken.unmerged_commits = len(seen["unmerged_commits"])
            taken.file_changes = seen["file_changes"] or msgspec.UNSET
        return taken

    async def set_intent(self, call: Call, params: SetIntent) -> IntentSet:
        """What the agent means to do; kept in its identity file too, for answers without a daemon."""
        session, agent = self._own_open(call, params.session_id)
        now = format_us(self._clock.now_us())
        self._roster.homes.touch(agent.incarnation)
        await self._note_intent(agent, params.intent)
        await self._sessions.contexts.change(
            session.session_id, agent.incarnation, intent=params.intent, intent_updated_at=now
        )
        return IntentSet(session_id=session.session_id, intent=params.intent, intent_updated_at=now)

    async def set_task(self, call: Call, params: SetTask) -> TaskSet:
        """The task at hand."""
        session, agent = self._own_open(call, params.session_id)
        now = format_us(self._clock.now_us())
        self._roster.homes.touch(agent.incarnation)
        await self._sessions.contexts.change(
            session.session_id, agent.incarnation, current_task=params.current_task, task_updated_at=now
        )
        return TaskSet(session_id=session.session_id, current_task=params.current_task, task_updated_at=now)

    # whose session

    def _agent_to_start(self, name: str) -> AgentRow:
        try:
            return self._roster.local(name)
        except NotFound as error:
            raise NotFound(
                "agent",
                name,
                message=f"agent not found: agent {name} not registered",
                hint="register it first: thrum quickstart --name NAME --role ROLE --module MODULE",
            ) from error

    def _own(self, call: Call, session_id: str) -> tuple[SessionRow, AgentRow]:
        session = queries.session(self._roster.cache, session_id)
        if session is None:
            raise NotFound("session", session_id, hint="thrum session list")
        agent = queries.agent_by_key(self._roster.cache, session.agent)
        if not self._roster.is_local(agent):
            raise Refused(
                f"session {session_id} belongs to {self._roster.long_name(agent)}, on another daemon"
            )
        self._roster.require_own(standing(call), agent)
        return session, agent

    def _own_open(self, call: Call, session_id: str) -> tuple[SessionRow, AgentRow]:
        session, agent = self._own(call, session_id)
        if session.ended_us is not None:
            raise Refused(
                f"session {session_id} has already ended", hint="begin a new one: thrum session start"
            )
        return session, agent

    def _process(self, caller: Caller, agent: AgentRow) -> ProcessKey | None:
        """The runtime that a session is started from: the caller's, unless that is another agent's."""
        home = self._roster.home(agent)
        start_time = self._roster.start_of(caller.runtime_pid) if caller.runtime_pid else None
        if start_time is not None:
            process = ProcessKey(caller.runtime_pid, start_time)
            owners = {owner.name for owner in self._roster.homes.living_in(process)}
            if not owners or agent.name in owners:
                return process
        return home.process if self._roster.is_running(home.process) else None

    # answers

    async def _note_intent(self, agent: AgentRow, intent: str) -> None:
        home = self._roster.home(agent)
        if home.worktree is None:
            return

        def change(identity: Identity | None) -> Identity | None:
            return identity and msgspec.structs.replace(identity, intent=intent)

        try:
            await self._files.update(home.worktree, agent.name, change)
        except (FileDamaged, OSError):  # the session has it; doctor tells of the file
            return

    def _info(self, row: SessionRow, agent: AgentRow, shown: str) -> SessionInfo:
        facts = self._sessions.rows.of(row.session_id) if row.ended_us is None else None
        last_seen_us = row.ended_us or max(facts.last_seen_us if facts else 0, row.started_us)
        info = SessionInfo(
            session_id=row.session_id,
            agent_id=shown,
            started_at=format_us(row.started_us),
            last_seen_at=format_us(last_seen_us),
            status="active" if row.ended_us is None else "ended",
        )
        if row.ended_us is not None:
            info.ended_at = format_us(row.ended_us)
            info.end_reason = row.end_reason or msgspec.UNSET
            return info
        context = self._sessions.contexts.of_session(row.session_id) if self._roster.is_local(agent) else None
        info.intent = (context.intent if context else "") or msgspec.UNSET
        info.scopes = self._sessions.rows.labels(row.session_id, "scope") or msgspec.UNSET
        info.refs = self._sessions.rows.labels(row.session_id, "ref") or msgspec.UNSET
        return info


def _check_labels(*labels: Sequence[Label]) -> None:
    for label in (label for group in labels for label in group):
        if not label.type or not label.value:
            raise ParamsInvalid("a scope or ref needs a type and a value")


def _started(start: SessionStart) -> SessionStarted:
    return SessionStarted(session_id=start.session_id, agent_id=start.agent_id, started_at=start.timestamp)


def _ended(session: SessionRow, ended_us: int) -> SessionEnded:
    return SessionEnded(
        session_id=session.session_id,
        ended_at=format_us(ended_us),
        duration_ms=max(0, (ended_us - session.started_us) // 1000),
    )

"""``team.list`` and ``agent.lookup``: everyone with what they do, one row an agent.

Active is who has an open session; an agent of this daemon whose runtime is gone is offline, also before its session
is ended. Source: spec/kernel.md §4.4 "TeamMember"; spec/features.md §12.8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from thrum_kernel.agents.directory import AgentFacts
from thrum_kernel.agents.identity_files import IdentityFiles
from thrum_kernel.agents.requests import ListTeam, Lookup
from thrum_kernel.agents.results import GroupTotal, Looked, SharedMessages, Team, TeamMember
from thrum_kernel.agents.roster import Roster
from thrum_kernel.agents.session_rows import SessionRows
from thrum_kernel.agents.work import Work, Worked
from thrum_kernel.api import Call
from thrum_kernel.clock import format_us
from thrum_kernel.errors import UnknownAgent
from thrum_kernel.events.core import WorkContext
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow, SessionRow
from thrum_kernel.projection.schema import AUDIENCE

PLUGIN_FIELDS: Final = ("tmux_session", "tmux_state", "runtime")
"""Named fields of a member that plugins may fill; what else they tell goes into ``facts``."""


class TeamMethods:
    """Handlers of ``team.list`` and ``agent.lookup``.

    Args:
        is_reserved: whether a name is a pseudo-agent's.
        agent_facts: what plugins know of an agent of this daemon.
    """

    def __init__(
        self,
        *,
        roster: Roster,
        work: Work,
        rows: SessionRows,
        files: IdentityFiles,
        is_reserved: Callable[[str], bool],
        agent_facts: AgentFacts,
    ) -> None:
        self._roster = roster
        self._work = work
        self._rows = rows
        self._files = files
        self._is_reserved = is_reserved
        self._agent_facts = agent_facts

    async def list_team(self, call: Call, params: ListTeam) -> Team:
        """The team: those with an open session, with *include_offline* everyone."""
        everyone = self.members(self._roster.everyone()) if params.with_work else self.known_members()
        members = [
            member
            for member in await everyone
            if _is_wanted(member, offline=params.include_offline, system=params.include_system)
        ]
        return Team(members=members, shared_messages=self._shared_messages())

    async def lookup(self, call: Call, params: Lookup) -> Looked:
        """One agent: where it is, since when, when it was last seen; None when there is none."""
        try:
            agent = self._roster.addressed(params.name)
        except UnknownAgent:
            return Looked(member=None)
        return Looked(member=(await self.members([agent]))[0])

    async def members(self, agents: Iterable[AgentRow]) -> list[TeamMember]:
        """One member an agent: local ones first, by name."""
        chosen = list(agents)
        with_session = self._newest_sessions()
        return await self._members(
            chosen, await self._work.of(agent for agent in chosen if agent.id in with_session)
        )

    async def known_members(self) -> list[TeamMember]:
        """Everyone, as `members` but without asking git what they do."""
        everyone = self._roster.everyone()
        return await self._members(everyone, self._work.known(everyone))

    async def _members(self, chosen: list[AgentRow], worked: Iterable[Worked]) -> list[TeamMember]:
        self._files.look()
        shown = self._roster.shown(chosen)
        sessions = self._newest_sessions()
        contexts = {item.context.session_id: item.context for item in worked}
        facts = await self._facts_of(chosen)
        members = []
        for agent in chosen:
            session = sessions.get(agent.id)
            context = contexts.get(session.session_id) if session else None
            member = self._member(agent, shown[agent.id], session, context)
            _add_facts(member, facts.get(agent.name, {}) if member.is_local else {})
            members.append(member)
        self._count_mail(chosen, members)
        return sorted(members, key=lambda member: (not member.is_local, member.agent_id))

    def _member(
        self, agent: AgentRow, shown: str, session: SessionRow | None, context: WorkContext | None
    ) -> TeamMember:
        member = TeamMember(
            agent_id=shown,
            role=agent.role,
            module=agent.module,
            display=agent.display,
            status="offline" if session is None else "active",
            unmerged_commits=0,
            inbox_total=0,
            inbox_unread=0,
            hostname=agent.hostname,
            origin_daemon=agent.home,
            agent_pid=agent.agent_pid,
            runtime=agent.runtime,
            worktree=agent.worktree,
            is_local=self._roster.is_local(agent),
            adopted=agent.adopted,
        )
        if session is not None:
            member.session_id = session.session_id
            member.session_start = member.last_seen = format_us(session.started_us)
        if context is not None:
            _add_context(member, context)
        if member.is_local:
            self._add_local(member, agent, session)
        if self._is_reserved(agent.name):
            member.reserved = True
        if member.reserved:
            member.status = "reserved"
        return member

    def _add_local(self, member: TeamMember, agent: AgentRow, session: SessionRow | None) -> None:
        home = self._roster.home(agent)
        seen_us = home.last_seen_us
        if home.worktree is not None:
            member.worktree, member.worktree_path = home.worktree.name, str(home.worktree)
            member.worktree_missing = not home.worktree.is_dir()
        if session is not None:
            facts = self._rows.of(session.session_id)
            member.asserted = facts.asserted if facts else False
            seen_us = max(seen_us, facts.last_seen_us if facts else session.started_us)
            if facts and facts.process and not self._roster.is_running(facts.process):
                member.status = "offline"
        if seen_us:
            member.last_seen = format_us(seen_us)
        member.agent_pid = home.process.pid if home.process and self._roster.is_running(home.process) else 0
        found = self._files.find(agent.name)
        if found is not None:
            identity = found[1]
            member.agent_status = identity.agent_status
            member.tmux_session = identity.tmux_session
            member.runtime = identity.runtime or member.runtime
            member.reserved = identity.reserved

    def _newest_sessions(self) -> dict[int, SessionRow]:
        newest: dict[int, SessionRow] = {}
        for row in queries.all_open_sessions(self._roster.cache):
            newest.setdefault(row.agent, row)
        return newest

    def _count_mail(self, agents: list[AgentRow], members: list[TeamMember]) -> None:
        wanted = msgspec.json.encode([agent.id for agent in agents]).decode()
        rows = self._roster.cache.read(
            "SELECT agent, total, unread FROM tally WHERE agent IN (SELECT value FROM json_each(?))",
            (wanted,),
        )
        counts = {agent: (total, unread) for agent, total, unread in rows}
        for agent, member in zip(agents, members, strict=True):
            member.inbox_total, member.inbox_unread = counts.get(agent.id, (0, 0))

    async def _facts_of(self, agents: list[AgentRow]) -> dict[str, Mapping[str, Any]]:
        names = [agent.name for agent in agents if self._roster.is_local(agent)]
        answers = await asyncio.gather(*(self._agent_facts(name) for name in names))
        return dict(zip(names, answers, strict=True))

    def _shared_messages(self) -> SharedMessages:
        rows = self._roster.cache.read(
            "SELECT l.type, l.value, count(*) FROM label l JOIN message_label x ON x.label = l.id"
            " WHERE l.kind = ? AND l.type IN ('broadcast', 'group') GROUP BY l.id ORDER BY l.value",
            (AUDIENCE,),
        )
        groups = [GroupTotal(name=value, total=total) for kind, value, total in rows if kind == "group"]
        return SharedMessages(
            broadcast_total=sum(total for kind, _, total in rows if kind == "broadcast"),
            groups=groups or msgspec.UNSET,
        )


def _is_wanted(member: TeamMember, *, offline: bool, system: bool) -> bool:
    wanted: dict[Literal["active", "offline", "reserved"], bool] = {
        "active": True,
        "offline": offline,
        "reserved": system,
    }
    return wanted[member.status]


def _add_context(member: TeamMember, context: WorkContext) -> None:
    member.intent = context.intent
    member.current_task = context.current_task
    member.branch = context.branch
    member.unmerged_commits = len(context.unmerged_commits)
    member.file_changes = context.file_changes
    if context.worktree_path and not member.worktree:
        member.worktree = Path(context.worktree_path).name


def _add_facts(member: TeamMember, facts: Mapping[str, Any]) -> None:
    """Take over what plugins tell: named fields where they are text, everything else as it is."""
    further: dict[str, Any] = {}
    for key, value in facts.items():
        if key not in PLUGIN_FIELDS:
            further[key] = value
        elif isinstance(value, str):
            setattr(member, key, value)
    member.facts = further

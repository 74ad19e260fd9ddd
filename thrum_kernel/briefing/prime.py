"""``prime.show``: the briefing of whoever asks, gathered from every room and from plugins.

It is asked at the beginning of every session and after every loss of context, so it must cost little: rooms are asked
all at once, and git's state of the worktree is the one kept from a moment ago. Nothing it shows counts as read.

Every time it brings the identity file up to date: branch, preferred runtime, and where in tmux the agent is.

Source: spec/features.md §12.2; spec/decisions.md "init, prime…"; issue "Plugins".
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from thrum_kernel import git
from thrum_kernel.api import (
    AgentInfo,
    Call,
    Caller,
    GuardedCall,
    IdentityFacts,
    Method,
    PrimeSection,
    Verdict,
)
from thrum_kernel.briefing import commands, text, wording
from thrum_kernel.briefing.commands import CommandEntry
from thrum_kernel.briefing.hooks import BriefingHooks
from thrum_kernel.briefing.model import (
    KERNEL_KEYS,
    BriefedCommand,
    BriefedDaemon,
    BriefedMail,
    BriefedMessage,
    BriefedSession,
    BriefedTeam,
    BriefedWork,
    Briefing,
    PrimeParams,
)
from thrum_kernel.briefing.terminal import place_of
from thrum_kernel.briefing.texts import read_texts
from thrum_kernel.clock import Clock
from thrum_kernel.errors import AnonymousCaller, GuardFired, IdentityMissing, ThrumError
from thrum_kernel.events import Event
from thrum_kernel.events.core import SessionStart
from thrum_kernel.identity.model import Identity
from thrum_kernel.paths import THRUM_FOLDER, Paths

RECENT: Final = 5

Ask = Callable[[Caller, str, Mapping[str, Any]], Awaitable[Any]]
"""``(caller, method, params)`` → the result of a method as plain JSON values."""

_log = logging.getLogger(__name__)


class Rooms(Protocol):
    """What the agents' room gives (`agents.Agents`)."""

    async def everyone_now(self) -> Sequence[Any]: ...
    async def work_now(self, name: str) -> Mapping[str, Any]: ...
    def identities_in(self, worktree: Path) -> tuple[IdentityFacts, ...]: ...
    async def update_identity(
        self, name: str, change: Callable[[Identity | None], Identity | None]
    ) -> Identity | None: ...


@dataclass(frozen=True, slots=True)
class _Own:
    """What belongs to the agent alone."""

    preamble: str = ""
    project_state: str = ""
    saved: str = ""
    sections: Sequence[PrimeSection] = ()
    warnings: Sequence[str] = ()


class Prime:
    """The method ``prime.show``.

    Args:
        ask: any method of this daemon, in somebody's name.
        agents: the agents' room.
        hooks: what plugins say.
        is_alone: whether single-agent mode is on.
        entries: every listed command of the tree.
        is_woken: whether something tells agents when a message comes.
        env: the daemon's own environment.
    """

    def __init__(
        self,
        *,
        ask: Ask,
        agents: Rooms,
        hooks: BriefingHooks,
        paths: Paths,
        clock: Clock,
        is_alone: Callable[[], bool],
        entries: Callable[[], Iterable[CommandEntry]],
        is_woken: Callable[[], bool] = lambda: False,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        self._ask = ask
        self._agents = agents
        self._hooks = hooks
        self._paths = paths
        self._clock = clock
        self._is_alone = is_alone
        self._entries = entries
        self._is_woken = is_woken
        self._env = env
        self._warming: set[asyncio.Task[Any]] = set()

    def methods(self) -> Sequence[Method]:
        """``prime.show``."""
        return (
            Method(
                name="prime.show",
                params=PrimeParams,
                result=Briefing,
                handler=self.show,
                anonymous=True,
                summary="The briefing of an agent: who it is, what waits, how things stand",
            ),
        )

    def heard(self, event: Event) -> None:
        """A listener of the committer: whoever begins a session soon asks for the briefing, so look at git now."""
        if isinstance(event, SessionStart):
            task = asyncio.get_running_loop().create_task(self._agents.work_now(event.agent_id))
            self._warming.add(task)
            task.add_done_callback(self._warmed)

    async def show(self, call: Call, params: PrimeParams) -> Briefing:
        """The briefing of the caller; a caller whom nobody knows is told how to register.

        Raises:
            GuardFired: a guard refuses, or the caller's claim contradicts the facts.
            IdentityAmbiguous: several identities fit.
        """
        me = await self._me(call)
        agent = None if me is None else self._agent_info(me, call.caller)
        warnings: list[str] = []
        if me is not None and agent is not None:
            warnings, is_new = await self._guard(call.caller, agent, params)
            me = (await self._me(call) or me) if is_new else me
        alone = self._is_alone()
        (me, refusal), team, mail, work, health, own = await asyncio.gather(
            self._refreshed(me, call.caller, params),
            self._team(),
            self._mail(call.caller, me),
            self._work(me, call.caller),
            self._ask(call.caller, "health", {}),
            self._own(agent, alone=alone),
        )
        work.branch = (me or {}).get("branch") or work.branch
        warnings += [*refusal, *own.warnings]
        listed = commands.shown(self._entries(), alone=alone)
        added = {section.key: section.data for section in own.sections}
        briefing = Briefing(
            identity=me,
            session=_session(me),
            agents=team,
            messages=mail,
            work_context=work,
            sync_state=_daemon(health),
            repo_path=str(self._paths.repo),
            runtime=call.caller.runtime,
            single_agent_mode=alone,
            tmux_mode=bool(params.tmux),
            restart_snapshot=added.pop("restart_snapshot", None),
            saved_session_context=own.saved,
            commands=[BriefedCommand(command=line, help=said) for line, said in listed],
            preamble=own.preamble,
            project_state=own.project_state,
            sections=added,
            warnings=warnings,
        )
        briefing.text = text.render(briefing, own.sections, self._setting())
        return briefing

    # --- who asks ----------------------------------------------------------------------------------------------------

    async def _me(self, call: Call) -> dict[str, Any] | None:
        try:
            me: dict[str, Any] = await self._ask(call.caller, "agent.whoami", {})
        except (IdentityMissing, AnonymousCaller):
            return None
        return me

    def _agent_info(self, me: Mapping[str, Any], caller: Caller) -> AgentInfo:
        worktree = Path(me.get("worktree") or caller.worktree or self._paths.worktree)
        return AgentInfo(
            name=me["agent_id"],
            role=me["role"],
            module=me["module"],
            worktree=worktree,
            thrum=worktree / THRUM_FOLDER,
            runtime=caller.runtime,
            display=me.get("display", ""),
        )

    async def _guard(self, caller: Caller, agent: AgentInfo, params: PrimeParams) -> tuple[list[str], bool]:
        """Ask the guards, and let the caller's runtime be the agent's where the one it had has ended.

        Gives the guards' warnings, and whether the agent has a new runtime.

        Raises:
            GuardFired: the briefing is not this caller's to have.
        """
        subjects = self._agents.identities_in(agent.worktree)
        asked = GuardedCall(
            kind="prime",
            name=agent.name,
            caller=caller,
            params={
                "command": "prime",
                "worktree": str(agent.worktree),
                "tmux_pane": params.tmux_pane if params.tmux else "",
            },
            identities=subjects,
        )
        warnings = _told(await self._hooks.judge(asked))
        mine = next((subject for subject in subjects if subject.name == agent.name), None)
        if mine is None or mine.is_running or not caller.runtime_pid or caller.source != "worktree":
            return warnings, False
        try:
            if mine.pid:
                warnings += _told(await self._hooks.judge(dataclasses.replace(asked, kind="reclaim")))
            await self._ask(
                caller,
                "agent.register",
                {"name": agent.name, "role": agent.role, "module": agent.module, "runtime": caller.runtime},
            )
        except ThrumError as refusal:  # it stays as it is: nobody is refused a briefing for that
            return [*warnings, str(refusal)], False
        return warnings, True

    async def _refreshed(
        self, me: dict[str, Any] | None, caller: Caller, params: PrimeParams
    ) -> tuple[dict[str, Any] | None, list[str]]:
        """*me* with the identity file brought up to date, and why that is refused: it costs nobody the briefing."""
        if me is None:
            return None, []
        worktree = Path(me.get("worktree") or self._paths.worktree)
        branch, pane = await asyncio.gather(
            asyncio.to_thread(_branch, worktree), self._pane(caller, params, str(me.get("tmux_session", "")))
        )
        wanted = {"branch": branch, "preferred_runtime": caller.runtime or None, "tmux_session": pane or None}
        changes = {key: value for key, value in wanted.items() if value is not None}

        def refresh(there: Identity | None) -> Identity | None:
            return None if there is None else msgspec.structs.replace(there, **changes)

        try:
            await self._agents.update_identity(me["agent_id"], refresh)
        except (ThrumError, OSError) as error:
            _log.warning("the identity of %s is not brought up to date: %s", me["agent_id"], error)
            return me, [f"the identity file is not brought up to date: {error}"]
        return me | {key: value for key, value in changes.items() if key != "preferred_runtime"}, []

    async def _pane(self, caller: Caller, params: PrimeParams, known: str) -> str:
        """Where in tmux the caller stands: as tmux says, else as plugins know; empty when nobody does."""
        if not params.tmux:
            return known
        above = [process.pid for process in caller.chain]
        ask = functools.partial(place_of, params.tmux, params.tmux_pane, ancestors=above, env=self._env)
        return await asyncio.to_thread(ask) or known

    # --- what is told ------------------------------------------------------------------------------------------------

    async def _team(self) -> BriefedTeam:
        return text.team_of(await self._agents.everyone_now())

    async def _mail(self, caller: Caller, me: Mapping[str, Any] | None) -> BriefedMail:
        if me is None:
            return BriefedMail()
        everything = await self._ask(caller, "message.list", {"mine": True, "page_size": 1})
        unread = await self._ask(caller, "message.list", {"mine": True, "unread": True, "page_size": RECENT})
        recent = [
            BriefedMessage(
                message_id=message["message_id"],
                agent_id=message["agent_id"],
                created_at=message["created_at"],
                preview=wording.preview(message["body"]["content"]),
                priority=message.get("priority", "normal"),
                thread_id=message.get("thread_id", ""),
            )
            for message in unread["messages"]
        ]
        return BriefedMail(unread=unread["unread"], total=everything["total"], recent=recent)

    async def _work(self, me: Mapping[str, Any] | None, caller: Caller) -> BriefedWork:
        if me is None:
            where = caller.worktree
            branch = await asyncio.to_thread(_branch, where) if where is not None else None
            return BriefedWork(branch=branch or "")
        found = await self._agents.work_now(me["agent_id"])
        if not found:
            return BriefedWork(branch=me.get("branch", ""), error="git tells nothing of this worktree")
        return BriefedWork(
            branch=found["branch"],
            uncommitted_files=list(found["uncommitted_files"]),
            unmerged_commits=msgspec.to_builtins(found["unmerged_commits"]),
            git_updated_at=found["git_updated_at"],
        )

    async def _own(self, agent: AgentInfo | None, *, alone: bool) -> _Own:
        if agent is None:
            return _Own()
        texts, role_text, sections = await asyncio.gather(
            asyncio.to_thread(read_texts, agent, self._paths.thrum),
            self._hooks.preamble(agent),
            self._hooks.prime(agent),
        )
        return _Own(
            preamble=wording.preamble(texts.preamble, role_text or "", texts.overlay, alone=alone),
            project_state=wording.project_state(texts.project, role=agent.role),
            saved=texts.saved,
            sections=_accepted(sections),
            warnings=texts.warnings,
        )

    def _setting(self) -> text.Setting:
        strategies = sorted(self._paths.strategies.glob("*.md"))
        return text.Setting(
            now_us=self._clock.now_us(),
            strategies=[str(path) for path in strategies],
            is_woken=self._is_woken(),
        )

    def _warmed(self, task: asyncio.Task[Any]) -> None:
        self._warming.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.info("git was not looked at ahead of a briefing: %s", task.exception())


def _told(verdict: Verdict | None) -> list[str]:
    """What a guard warns of."""
    if verdict is None or verdict.outcome != "warn":
        return []
    fired = GuardFired(verdict.guard, verdict.reason, facts=verdict.facts)
    return [f"{fired}\n  hint: {verdict.hint}" if verdict.hint else str(fired)]


def _accepted(sections: Iterable[PrimeSection]) -> list[PrimeSection]:
    """The sections of plugins without keys that are taken; the first of two counts."""
    taken, kept = set(KERNEL_KEYS), list[PrimeSection]()
    for section in sections:
        if section.key in taken:
            _log.warning("a section %s of the briefing is dropped: the key is taken", section.key)
            continue
        taken.add(section.key)
        kept.append(section)
    return kept


def _session(me: Mapping[str, Any] | None) -> BriefedSession:
    if me is None or not me.get("session_id"):
        return BriefedSession()
    return BriefedSession(
        session_id=me["session_id"], started_at=me.get("session_start", ""), intent=me.get("intent", "")
    )


def _daemon(health: Mapping[str, Any]) -> BriefedDaemon:
    return BriefedDaemon(
        daemon_status="running" if health["status"] == "ok" else health["status"],
        uptime_ms=health["uptime_ms"],
        sync_state=health["sync_state"],
        version=health["version"],
    )


def _branch(worktree: Path) -> str | None:
    """The branch checked out, empty when detached; None when git cannot tell."""
    try:
        return git.branch(worktree)
    except (ThrumError, OSError):
        return None

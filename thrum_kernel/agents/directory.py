"""``agent.list`` and ``agent.whoami``, and the same question answered from files alone.

Source: spec/kernel.md §4.4; spec/features.md §12.8; spec/decisions.md "Identity".
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from thrum_kernel.agents.contexts import Contexts
from thrum_kernel.agents.identity_files import IdentityFiles, folder_of, path_of
from thrum_kernel.agents.requests import ListAgents, WhoAmI
from thrum_kernel.agents.results import AgentInfo, AgentList, Whoami
from thrum_kernel.agents.roster import Roster
from thrum_kernel.api import Call, Caller
from thrum_kernel.clock import format_us
from thrum_kernel.errors import GuardFired, IdentityMissing
from thrum_kernel.identity import files, select
from thrum_kernel.identity.facts import Facts
from thrum_kernel.identity.model import Identity
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow

AgentFacts = Callable[[str], Awaitable[Mapping[str, Any]]]
"""What plugins know of an agent of this daemon, by its name."""


class Directory:
    """Who is registered, and who asks.

    Args:
        agent_facts: what plugins add.
        host: name of this machine.
    """

    def __init__(
        self,
        *,
        roster: Roster,
        identity_files: IdentityFiles,
        contexts: Contexts,
        agent_facts: AgentFacts,
        host: str,
    ) -> None:
        self._roster = roster
        self._files = identity_files
        self._contexts = contexts
        self._agent_facts = agent_facts
        self._host = host

    def list_agents(self, call: Call, params: ListAgents) -> AgentList:
        """Every agent of every daemon, newest registered first."""
        everyone = self._roster.everyone()
        shown = self._roster.shown(everyone)
        return AgentList(
            agents=[
                self._info(agent, shown[agent.id])
                for agent in everyone
                if params.role in ("", agent.role) and params.module in ("", agent.module)
            ]
        )

    async def whoami(self, call: Call, params: WhoAmI) -> Whoami:
        """Who the caller is.

        Raises:
            IdentityMissing: nobody that is registered.
            FileDamaged: the only identity file where it stands cannot be used.
            GuardFired, IdentityAmbiguous: its claim or place contradicts the system, or several identities fit.
        """
        caller = call.caller
        agent = self._roster.find_local(caller.agent_id) if caller.is_known else None
        if agent is None:
            self._check_files(caller)
            is_outside = caller.worktree is None or not self._files.is_worktree(caller.worktree)
            where = caller.cwd if is_outside else caller.worktree
            raise IdentityMissing(str(where or ""), is_outside=is_outside and where is not None)
        answer = Whoami(
            agent_id=agent.name,
            role=agent.role,
            module=agent.module,
            display=agent.display,
            source=_source(caller),
            host=self._host,
            is_local=True,
            asserted=caller.asserted,
        )
        self._add_file(answer, agent, caller)
        self._add_session(answer, agent)
        _add_facts(answer, await self._agent_facts(agent.name))
        return answer

    def _check_files(self, caller: Caller) -> None:
        """Name the damaged file that may be why nobody is registered where the caller stands."""
        damaged = self._files.damaged_at(caller.worktree) if caller.worktree else ()
        if damaged:
            raise damaged[0]

    def _info(self, agent: AgentRow, shown: str) -> AgentInfo:
        seen_us = self._roster.home(agent).last_seen_us
        return AgentInfo(
            agent_id=shown,
            kind=agent.kind,
            role=agent.role,
            module=agent.module,
            display=agent.display,
            registered_at=format_us(agent.registered_us),
            last_seen_at=format_us(seen_us) if seen_us else msgspec.UNSET,
            agent_pid=agent.agent_pid or msgspec.UNSET,
        )

    def _add_file(self, answer: Whoami, agent: AgentRow, caller: Caller) -> None:
        found = self._files.find(agent.name, near=caller.worktree)
        home = self._roster.home(agent)
        answer.worktree = str(home.worktree or "")
        answer.pid = home.process.pid if home.process else 0
        if found is not None:
            place, identity = found
            answer.worktree = str(place)
            _add_identity(answer, place, identity)

    def _add_session(self, answer: Whoami, agent: AgentRow) -> None:
        sessions = queries.open_sessions(self._roster.cache, agent.id)
        answer.session_id = ""
        if not sessions:
            return
        answer.session_id = sessions[0].session_id
        answer.session_start = format_us(sessions[0].started_us)
        context = self._contexts.of_session(sessions[0].session_id)
        if context is not None:
            answer.intent = context.intent
            answer.branch = context.branch or answer.branch


def whoami_from_files(
    worktree: Path,
    *,
    env: Mapping[str, str],
    facts: Facts | None,
    role: str = "",
    module: str = "",
    host: str = "",
) -> Whoami:
    """Who one is in *worktree*, told by identity files alone; blocking, and no daemon is asked.

    Args:
        env: the caller's environment: ``THRUM_NAME``, ``THRUM_AGENT_ID``, ``THRUM_ROLE``, ``THRUM_MODULE``,
            ``THRUM_DISPLAY``.
        facts: what the system says of the caller; None when it cannot be asked.
        role, module: what flags say.

    Raises:
        IdentityMissing, IdentityAmbiguous: none fits, or several.
        FileDamaged: the only file there cannot be used.
        GuardFired: ``THRUM_AGENT_ID`` claims another identity.
    """
    found = files.read_all(folder_of(worktree))
    chosen = select.select(
        found.identities, worktree=worktree, env=env, facts=facts, damaged=found.problems
    ).identity
    claim = env.get("THRUM_AGENT_ID", "")
    if claim and claim != chosen.name:
        raise GuardFired(
            "unauthenticated_rpc",
            "identity_mismatch",
            facts={
                "expected agent": claim,
                "detected agent": chosen.name,
                "caller pid": str(facts.pid or "") if facts else "",
                "caller cwd": str(facts.cwd or "") if facts else "",
                "remediation": "unset THRUM_AGENT_ID, or run from the worktree of that agent",
            },
        )
    shown = select.overridden(chosen, env=env, role=role, module=module)
    answer = Whoami(
        agent_id=chosen.name,
        role=shown.role,
        module=shown.module,
        display=shown.display,
        source="identity_file",
        worktree=str(worktree),
        pid=chosen.agent_pid,
        host=host,
        is_local=True,
    )
    _add_identity(answer, worktree, chosen)
    return answer


def _add_identity(answer: Whoami, worktree: Path, identity: Identity) -> None:
    answer.identity_file = os.fspath(path_of(worktree, identity.name))
    answer.branch = identity.branch
    answer.intent = identity.intent
    answer.repo_id = identity.repo_id
    answer.session_id = identity.session_id
    answer.status = identity.agent_status
    answer.tmux_session = identity.tmux_session
    answer.updated_at = identity.updated_at


def _add_facts(answer: Whoami, facts: Mapping[str, Any]) -> None:
    tmux_session = facts.get("tmux_session")
    if isinstance(tmux_session, str) and tmux_session:
        answer.tmux_session = tmux_session
    if "tmux_state" in facts:
        answer.tmux_alive = facts["tmux_state"] == "alive"


def _source(caller: Caller) -> Literal["peercred", "caller", "identity_file"]:
    return "peercred" if caller.source in ("process", "worktree") else "caller"

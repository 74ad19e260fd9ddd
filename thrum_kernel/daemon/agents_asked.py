"""What other rooms ask about the agents of this daemon, or want done with them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrum_kernel import paths
from thrum_kernel.agents.room import facts_of
from thrum_kernel.api import KERNEL_CALLER, AgentInfo, Caller
from thrum_kernel.clock import parse_us
from thrum_kernel.events.core import AgentRegister
from thrum_kernel.identity.model import Identity
from thrum_kernel.projection import queries

if TYPE_CHECKING:
    from thrum_kernel.daemon.main import Daemon


class AgentsAsked:
    """Over the rooms of one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def last_seen_us(self, name: str) -> int | None:
        """When an agent of this machine did something last, as its home or its identity file tells."""
        agent = (
            None if self._daemon.keeper.refusal() is not None else self._daemon.agents.roster.find_local(name)
        )
        if agent is None:
            return None
        found = self._daemon.agents.files.find(name)
        written_us = 0
        if found is not None:
            with contextlib.suppress(ValueError):
                written_us = parse_us(found[1].updated_at)
        return max(self._daemon.agents.roster.home(agent).last_seen_us, written_us)

    async def tell(self, text: str, names: Sequence[str]) -> None:
        """Send *text* to agents of these names, as the daemon. Raises ThrumError."""
        params = {"content": text, "to": [f"@{name}" for name in names]}
        await self._daemon.dispatcher.call("message.send", params, caller=KERNEL_CALLER)

    async def tell_live(self, text: str) -> None:
        """Send *text* to every agent of this daemon that has an open session, as the daemon. Raises ThrumError."""
        living = {session.agent for session in queries.all_open_sessions(self._daemon.cache)}
        here = self._daemon.opened.daemon_id
        everyone = self._daemon.agents.roster.everyone()
        names = sorted(agent.name for agent in everyone if agent.id in living and agent.home == here)
        if names:
            await self.tell(text, names)

    async def agent_facts(self, name: str) -> Mapping[str, Any]:
        """What plugins know of an agent of this daemon."""
        wanted = self._daemon.plugged.host.implements("thrum_agent_facts")
        agent = self._daemon.agents.roster.find_local(name) if wanted else None
        if agent is None:
            return {}
        found = self._daemon.agents.files.find(name)
        worktree = found[0] if found is not None else self._daemon.opened.paths.repo
        return await self._daemon.plugged.host.agent_facts(
            AgentInfo(
                name=name,
                role=agent.role,
                module=agent.module,
                worktree=worktree,
                thrum=worktree / paths.THRUM_FOLDER,
                runtime=agent.runtime,
                display=agent.display,
            )
        )

    async def judge_identity(self, worktree: Path, identity: Identity) -> None:
        if self._daemon.plugged.host.implements("thrum_guard"):
            await self._daemon.plugged.judge_identity(worktree, facts_of(worktree, identity))

    async def take_over(self, name: str, caller: Caller) -> None:
        """Register a caller's runtime as that of an agent whose own has ended."""
        agent = self._daemon.agents.roster.find_local(name)
        if agent is None:
            return
        params = {"name": name, "role": agent.role, "module": agent.module, "runtime": caller.runtime}
        await self._daemon.dispatcher.call("agent.register", params, caller=caller)

    def incarnation_of(self, name: str) -> str:
        agent = self._daemon.agents.roster.find_local(name)
        return agent.incarnation if agent else ""

    def only_looks(self, caller: Caller) -> bool:
        """Whether a caller without a runtime acts as an agent whose runtime lives elsewhere."""
        if caller.runtime_pid:
            return False
        agent = self._daemon.agents.roster.find_local(caller.agent_id)
        home = self._daemon.agents.roster.homes.of(agent.incarnation) if agent else None
        return bool(home and home.process and self._daemon.agents.roster.is_running(home.process))

    def thrum_of(self, name: str) -> Path | None:
        places = self._daemon.agents.files.places(name)
        return places[0] / paths.THRUM_FOLDER if places else None

    async def register_user(self, user_id: str, display: str) -> bool:
        if self._daemon.agents.roster.find_local(user_id) is not None:
            return False
        event = self._daemon.committer.draft(
            AgentRegister,
            agent_id=user_id,
            kind="user",
            role="user",
            module="user",
            display=display,
            hostname=self._daemon.opened.known.identity.hostname,
        )
        await self._daemon.committer.commit(event)
        return True

    def leave_single_agent_mode(self) -> bool:
        settings = self._daemon.opened.settings
        if not settings.daemon.single_agent_mode or settings.daemon.single_agent_mode_by_hand:
            return False
        settings.set("daemon.single_agent_mode", False)
        return True

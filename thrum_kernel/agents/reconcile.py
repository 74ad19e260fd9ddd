"""What a start does before anybody is served: every identity on disk can be called again.

- Identity files that are gone are written back from their copies, where the worktree is still there and the agent
  still lives here.
- An identity that this daemon does not know (its log is new, or the file came with a copied folder) is registered,
  unless its agent was deleted or moved away from here.
- An identity that an earlier layout knew, whose messages were brought over, goes on as that agent.
- The file of an agent that was deleted or moved away is set aside.
- Sessions whose runtime ended meanwhile are ended; a session is opened only for a runtime that is running and has
  none.

Source: DESIGN.md D3; spec/decisions.md "Identity"; spec/kernel.md §6.7, §10.2 (#41).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from thrum_kernel.agents.earlier import Earlier
from thrum_kernel.agents.homes import Home, ProcessKey
from thrum_kernel.agents.identity_files import IdentityFiles
from thrum_kernel.agents.roster import Roster
from thrum_kernel.agents.sessions import Sessions
from thrum_kernel.agents.worktrees import Worktrees
from thrum_kernel.clock import parse_us
from thrum_kernel.commit import Committer
from thrum_kernel.errors import InvalidName, ThrumError
from thrum_kernel.events.core import AgentRegister
from thrum_kernel.identity.model import Identity, check_agent
from thrum_kernel.projection.queries import AgentRow

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reconciled:
    """What a start had to mend; each a list of agents' names.

    Attributes:
        written_back: identity files that were gone.
        registered: identities that were not known.
        opened: agents that got a session, since their runtime is running.
        ended: agents whose session ended with their runtime while nobody looked.
        damaged: files that cannot be used, as sentences.
    """

    written_back: list[str] = field(default_factory=list)
    registered: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


class Reconciler:
    """Brings registrations, identity files and sessions together at a start."""

    def __init__(
        self,
        *,
        roster: Roster,
        sessions: Sessions,
        files: IdentityFiles,
        worktrees: Worktrees,
        committer: Committer,
        earlier: Earlier,
        hostname: str,
        watch: Callable[[ProcessKey], bool],
    ) -> None:
        self._roster = roster
        self._sessions = sessions
        self._files = files
        self._worktrees = worktrees
        self._committer = committer
        self._earlier = earlier
        self._hostname = hostname
        self._watch = watch

    async def reconcile(self) -> Reconciled:
        """Do it; once, when the log is projected.

        Raises:
            StoreError: the log cannot take a registration or session.
        """
        done = Reconciled()
        await asyncio.to_thread(self._worktrees.refresh)
        await self._write_back(done)
        for worktree in self._worktrees.all():
            self._files.keep_copies(worktree)
            done.damaged += [str(problem) for problem in worktree.problems]
            for identity in worktree.identities:
                await self._take_in(worktree.path, identity, done)
        await self._end_sessions_of_the_gone(done)
        await self._forget_the_gone()
        for sentence in done.damaged:
            _log.warning("identity file: %s", sentence)
        return done

    async def _write_back(self, done: Reconciled) -> None:
        for copy in self._files.copies():
            name = copy.identity.name
            if self._roster.find_local(name) is None or self._worktrees.at(copy.worktree) is None:
                continue
            if self._worktrees.with_identity(name):
                continue
            try:
                if await self._files.write_back(copy):
                    done.written_back.append(name)
            except (OSError, ThrumError) as error:
                _log.warning("the identity file of %s cannot be written back: %s", name, error)
        if done.written_back:
            await asyncio.to_thread(self._worktrees.refresh)

    async def _take_in(self, worktree: Path, identity: Identity, done: Reconciled) -> None:
        await self._earlier.take_over(identity.name)
        agent = self._roster.find_local(identity.name)
        if agent is None:
            agent = await self._register(worktree, identity)
            if agent is None:
                return
            done.registered.append(identity.name)
        home = self._roster.homes.of(agent.incarnation)
        if home is None or home.worktree is None:
            runtime = identity.runtime or identity.preferred_runtime
            home = Home(
                agent.incarnation, agent.name, worktree, runtime, self._process_of(identity, worktree)
            )
            await self._roster.homes.keep(home)
        elif self._worktrees.at(home.worktree) is None or not self._has_file(home.worktree, agent.name):
            home = replace(home, worktree=worktree)  # the project was moved, or the worktree
            await self._roster.homes.keep(home)
        if home.process is None or not self._roster.is_running(home.process):
            return
        self._watch(home.process)
        if not self._has_session_of(agent, home.process):
            async with self._sessions.one_at_a_time:
                await self._open(agent, home.process, worktree)
            done.opened.append(agent.name)

    async def _register(self, worktree: Path, identity: Identity) -> AgentRow | None:
        """Register an identity that nobody knows; None when its agent is gone from here, or cannot be."""
        if self._was_here(identity.name):
            await self._files.set_aside(worktree, identity.name)
            _log.warning("%s was deleted or moved away: its file in %s is set aside", identity.name, worktree)
            return None
        try:
            check_agent(identity.name, identity.role, identity.module)
        except InvalidName as error:
            _log.warning("identity file of %s in %s: %s", identity.name, worktree, error)
            return None
        process = self._process_of(identity, worktree)
        event = self._committer.draft(
            AgentRegister,
            agent_id=identity.name,
            role=identity.role,
            module=identity.module,
            display=identity.display,
            hostname=self._hostname,
            worktree=worktree.name,
            runtime=identity.runtime or identity.preferred_runtime,
            agent_pid=process.pid if process else 0,
        )
        await self._committer.commit(event)
        return self._roster.find_local(identity.name)

    def _was_here(self, name: str) -> bool:
        """Whether an agent of that name once lived here: then it was deleted or moved away on purpose."""
        rows = self._roster.cache.read(
            "SELECT 1 FROM agent a JOIN daemon d ON d.id = a.daemon"
            " WHERE a.name = ? AND d.daemon_id = ? AND a.registered_us IS NOT NULL LIMIT 1",
            (name, self._roster.daemon_id),
        )
        return bool(rows)

    def _has_file(self, worktree: Path, name: str) -> bool:
        return worktree in self._worktrees.with_identity(name)

    def _process_of(self, identity: Identity, worktree: Path) -> ProcessKey | None:
        """The runtime that a file names, if it is still that process, and works here: the file may be a copy.

        Files of other programs have no start time: their process must have started before the file was written.
        """
        start_time = self._roster.start_of(identity.agent_pid) if identity.agent_pid > 0 else None
        if start_time is None or identity.agent_pid_start not in (0, start_time):
            return None
        if not identity.agent_pid_start and not self._started_before(identity):
            return None
        return ProcessKey(identity.agent_pid, start_time) if _works_in(identity.agent_pid, worktree) else None

    def _started_before(self, identity: Identity) -> bool:
        import psutil

        try:
            created_us = int(psutil.Process(identity.agent_pid).create_time() * 1_000_000)
            return created_us <= parse_us(identity.updated_at)
        except (psutil.Error, ValueError):
            return False

    def _has_session_of(self, agent: AgentRow, process: ProcessKey) -> bool:
        rows = (self._sessions.rows.of(row.session_id) for row in self._sessions.open_of(agent))
        return any(facts is not None and facts.process == process for facts in rows)

    async def _open(self, agent: AgentRow, process: ProcessKey, worktree: Path) -> None:
        beginning = self._sessions.plan(agent.name, agent.incarnation, self._sessions.open_of(agent), process)
        await self._sessions.commit(beginning)
        await self._sessions.begun(beginning, context={"worktree_path": str(worktree)})

    async def _forget_the_gone(self) -> None:
        """Homes that a crash left behind: of agents that were deleted or moved away."""
        for home in self._roster.homes.all():
            if self._roster.reference(home.incarnation) is None:
                await self._roster.homes.forget(home.incarnation)

    async def _end_sessions_of_the_gone(self, done: Reconciled) -> None:
        for facts in self._sessions.rows.all():
            if facts.process is None:
                continue
            if self._watch(facts.process):
                continue
            agent = self._roster.by_incarnation(facts.incarnation)
            await self._sessions.end_sessions_of(facts.process)
            if agent is not None and agent.name not in done.ended:
                done.ended.append(agent.name)


def _works_in(pid: int, worktree: Path) -> bool:
    """Whether a process stands below *worktree*, compared by device and inode; True where the system does not tell."""
    import psutil

    try:
        cwd = Path(psutil.Process(pid).cwd())
        return any(folder.samefile(worktree) for folder in (cwd, *cwd.parents))
    except (psutil.Error, OSError):
        return True

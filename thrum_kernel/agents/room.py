"""The room of agents as the daemon composes it: everything wired once, and what the others take from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from thrum_kernel import git
from thrum_kernel.agents.authority import judge
from thrum_kernel.agents.contexts import ContextJournal, Contexts
from thrum_kernel.agents.directory import Directory
from thrum_kernel.agents.earlier import Earlier
from thrum_kernel.agents.git_facts import GitFacts
from thrum_kernel.agents.homes import Homes, ProcessKey
from thrum_kernel.agents.identity_files import IdentityFiles
from thrum_kernel.agents.method_table import Handlers, table
from thrum_kernel.agents.move import Moving
from thrum_kernel.agents.newcomers import Newcomers
from thrum_kernel.agents.processes import ProcessWatch
from thrum_kernel.agents.reconcile import Reconciled, Reconciler
from thrum_kernel.agents.registration import Registration
from thrum_kernel.agents.removal import Removal
from thrum_kernel.agents.results import TeamMember
from thrum_kernel.agents.roster import Roster
from thrum_kernel.agents.session_methods import SessionMethods
from thrum_kernel.agents.session_rows import SessionRows
from thrum_kernel.agents.sessions import Sessions
from thrum_kernel.agents.status import StatusMethod
from thrum_kernel.agents.supervision import Supervision
from thrum_kernel.agents.team import TeamMethods
from thrum_kernel.agents.telling import Send, nobody_hears, tell_of_taking
from thrum_kernel.agents.terminals import TerminalMethods
from thrum_kernel.agents.work import Work
from thrum_kernel.agents.worktrees import Worktree, Worktrees
from thrum_kernel.agents.world import WorldKeeper
from thrum_kernel.api import Authority, Belonging, Caller, IdentityFacts, Method, Service
from thrum_kernel.clock import Clock
from thrum_kernel.commit import Committer
from thrum_kernel.events import Event
from thrum_kernel.identity import probe
from thrum_kernel.identity.model import Identity
from thrum_kernel.identity.subjects import subject
from thrum_kernel.paths import Paths
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.local import LocalDb


async def no_facts(name: str) -> Mapping[str, Any]:
    """What is known of an agent where no plugin tells anything."""
    return {}


class Agents:
    """Agents, sessions, work context and team of one daemon.

    `local` must have been migrated with `LOCAL_MIGRATIONS`. Make it on the loop; call `reconcile` once the log is
    projected, `close` at the end, and hand every committed event to `on_event`.

    Args:
        claimed: sender names of the kernel and of plugins, which nobody may take; may hold ``*``.
        agent_facts: what plugins know of an agent of this daemon, merged.
        leave_single_agent_mode: turns single-agent mode off unless it was set by hand; whether it did. Blocking.
        forget_context: removes what an agent of a worktree saved there; blocking.
        keep_from_git: has git ignore the ``.thrum`` of a worktree that an agent is registered in; blocking.
        look: what git says of a worktree; blocking.
        send: sends a text of the daemon's to agents of these names.
        wanted_supervisors: ``permission_supervisors`` of config.json, as it stands there; raises FileDamaged.
        watch_by_descriptor: None as the system offers.

    Attributes:
        world: judges callers.
        files: the identity files of all worktrees.
        roster: who lives where.
    """

    def __init__(
        self,
        *,
        cache: Cache,
        local: LocalDb,
        committer: Committer,
        clock: Clock,
        paths: Paths,
        hostname: str,
        repo_id: str,
        claimed: Callable[[], Sequence[str]] = tuple,
        agent_facts: Callable[[str], Awaitable[Mapping[str, Any]]] = no_facts,
        leave_single_agent_mode: Callable[[], bool] = lambda: False,
        forget_context: Callable[[Path, str], object] = lambda worktree, name: None,
        keep_from_git: Callable[[Path], object] = lambda worktree: None,
        look: Callable[[Path], git.WorkState] = git.work_state,
        start_of: Callable[[int], int | None] | None = None,
        wanted_supervisors: Callable[[], Any] = lambda: None,
        send: Send = nobody_hears,
    ) -> None:
        self._claimed = claimed
        start_of = start_of or _start_of
        self._watch = ProcessWatch(on_end=self._process_ended, start_of=start_of)
        homes = Homes(local, clock)
        worktrees = Worktrees(
            paths.repo,
            clock=clock,
            further=lambda: [home.worktree for home in homes.all() if home.worktree is not None],
            on_read=self._identities_read,
        )
        self.files = IdentityFiles(worktrees=worktrees, local=local, clock=clock)
        self.world = WorldKeeper(
            worktrees=worktrees,
            homes=homes,
            living=self._living,
            is_running=lambda process: start_of(process.pid) == process.start_time,
        )
        self.roster = Roster(
            cache=cache,
            homes=homes,
            daemon_id=committer.daemon_id,
            start_of=start_of,
            residents=self.world.residents,
        )
        rows = SessionRows(local, clock)
        contexts = Contexts(local)
        self._sessions = Sessions(
            roster=self.roster,
            files=self.files,
            rows=rows,
            contexts=contexts,
            committer=committer,
            watch=self._watch.watch,
        )
        self._journal = ContextJournal(
            contexts=contexts, committer=committer, who=self.roster.reference, clock=clock
        )
        work = Work(
            roster=self.roster,
            contexts=contexts,
            git_facts=GitFacts(look, clock=clock),
            clock=clock,
            worktrees=lambda: [worktree.path for worktree in worktrees.all()],
        )
        earlier = Earlier(roster=self.roster, sessions=self._sessions, committer=committer)
        self._supervision = Supervision(roster=self.roster, wanted=wanted_supervisors)
        self._newcomers = Newcomers(roster=self.roster, files=self.files, repo_id=repo_id, claimed=claimed)
        registration = Registration(
            roster=self.roster,
            sessions=self._sessions,
            files=self.files,
            committer=committer,
            earlier=earlier,
            newcomers=self._newcomers,
            repo_id=repo_id,
            hostname=hostname,
            ancestors=_ancestors,
            branch_of=git.branch,
            leave_single_agent_mode=leave_single_agent_mode,
            watch=self._watch.watch,
            keep_from_git=keep_from_git,
            tell_of_taking=partial(tell_of_taking, send, self._supervision),
        )
        session_methods = SessionMethods(
            roster=self.roster, sessions=self._sessions, work=work, files=self.files, clock=clock
        )
        directory = Directory(
            roster=self.roster,
            identity_files=self.files,
            contexts=contexts,
            agent_facts=agent_facts,
            host=hostname,
        )
        team = TeamMethods(
            roster=self.roster,
            work=work,
            rows=rows,
            files=self.files,
            is_reserved=self._is_reserved,
            agent_facts=agent_facts,
        )
        removal = Removal(
            roster=self.roster,
            sessions=self._sessions,
            contexts=contexts,
            files=self.files,
            committer=committer,
            clock=clock,
            is_reserved=self._is_reserved,
            branches_of=lambda: _branches_of(paths.repo),
            forget_context=forget_context,
            authorize=lambda caller, thing, force: self.authorize(caller, thing, force=force),
            send=send,
        )
        moving = Moving(
            roster=self.roster, sessions=self._sessions, files=self.files, committer=committer, clock=clock
        )
        status = StatusMethod(roster=self.roster, identity_files=self.files, clock=clock)
        self._work, self._team = work, team
        self._handlers = Handlers(
            registration=registration,
            directory=directory,
            work=work,
            team=team,
            status=status,
            removal=removal,
            moving=moving,
            sessions=session_methods,
        )
        self._terminals = TerminalMethods(files=self.files, roster=self.roster)
        self._reconciler = Reconciler(
            roster=self.roster,
            sessions=self._sessions,
            files=self.files,
            worktrees=worktrees,
            committer=committer,
            earlier=earlier,
            hostname=hostname,
            watch=self._watch.watch,
        )

    def methods(self) -> Sequence[Method]:
        """``agent.*``, ``session.*`` and ``team.list``."""
        inner = (self._terminals, self._supervision, self._newcomers)
        return (*table(self._handlers), *(method for each in inner for method in each.methods()))

    def authorize(self, caller: Caller, thing: Belonging, *, force: bool) -> Authority:
        """Why *caller* may end *thing* or begin it anew; see `api.PluginContext.authorize`.

        Raises:
            NotYours, AnonymousCaller: it may not.
            FileDamaged, Projecting: who supervises cannot be told.
        """
        return judge(caller, thing, supervisors=self._supervision.names, force=force)

    def services(self) -> Sequence[Service]:
        """Work in the background: contexts go into the log a minute after they changed."""
        return (Service(name="agents.contexts", run=self._journal.run),)

    async def reconcile(self) -> Reconciled:
        """Make every identity on disk callable again; once, when the log is projected. See `Reconciler`."""
        done = await self._reconciler.reconcile()
        self.world.invalidate()
        return done

    async def journal_contexts(self) -> None:
        """Put changed work contexts into the log, at most once a minute an agent; called before a cut."""
        await self._journal.journal()

    def on_event(self, event: Event) -> None:
        """A listener of the committer."""
        self.world.on_event(event)

    def touch(self, caller: Caller) -> None:
        """Note that a caller did something; written at most every thirty seconds."""
        if caller.kind != "agent":
            return
        for home in self.roster.homes.all():
            if home.name == caller.agent_id:
                self.roster.homes.touch(home.incarnation)

    async def everyone_now(self) -> list[TeamMember]:
        """Everyone, local ones first, without asking git what they do."""
        return await self._team.known_members()

    async def work_now(self, name: str) -> Mapping[str, Any]:
        """The fields of a work context that git tells of a local agent's worktree, without waiting if it can be.

        Empty when there is no such agent, or git tells nothing.
        """
        agent = self.roster.find_local(name)
        return await self._work.glance(agent) if agent is not None else {}

    async def update_identity(
        self, name: str, change: Callable[[Identity | None], Identity | None]
    ) -> Identity | None:
        """Change the identity file of an agent of this daemon, wherever it lies; what is there afterwards.

        Raises:
            FileDamaged, OSError: it cannot be; nothing was changed.
        """
        for place in self.files.places(name):
            return await self.files.update(place, name, change)
        return None

    def identities_in(self, worktree: Path) -> tuple[IdentityFacts, ...]:
        """The identity files of a worktree with the processes they name, by name, as they are now."""
        return tuple(facts_of(worktree, identity) for identity in self.files.identities_in(worktree))

    async def close(self) -> None:
        """Stop watching, and finish ending the sessions of runtimes that ended."""
        self._watch.close()
        await self._sessions.settle()

    # --- what the parts ask of each other ----------------------------------------------------------------------------

    def _process_ended(self, process: ProcessKey) -> None:
        self.world.invalidate()
        self._sessions.process_ended(process)

    def _identities_read(self, worktree: Worktree) -> None:
        self.files.keep_copies(worktree)

    def _living(self) -> list[str]:
        return [agent.name for agent in self.roster.locals()]

    def _is_reserved(self, name: str) -> bool:
        return any(fnmatchcase(name, claim) for claim in self._claimed())


def facts_of(worktree: Path, identity: Identity) -> IdentityFacts:
    """An identity of a worktree with the process that it names, as it is now."""
    return subject(identity, worktree, probe.process(identity.agent_pid))


def _start_of(pid: int) -> int | None:
    found = probe.process(pid)
    return found.start_time if found is not None else None


def _branches_of(repo: Path) -> frozenset[str] | None:
    place = git.discover(repo)
    answer = git.run(place, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads") if place else None
    return frozenset(answer.text.splitlines()) if answer and answer.ok else None


def _ancestors(pid: int) -> list[int]:
    return [process.pid for process in probe.facts(pid).chain[1:]]

"""``agent.register``: an agent comes to be, or says again that it is there.

It acts for the caller's own worktree only. A known name is kept for whoever has it: another worktree's agent and one
whose runtime is running elsewhere are taken over only with *force*. The event comes first, then the identity file and
what this machine keeps; each step can be repeated, so a registration that was cut short is completed by the next.

Source: spec/kernel.md §4.4, §6.7; spec/decisions.md "Identity"; DESIGN.md D2, D5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from thrum_kernel.agents.earlier import Earlier
from thrum_kernel.agents.homes import Home, ProcessKey
from thrum_kernel.agents.identity_files import IdentityFiles, path_of
from thrum_kernel.agents.newcomers import Newcomers
from thrum_kernel.agents.requests import Register
from thrum_kernel.agents.results import Conflict, IntentSet, Registered
from thrum_kernel.agents.roster import Roster
from thrum_kernel.agents.sessions import Beginning, Sessions
from thrum_kernel.api import Call, Caller
from thrum_kernel.bus.standing import standing
from thrum_kernel.clock import format_us, parse_us
from thrum_kernel.commit import Committer
from thrum_kernel.errors import FileDamaged, Refused
from thrum_kernel.events import Event
from thrum_kernel.events.core import AgentRegister
from thrum_kernel.identity.model import AgentName, Identity
from thrum_kernel.projection.queries import AgentRow


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a registration comes from, as the operating system tells.

    Attributes:
        worktree: the worktree it is for.
        process: the runtime it is for; None when it comes from none, or none shall be recorded.
        chain: ids of the caller's ancestors, nearest first.
        runtime: name of the runtime.
        replaces: identities of the worktree that give their place up; their files are renamed to ``.deleted``.
    """

    worktree: Path
    process: ProcessKey | None
    chain: Sequence[int]
    runtime: str
    replaces: tuple[str, ...] = ()


class Registration:
    """Registers agents.

    Args:
        newcomers: judges names.
        ancestors: ids of the processes above one, nearest first; blocking.
        branch_of: the branch checked out in a worktree, empty when none; blocking.
        leave_single_agent_mode: turns it off unless it was set by hand; whether it did. Blocking.
        watch: called with every runtime process that an agent lives in.
        keep_from_git: has git ignore the ``.thrum`` of a worktree, where it does not yet; blocking.
        tell_of_taking: tells of a caller that took an agent over from a worktree; what the caller should know of that.
    """

    def __init__(
        self,
        *,
        roster: Roster,
        sessions: Sessions,
        files: IdentityFiles,
        committer: Committer,
        earlier: Earlier,
        newcomers: Newcomers,
        repo_id: str,
        hostname: str,
        ancestors: Callable[[int], Sequence[int]],
        branch_of: Callable[[Path], str],
        leave_single_agent_mode: Callable[[], bool],
        watch: Callable[[ProcessKey], object],
        keep_from_git: Callable[[Path], object],
        tell_of_taking: Callable[[Caller, str, Path], Awaitable[list[str]]],
    ) -> None:
        self._roster = roster
        self._sessions = sessions
        self._files = files
        self._committer = committer
        self._earlier = earlier
        self._newcomers = newcomers
        self._repo_id = repo_id
        self._hostname = hostname
        self._ancestors = ancestors
        self._branch_of = branch_of
        self._leave_single_agent_mode = leave_single_agent_mode
        self._watch = watch
        self._keep_from_git = keep_from_git
        self._tell_of_taking = tell_of_taking

    async def register(self, call: Call, params: Register) -> Registered:
        """Register the agent that *params* describe for the caller's worktree.

        Raises:
            ParamsInvalid, InvalidName: what was asked for cannot be.
            Refused: another worktree has the name, or the caller stands in none.
            StoreError: nothing was stored.
        """
        caller = standing(call)
        name = self._newcomers.name_of(params, may_claim=caller.kind == "kernel")
        spot = await self._spot(caller, params)
        async with self._sessions.one_at_a_time:
            known = self._roster.find_local(name)
            if known is None and await self._earlier.take_over(name, hostname=self._hostname):
                known = self._roster.find_local(name)
            self._newcomers.check_names(name, known, params)
            others = self._newcomers.elsewhere(name, known, spot.worktree)
            self._newcomers.check_place(name, others, params)
            conflict = self._conflict(known, spot)
            if conflict is not None and not params.force:
                return Registered(agent_id=name, status="conflict", conflict=conflict)
            spot = await self._settle_runtime(name, known, spot, force=params.force)
            if conflict is not None:
                spot = replace(spot, replaces=(*spot.replaces, name))
            done = await self._carry_out(call, params, name, known, spot, others, asserted=caller.asserted)
        if others:
            done.notes = await self._tell_of_taking(caller, name, others[0])
        return done

    def recall(self, call: Call, events: Sequence[Event]) -> Registered:
        """A registration that was stored before a restart is carried out again.

        It is the same agent, and what a crash cut short (identity file, home, session) is completed.

        Raises:
            LookupError: always; there is no answer to be found in the log.
        """
        raise LookupError("a registration completes itself")

    # where it comes from

    async def _spot(self, caller: Caller, params: Register) -> Spot:
        if caller.kind == "kernel":
            worktree = Path(params.worktree).resolve() if params.worktree else None
            process = self._process(params.agent_pid or 0)
            chain: Sequence[int] = ()
        else:
            worktree = caller.worktree
            if params.worktree and (worktree is None or Path(params.worktree).resolve() != worktree):
                raise Refused("an agent is registered for the worktree that the caller stands in, no other")
            chain = await self._above(caller)
            process = self._process(_own_pid(caller, chain, params.agent_pid))
        if worktree is None or not self._files.is_worktree(worktree):
            raise Refused(
                "cannot register here: this is no worktree of the project",
                hint="cd into a worktree of the repository and retry",
            )
        return Spot(worktree, process, chain, caller.runtime if process else "")

    async def _above(self, caller: Caller) -> Sequence[int]:
        if caller.chain or not caller.pid:
            return [process.pid for process in caller.chain[1:]]
        return await asyncio.to_thread(self._ancestors, caller.pid)

    def _process(self, pid: int) -> ProcessKey | None:
        started = self._roster.start_of(pid) if pid else None
        return ProcessKey(pid, started) if started is not None else None

    # who has the name

    def _conflict(self, known: AgentRow | None, spot: Spot) -> Conflict | None:
        """Who else lives in this agent: a running runtime that is not above the caller."""
        home = self._roster.homes.of(known.incarnation) if known else None
        if known is None or home is None or home.process is None or spot.process is None:
            return None
        if home.process == spot.process or home.process.pid in spot.chain:
            return None
        if not self._roster.is_running(home.process):
            return None
        return Conflict(
            existing_agent_id=known.name,
            registered_at=format_us(known.registered_us),
            last_seen_at=format_us(home.last_seen_us) if home.last_seen_us else "",
            conflict_pid=home.process.pid,
        )

    # doing it

    async def _carry_out(
        self,
        call: Call,
        params: Register,
        name: str,
        known: AgentRow | None,
        spot: Spot,
        others: list[Path],
        *,
        asserted: bool,
    ) -> Registered:
        await self._check_file(spot.worktree, name, force=params.force)
        branch = await asyncio.to_thread(self._branch_of, spot.worktree)
        event = self._event(params, name, known, spot, asserted=asserted)
        incarnation = known.incarnation if known else event.ulid
        open_now = self._sessions.open_of(known) if known else []
        beginning = self._sessions.plan(name, incarnation, open_now, spot.process)
        resumed = [row for row in open_now if self._goes_on(row.session_id, beginning)]
        is_news = known is None or params.force or params.re_register or _differs(event, known)
        events: list[Event] = [event] if is_news else []
        events += () if resumed else beginning.events
        if events:
            await self._committer.commit(*events, request_id=call.request_id)
        await self._keep_home(name, incarnation, spot, parse_us(event.timestamp))
        if not resumed:
            await self._sessions.begun(
                beginning, context=_first_context(params, spot, branch, event.timestamp)
            )
        elif params.intent:
            await self._sessions.contexts.change(
                resumed[0].session_id, incarnation, intent=params.intent, intent_updated_at=event.timestamp
            )
        session = resumed[0].session_id if resumed else beginning.start.session_id
        for old in spot.replaces:
            await self._files.retire(spot.worktree, old)
        await asyncio.to_thread(self._keep_from_git, spot.worktree)
        await self._write_file(params, name, spot, branch=branch, session=session)
        for place in others:
            await self._files.set_aside(place, name)
        return Registered(
            agent_id=name,
            status="updated" if known and is_news else "registered",
            session_id=session,
            session_resumed=bool(resumed),
            identity_file=str(path_of(spot.worktree, name)),
            intent=self._intent_set(params, session, event.timestamp),
            single_agent_mode_ended=known is None and await self._second_agent_came(),
            also_here=self._others_in(spot, name),
        )

    async def _settle_runtime(self, name: str, known: AgentRow | None, spot: Spot, *, force: bool) -> Spot:
        """Whose the runtime is: a process is one agent's, and one agent's only.

        Somebody at a shell who registers an agent again does not take it out of its running runtime; and a runtime
        that is one agent's registers others without becoming theirs, unless it asks to with *force*. Then the agent it
        was in this worktree gives its place up.
        """
        home = self._roster.homes.of(known.incarnation) if known else None
        if spot.process is None:
            if home is not None and self._roster.is_running(home.process):
                return replace(spot, process=home.process, runtime=home.runtime)
            return spot
        owners = [other for other in self._roster.homes.living_in(spot.process) if other.name != name]
        if owners and not force:
            return replace(spot, process=None, runtime="")
        for owner in owners:
            await self._roster.homes.keep(replace(owner, process=None))
            if owner.worktree is not None and owner.worktree != spot.worktree:
                await self._files.update(owner.worktree, owner.name, _without_process)
        given_up = tuple(owner.name for owner in owners if owner.worktree == spot.worktree)
        return replace(spot, replaces=given_up)

    def _event(
        self, params: Register, name: str, known: AgentRow | None, spot: Spot, *, asserted: bool
    ) -> AgentRegister:
        return self._committer.draft(
            AgentRegister,
            asserted=asserted,
            agent_id=name,
            incarnation=known.incarnation if known else "",
            role=params.role,
            module=params.module,
            display=params.display or (known.display if known else ""),
            hostname=self._hostname,
            worktree=spot.worktree.name,
            runtime=spot.runtime or params.runtime or (known.runtime if known else ""),
            agent_pid=spot.process.pid if spot.process else 0,
        )

    def _goes_on(self, session: str, beginning: Beginning) -> bool:
        """Whether an open session is the caller's own: not one that died, nor another runtime's."""
        facts = self._sessions.rows.of(session)
        if facts is None:
            return False
        if facts.process is None:
            return beginning.process is None
        return facts.process == beginning.process

    async def _keep_home(self, name: str, incarnation: str, spot: Spot, now_us: int) -> None:
        await self._roster.homes.keep(
            Home(incarnation, name, spot.worktree, spot.runtime, spot.process, last_seen_us=now_us)
        )
        if spot.process is not None:
            self._watch(spot.process)

    async def _check_file(self, worktree: Path, name: str, *, force: bool) -> None:
        """Told before anything happens: no file may be made there, or one cannot be used and is not to be set aside."""
        await self._files.check_writable(worktree)
        try:
            await self._files.read(worktree, name)
        except FileDamaged:
            if not force:
                raise
            await self._files.set_aside(worktree, name)

    async def _write_file(
        self, params: Register, name: str, spot: Spot, *, branch: str, session: str
    ) -> None:
        def change(old: Identity | None) -> Identity:
            base = old or Identity(agent=AgentName(name=name))
            return msgspec.structs.replace(
                base,
                agent=AgentName(
                    name=name,
                    role=params.role,
                    module=params.module,
                    display=params.display or base.display,
                ),
                repo_id=self._repo_id,
                worktree=str(spot.worktree),
                branch=branch,
                intent=params.intent or base.intent,
                session_id=session,
                agent_pid=spot.process.pid if spot.process else 0,
                agent_pid_start=spot.process.start_time if spot.process else 0,
                preferred_runtime=params.runtime or base.preferred_runtime or spot.runtime,
                runtime=spot.runtime or base.runtime,
                updated_at="",  # written anew though nothing else changed: whoever waits for it sees that it happened
            )

        await self._files.update(spot.worktree, name, change)

    def _intent_set(self, params: Register, session: str, now: str) -> IntentSet | None:
        if not params.intent:
            return None
        return IntentSet(session_id=session, intent=params.intent, intent_updated_at=now)

    def _others_in(self, spot: Spot, name: str) -> list[str]:
        """The other agents of the worktree, unless the runtime tells which of them is meant."""
        if spot.process is not None:
            return []
        here = self._files.identities_in(spot.worktree)
        return sorted(other.name for other in here if other.name != name)

    async def _second_agent_came(self) -> bool:
        agents = [agent for agent in self._roster.locals() if agent.kind == "agent"]
        return len(agents) == 2 and await asyncio.to_thread(self._leave_single_agent_mode)


def _without_process(identity: Identity | None) -> Identity | None:
    return identity and msgspec.structs.replace(identity, agent_pid=0, agent_pid_start=0)


def _own_pid(caller: Caller, chain: Sequence[int], asked: int | None) -> int:
    """The runtime a registration is for: as the system tells, or one of the caller's ancestors if it names one."""
    if asked is None:
        return caller.runtime_pid
    if asked and asked != caller.runtime_pid and asked not in chain:
        raise Refused(
            f"process {asked} is not above the caller: its runtime cannot be registered from here",
            hint="leave --agent-pid out; the daemon finds the runtime itself",
        )
    return asked


def _first_context(params: Register, spot: Spot, branch: str, now: str) -> dict[str, str]:
    context = {"worktree_path": str(spot.worktree), "branch": branch, "git_updated_at": now}
    return context | ({"intent": params.intent, "intent_updated_at": now} if params.intent else {})


def _differs(event: AgentRegister, known: AgentRow) -> bool:
    fields = ("role", "module", "display", "hostname", "worktree", "runtime", "agent_pid")
    return any(getattr(event, field) != getattr(known, field) for field in fields)

"""``tmux.create``: a session for an agent of a worktree, or a bare one."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from thrum_kernel.api import Authority, Belonging, Call, Caller, PluginContext
from thrum_kernel.errors import Refused, ThrumError, UsageError
from thrum_tmux import names
from thrum_tmux.errors import PaneMissing
from thrum_tmux.identities import Identity, identities, set_terminal
from thrum_tmux.live_pane import LivePane
from thrum_tmux.panes import Found
from thrum_tmux.runtimes import SHELL
from thrum_tmux.session import owning
from thrum_tmux.session.checkouts import Checkout, checkout
from thrum_tmux.session.records import Record
from thrum_tmux.session.registering import register
from thrum_tmux.session.sessions import Foreign, SessionExists, Sessions
from thrum_tmux.session.shapes import CreateParams, CreateResult
from thrum_tmux.session.shell_line import ShellLine
from thrum_tmux.session.standing import check_standing
from thrum_tmux.wake import program

BACK_S: Final = 5.0
QUIET_S: Final = 0.1


class Creating:
    """The handler."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self._sessions = ctx.shared(Sessions)
        self._under_way: set[Path] = set()

    async def create(self, call: Call, params: CreateParams) -> CreateResult:
        """Make a session; an agent is registered from inside it.

        Raises:
            UsageError: what was asked for cannot be.
            InvalidName: no agent can be called so, or have such a role or module.
            Refused: somebody lives there or has the name, or the caller may not.
            NotRegistered: the agent could not be registered; the session was ended again.
            TmuxError, ServerSilent: tmux cannot.
        """
        params = await self._with_who_lives_there(params)
        record = self._planned(params)
        if not await self._ctx.in_thread(
            record.cwd.is_dir
        ):  # tmux would begin somewhere else, and say nothing
            raise UsageError(f"cwd {record.cwd} is not a folder", hint="name one that is there with --cwd")
        place = await self._ctx.in_thread(checkout, record.cwd)
        if not params.no_agent:
            await self._check_worktree(record.cwd, place, main=params.main)
        check_standing(call.caller, place.root if place else record.cwd)
        if record.agent and params.quickstart:
            await self._check_registration(record, force=params.force)
        record = replace(record, made_by=owning.maker(call.caller, params.made_by))
        with self._alone(record):
            return await self._made(call.caller, record, params)

    async def _made(self, caller: Caller, record: Record, params: CreateParams) -> CreateResult:
        in_the_way = await self._in_the_way(record, force=params.force)
        await self._check_living(record, in_the_way)
        taken = await self._taken(caller, record, force=params.force)
        notes = [note for found in in_the_way for note in await self._out_of_the_way(caller, found)]
        if params.no_agent:
            await self._sessions.make(record)
            return CreateResult(session=record.name, notes=notes)
        made = await self._with_agent(record, force=params.force, quickstart=params.quickstart)
        for thing, authority in taken:
            notes += await owning.tell(self._ctx, authority, caller, thing=thing, done="taken over")
        return msgspec.structs.replace(made, notes=notes)

    async def _taken(
        self, caller: Caller, record: Record, *, force: bool
    ) -> list[tuple[Belonging, Authority]]:
        """The agent of that name where it lives in another worktree, and why the caller may have it from there.

        Raises:
            NotYours: the caller is nobody here.
        """
        known = await identities(self._ctx, name=record.agent) if record.agent and force else []
        things = [
            Belonging(what=f"the name {each.name}", owners=(each.name,), worktree=each.home)
            for each in known
            if each.home != record.cwd
        ]
        return [(thing, await self._ctx.authorize(caller, thing, force=force)) for thing in things]

    async def _out_of_the_way(self, caller: Caller, found: Found) -> list[str]:
        """End a session, in the place of which one is made; what the caller should know."""
        thing = owning.belonging(
            found.row.name, filter(None, [found.row.agent]), record=self._sessions.record_of(found)
        )
        authority = await self._ctx.authorize(caller, thing, force=True)
        await self._ctx.call("tmux.kill", name=found.row.name)
        return await owning.tell(self._ctx, authority, caller, thing=thing, done="ended")

    @contextlib.contextmanager
    def _alone(self, record: Record) -> Iterator[None]:
        """One session at a time for an agent's worktree.

        Raises:
            Refused: one is being made for it.
        """
        if record.agent and record.cwd in self._under_way:
            raise Refused(f"a session for {record.cwd} is being made", hint="thrum tmux status")
        self._under_way.add(record.cwd)
        try:
            yield
        finally:
            self._under_way.discard(record.cwd)

    async def _with_who_lives_there(self, params: CreateParams) -> CreateParams:
        """*params* with the agent that lives in the worktree, where it is the only one that they can mean."""
        asked = {"name": params.agent_name.removeprefix("@"), "role": params.role, "module": params.module}
        if params.no_agent or all(asked.values()) or not Path(params.cwd).is_absolute():
            return params
        living = await identities(self._ctx, worktree=Path(params.cwd))
        meant = [each for each in living if all(v in ("", getattr(each, key)) for key, v in asked.items())]
        if len(meant) != 1:
            return params
        (one,) = meant
        return msgspec.structs.replace(params, agent_name=one.name, role=one.role, module=one.module)

    def _planned(self, params: CreateParams) -> Record:
        agent = (params.agent_name.removeprefix("@"), params.role, params.module)
        if params.no_agent and any(agent):
            raise UsageError(
                "a bare session has no agent: leave agent_name, role and module out, or no_agent"
            )
        if not params.no_agent and not all(agent):
            raise UsageError(
                "quickstart flags required (agent_name, role, module); set no_agent=true to skip",
                hint="thrum tmux create NAME --cwd PATH --name AGENT --role ROLE --module MODULE, or --no-agent",
            )
        if not params.name and params.no_agent:
            raise UsageError("name is required")
        if not params.cwd:
            raise UsageError("cwd is required")
        if not Path(params.cwd).is_absolute():
            raise UsageError(f"cwd must be absolute, not {params.cwd}")
        if params.runtime:
            names.check_runtime(params.runtime)
        name = names.session_name(params.name) if params.name else names.default_name(*agent[1:])
        return self._sessions.new_record(
            name,
            Path(params.cwd).resolve(),
            agent=agent[0],
            role=agent[1],
            module=agent[2],
            intent=params.intent,
            runtime=params.runtime,
        )

    # --- what stands against it --------------------------------------------------------------------------------------

    async def _check_worktree(self, cwd: Path, place: Checkout | None, *, main: bool) -> None:
        own = await self._ctx.in_thread(checkout, self._ctx.paths.repo)
        if place is None or place.root != cwd:
            raise UsageError(
                f"path at {cwd} is not a git worktree", hint="thrum worktree create NAME makes one"
            )
        if own is None or place.common != own.common:
            raise UsageError(f"path at {cwd} is a worktree of another repository")
        if not place.is_linked and not main:
            raise UsageError(
                f"path at {cwd} is not a git worktree but the main checkout",
                hint="make one with thrum worktree create NAME, or say --main: an agent lives in the main checkout",
            )

    async def _check_registration(self, record: Record, *, force: bool) -> None:
        """Whether the agent can be registered from inside its session; told before there is one.

        Raises:
            InvalidName, Refused: it cannot.
        """
        who = {"name": record.agent, "role": record.role, "module": record.module, "force": force}
        await self._ctx.call("agent.checkRegistration", worktree=str(record.cwd), **who)

    async def _in_the_way(self, record: Record, *, force: bool) -> list[Found]:
        """Sessions of ours that have the name or the worktree; they go with *force*.

        Raises:
            SessionExists: one has the name, and there is no *force*.
            Foreign: one that is not ours has it, also on the server where the new one is made.
            UsageError: one has the worktree, and there is no *force*.
        """
        taken = await self._sessions.find_where_made(record.name)
        if taken is not None and not self._sessions.panes.is_ours(taken.row):
            raise Foreign(record.name)
        named = await self._sessions.find(record.name)
        there = [
            found
            for found in self._sessions.panes.managed()
            if record.agent and self._lives_in(found, record)
        ]
        found = {(each.server.socket, each.row.id): each for each in [*([named] if named else []), *there]}
        if named is not None and not force:
            raise SessionExists(record.name)
        if found and not force:
            other = next(iter(found.values())).row.name
            raise UsageError(
                f'session "{other}" already has {record.cwd}; use --force to kill and recreate',
                hint=f"thrum tmux launch {other}, or thrum tmux connect {other}",
            )
        return list(found.values())

    def _lives_in(self, found: Found, record: Record) -> bool:
        known = self._sessions.record_of(found)
        return known is not None and bool(known.agent) and known.cwd == record.cwd

    async def _check_living(self, record: Record, going: list[Found]) -> None:
        """Nobody's running runtime loses its worktree or its name.

        Raises:
            Refused: one runs, in a session other than those that go.
        """
        if not record.agent:
            return
        everyone = await identities(self._ctx)
        for identity in everyone:
            concerns = identity.home == record.cwd or identity.name == record.agent
            if concerns and identity.is_running and identity.session not in {each.row.name for each in going}:
                raise Refused(
                    f"agent {identity.name} is running in {identity.worktree} (PID {identity.agent_pid})",
                    hint="stop its runtime first, or choose another worktree",
                )

    # --- doing it ----------------------------------------------------------------------------------------------------

    async def _with_agent(self, record: Record, *, force: bool, quickstart: bool) -> CreateResult:
        found = await self._sessions.make(record)
        try:
            replaced = await self._ctx.call("agent.keepOnly", worktree=str(record.cwd), keep=[record.agent])
            pane = await self._sessions.panes.of_session(record.name)
            if pane is None:
                raise PaneMissing(found.row.agent_pane)
            if quickstart:
                await self._registered(pane, record, force=force)
            identity = await set_terminal(
                self._ctx, record.agent, worktree=str(record.cwd), tmux_session=pane.place
            )
        except BaseException:
            await self._sessions.end(found)
            raise
        return CreateResult(session=record.name, identity=_content(identity), replaced=replaced["files"])

    async def _registered(self, pane: LivePane, record: Record, *, force: bool) -> None:
        """Registered, and the shell is back at its prompt."""
        file = record.cwd / ".thrum" / "identities" / f"{record.agent}.json"
        shell = ShellLine(self._ctx, pane, any_shell=True)
        async with self._sessions.panes.typing(pane.id):
            await register(pane, shell, record, file=file, force=force)
        end = time.monotonic() + BACK_S
        while time.monotonic() < end:
            await pane.until_quiet(QUIET_S, BACK_S)
            look = await pane.look()
            running = await program.running(self._ctx, look)
            if running.runtime == SHELL:
                return


def _content(identity: Identity) -> dict[str, Any] | None:
    """The identity file as it is; None where it cannot be read, for the session is there all the same."""
    try:
        value = json.loads(Path(identity.file).read_bytes())
    except (OSError, ValueError, ThrumError):
        return None
    return value if isinstance(value, dict) else None

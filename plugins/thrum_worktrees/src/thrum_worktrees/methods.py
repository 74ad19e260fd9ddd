"""The methods ``worktrees.*``: for commands, and for other plugins that need a worktree for a while."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from thrum_kernel.api import Call, Caller, Method, PluginContext
from thrum_kernel.errors import IdentityError, NotFound, Refused, ThrumError, UsageError
from thrum_worktrees import adding, listing, naming, places, removing, residents, traces, wiring
from thrum_worktrees.creating import Creation
from thrum_worktrees.places import Ground
from thrum_worktrees.records import Record, head_of, listed, record_of, records, resolved
from thrum_worktrees.settings import Worktrees
from thrum_worktrees.tearing_down import Gone, Teardown, Wishes
from thrum_worktrees.undertakings import Undertaking, Undertakings

HERE: Final = frozenset({"unix", "internal"})


class CreateParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A worktree that is to be there; it is the answer, too, when it is there already.

    Attributes:
        name: its name; with *job* it is made of agent, job and time.
        branch: what is checked out; usually ``feature/<name>``.
        base: what a new branch begins at; usually what is checked out in the main worktree.
        detach: no branch.
        agent, role, module, intent, runtime: who is to live there; all empty: nobody yet.
        force: take the agent's name over from elsewhere, or change its role and module.
        job: makes it ephemeral: of *agent*, which is not registered there, for this job.
    """

    name: str = ""
    branch: str = ""
    base: str = ""
    detach: bool = False
    agent: str = ""
    role: str = ""
    module: str = ""
    intent: str = ""
    runtime: str = ""
    force: bool = False
    job: str = ""
    caller_agent_id: str = ""


class Created(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A worktree that is there.

    ``base`` is what a new branch begins at; ``reused``: it was there already. ``session`` is the tmux session of
    ``agent``; empty: start its runtime in the worktree yourself.
    """

    name: str
    worktree_path: str
    branch: str
    base: str = ""
    reused: bool = False
    agent: str = ""
    session: str = ""
    notes: list[str] = []


class DestroyParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A worktree that is to go.

    Attributes:
        name: its name.
        delete_branch: its branch goes, too.
        keep_agent: its agents stay registered.
        force: also when something would be lost.
    """

    name: str
    delete_branch: bool = False
    keep_agent: bool = False
    force: bool = False
    caller_agent_id: str = ""


class Lost(msgspec.Struct, kw_only=True):
    """Something that was thrown away: paths, or commits."""

    kind: str
    what: str
    items: list[str]


class Destroyed(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A worktree that is gone, and what went with it."""

    name: str
    worktree_path: str
    removed_identities: list[str]
    deleted_branch: str = ""
    thrown_away: list[Lost] = []
    notes: list[str] = []


class SetupParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A worktree of the repository that is there, by its root.

    Attributes:
        runtime: whose hooks belong into it; empty: the project's.
    """

    path: str
    runtime: str = ""
    caller_agent_id: str = ""


class SetUp(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A worktree that shares what it should."""

    worktree: str
    thrum: str
    notes: list[str] = []


class NoParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class WorktreeMethods:
    """The handlers.

    Args:
        ctx: the plugin's context.
        env: the daemon's environment, which git is given a part of.
    """

    def __init__(self, ctx: PluginContext, *, env: Mapping[str, str]) -> None:
        self._ctx = ctx
        self._env = env
        self._undertakings = Undertakings(ctx)
        self._one_at_a_time = asyncio.Lock()
        self._known_ground: Ground | None = None

    def methods(self) -> Sequence[Method]:
        """All of them."""
        return (
            Method(
                name="worktrees.create",
                params=CreateParams,
                result=Created,
                handler=self.create,
                summary="Make a worktree for an agent, or go on with one",
                mutates=True,
                anonymous=True,
                long_poll=True,
                transports=HERE,
            ),
            Method(
                name="worktrees.destroy",
                params=DestroyParams,
                result=Destroyed,
                handler=self.destroy,
                summary="Take a worktree away; refused while something would be lost",
                mutates=True,
                anonymous=True,
                long_poll=True,
                transports=HERE,
            ),
            Method(
                name="worktrees.setup",
                params=SetupParams,
                result=SetUp,
                handler=self.set_up,
                summary="Let a worktree that is there share the repository's .thrum",
                mutates=True,
                anonymous=True,
                long_poll=True,
                transports=HERE,
            ),
            Method(
                name="worktrees.resume",
                params=NoParams,
                result=None,
                handler=self.resume,
                summary="Go on with what was begun before the daemon started",
                mutates=True,
                long_poll=True,
                transports=frozenset({"internal"}),
            ),
            Method(
                name="worktrees.list",
                params=NoParams,
                result=list[listing.Row],
                handler=self.list_all,
                summary="Every worktree of the repository with who lives there",
                anonymous=True,
                transports=HERE,
            ),
        )

    async def create(self, call: Call, params: CreateParams) -> Created:
        """Make a worktree.

        Raises:
            InvalidName, UsageError: what was asked for cannot be.
            NotFound: there is no such base.
            Refused: something else is in the way.
            GitFailed: git could not do it; nothing is left of the try.
        """
        residents.check_runtime(params.runtime)
        name, branch = self._named(params)
        new = (
            None
            if params.job
            else residents.newcomer(
                params.agent,
                params.role,
                params.module,
                intent=params.intent,
                runtime=params.runtime,
                force=params.force,
            )
        )
        async with self._one_at_a_time:
            ground = await self._ground()
            path = await self._ctx.in_thread(self._path, ground, name)
            await self._finish(path)
            creation = Creation(self._ctx, ground, self._settings, self._undertakings, params.runtime)

            def plan(has_begun: bool) -> adding.Wanted:
                return adding.plan(
                    ground, path, name=name, branch=branch, base=params.base, has_begun=has_begun
                )

            made = await creation.carry_out(plan, path, new)
        return Created(
            name=name,
            worktree_path=str(made.path),
            branch=made.branch,
            base=made.base,
            reused=made.reused,
            agent=made.agent,
            session=made.session,
            notes=list(made.notes),
        )

    async def destroy(self, call: Call, params: DestroyParams) -> Destroyed:
        """Take a worktree away.

        Raises:
            NotFound: there is none of that name.
            Refused: something would be lost, or it cannot be taken away.
            GitFailed: git could not do its part; the next try goes on.
        """
        naming.check_part(params.name)
        async with self._one_at_a_time:
            ground = await self._ground()
            begun = self._begun(params.name)
            if begun is not None:
                return _destroyed(await self._teardown(ground).finish(begun))
            record = await self._ctx.in_thread(self._find, ground, params.name)
            _check_not_inside(_caller(call), record.path, force=params.force)
            wishes = Wishes(params.delete_branch, params.keep_agent, params.force)
            gone = await self._teardown(ground).carry_out(record, params.name, wishes)
        return _destroyed(gone)

    async def set_up(self, call: Call, params: SetupParams) -> SetUp:
        """Wire a worktree that is there.

        Raises:
            NotFound: no worktree of the repository has its root there.
            Refused: its ``.thrum`` is something else.
        """
        residents.check_runtime(params.runtime)
        async with self._one_at_a_time:
            ground = await self._ground()
            path = resolved(Path(params.path))
            record = await self._ctx.in_thread(record_of, ground.git, path)
            if record is None or not path.is_dir():
                raise NotFound("worktree", str(path), hint="thrum worktree list")
            await self._ctx.in_thread(wiring.check, path, ground.thrum)
            head = await self._ctx.in_thread(head_of, ground.git, record.folder)
            creation = Creation(self._ctx, ground, self._settings, self._undertakings, params.runtime)
            notes = await creation.wire(path, head.branch, None)
        return SetUp(worktree=str(path), thrum=str(ground.thrum), notes=notes)

    async def list_all(self, call: Call, params: NoParams) -> list[listing.Row]:
        """Every worktree.

        Raises:
            NotARepository: the project lies in none.
        """
        ground = await self._ground()
        found = await self._ctx.in_thread(listed, ground.git)
        return listing.rows(found, await residents.residents(self._ctx))

    async def resume(self, call: Call, params: NoParams) -> None:
        """Finish what an earlier daemon began; what cannot be finished is told by doctor."""
        for undertaking in self._undertakings.all():
            async with self._one_at_a_time:
                try:
                    await self._finish(undertaking.path)
                except ThrumError as error:
                    self._ctx.log.warning("worktree %s: %s", undertaking.path, error)

    # --- what it stands on -------------------------------------------------------------------------------------------

    @property
    def _settings(self) -> Worktrees:
        found: Worktrees = self._ctx.settings.worktrees
        return found

    async def _ground(self) -> Ground:
        if self._known_ground is None:
            paths = self._ctx.paths
            make = functools.partial(
                Ground.of, paths.repo, paths.thrum, env=self._env, lock=paths.state / "git.lock"
            )
            self._known_ground = await self._ctx.in_thread(make)
        return self._known_ground

    def _teardown(self, ground: Ground) -> Teardown:
        presets = tuple(self._ctx.presets())
        return Teardown(self._ctx, ground, self._undertakings, functools.partial(traces.judge, presets))

    def _named(self, params: CreateParams) -> tuple[str, str]:
        """Name and branch."""
        if params.detach and params.branch:
            raise UsageError("--branch and --detach are mutually exclusive")
        if params.job:
            if params.name or not params.agent:
                raise UsageError("an ephemeral worktree has an agent and a job, and no name of its own")
            stamp = time.strftime("%Y%m%dt%H%M%Sz", time.gmtime(self._ctx.clock.now_us() / 1_000_000))
            parts = (params.agent.removeprefix("@"), naming.check_job(params.job), stamp)
            name, usual = naming.ephemeral_name(*parts), naming.ephemeral_branch(*parts)
        else:
            name, usual = params.name, naming.usual_branch(params.name)
        naming.check_name(name)
        return name, "" if params.detach else params.branch or usual

    def _path(self, ground: Ground, name: str) -> Path:
        return places.path_for(ground, places.base_of(ground, self._settings.base_path), name)

    def _find(self, ground: Ground, name: str) -> Record:
        """The worktree of a name: where it would be made, else the only one whose folder is called so."""
        path = self._path(ground, name)
        found = record_of(ground.git, path)
        if found is not None:
            return found
        called = [record for record in records(ground.git) if record.path.name == name]
        if len(called) == 1:
            return called[0]
        if called:
            shown = ", ".join(str(record.path) for record in called)
            raise Refused(f"several worktrees are called {name}: {shown}", hint="git worktree remove PATH")
        raise NotFound("worktree", name, hint=f"it would be {path}; see thrum worktree list")

    def _begun(self, name: str) -> Undertaking | None:
        """A teardown of that name whose folder was set aside."""
        for each in self._undertakings.all():
            if each.kind == "teardown" and each.details.name == name and not each.path.exists():
                return each
        return None

    async def _finish(self, path: Path) -> None:
        """Go on with a teardown of *path* that was cut short, or forget it where nothing was done yet."""
        undertaking = self._undertakings.of(path)
        if undertaking is None or undertaking.kind != "teardown":
            return
        if path.exists() and not removing.aside_of(path).exists():
            await self._undertakings.end(path)
            return
        await self._teardown(await self._ground()).finish(undertaking)


def _destroyed(gone: Gone) -> Destroyed:
    return Destroyed(
        name=gone.name,
        worktree_path=str(gone.path),
        removed_identities=list(gone.agents),
        deleted_branch=gone.deleted_branch,
        thrown_away=[Lost(kind=each.kind, what=each.what, items=list(each.items)) for each in gone.lost],
        notes=list(gone.notes),
    )


def _caller(call: Call) -> Caller | None:
    """Who asks; None when that cannot be told."""
    try:
        return call.caller
    except IdentityError as error:
        return getattr(error, "caller", None)


def _check_not_inside(caller: Caller | None, path: Path, *, force: bool) -> None:
    cwd = caller.cwd if caller is not None else None
    if cwd is not None and cwd.is_relative_to(path) and not force:
        raise Refused(f"you stand in {path}", hint="cd out of it, then retry")

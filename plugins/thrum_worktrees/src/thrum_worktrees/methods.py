"""The methods ``worktrees.*``: for commands, and for other plugins that need a worktree for a while."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from thrum_kernel.api import Belonging, Call, Caller, Method, PluginContext
from thrum_kernel.errors import (
    AnonymousCaller,
    IdentityError,
    NotFound,
    NotYours,
    Refused,
    ThrumError,
    UsageError,
)
from thrum_worktrees import listing, naming, owning, places, residents, traces, wiring
from thrum_worktrees.blocking import off_loop
from thrum_worktrees.creating import Creation
from thrum_worktrees.git import Git
from thrum_worktrees.owning import Makers
from thrum_worktrees.places import Ground
from thrum_worktrees.planning import Wish
from thrum_worktrees.records import Record, head_of, listed, record_of, records, resolved
from thrum_worktrees.requests import (
    Created,
    CreateParams,
    Destroyed,
    DestroyParams,
    NoParams,
    SetUp,
    SetupParams,
    created,
    destroyed,
)
from thrum_worktrees.residents import Newcomer
from thrum_worktrees.resuming import Resumption
from thrum_worktrees.settings import Worktrees
from thrum_worktrees.tearing_down import Teardown, Wishes
from thrum_worktrees.undertakings import Undertaking, Undertakings
from thrum_worktrees.work import IsOurs

HERE: Final = frozenset({"unix", "internal"})


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
        caller = _standing(call)
        residents.check_runtime(params.runtime)
        name, branch = self._named(params)
        new = _newcomer(params)
        async with self._one_at_a_time:
            ground = await self._ground()
            path = await off_loop(self._ctx, self._path, ground, name)
            await self._clear(ground, path)
            taken = await self._taken(path, name, new) if new is not None and new.force else []
            judged = [(each, await self._ctx.authorize(caller, each, force=True)) for each in taken]
            creation = replace(self._creation(ground, params.runtime), made_by=owning.maker(caller))
            made = await creation.carry_out(Wish(name, path, branch, params.base), new)
        notes = [
            note
            for thing, authority in judged
            for note in await owning.tell(self._ctx, authority, caller, thing=thing, done="over")
        ]
        return created(name, replace(made, notes=(*made.notes, *notes)))

    async def destroy(self, call: Call, params: DestroyParams) -> Destroyed:
        """Take a worktree away.

        Raises:
            NotFound: there is none of that name.
            NotYours: it is somebody else's, and there is no *force*.
            Refused: something would be lost, or it cannot be taken away.
            GitFailed: git could not do its part; the next try goes on.
        """
        caller = _standing(call)
        naming.check_part(params.name)
        async with self._one_at_a_time:
            ground = await self._ground()
            begun = self._begun(params.name)
            finished = await self._teardown(ground).go_on(begun) if begun else None
            if finished is not None:
                return destroyed(finished)
            record = await off_loop(self._ctx, self._find, ground, params.name)
            _check_not_inside(caller, record.path, force=params.force)
            teardown = self._teardown(ground)
            thing = await self._belonging(teardown, record, params.name)
            wishes = Wishes(params.delete_branch, params.keep_agent, params.force)
            try:
                authority = await self._ctx.authorize(caller, thing, force=params.force)
            except NotYours as refusal:  # whoever thinks of force is to know what that would cost
                refusal.at_stake = await teardown.at_stake(record, wishes)
                raise
            gone = await teardown.carry_out(record, params.name, wishes)
        removed = () if params.keep_agent else gone.agents
        notes = await owning.tell(self._ctx, authority, caller, thing=thing, gone=removed)
        return destroyed(replace(gone, notes=(*gone.notes, *notes)))

    async def set_up(self, call: Call, params: SetupParams) -> SetUp:
        """Wire a worktree that is there.

        Raises:
            NotFound: no worktree of the repository has its root there.
            Refused: its ``.thrum`` is something else.
        """
        _standing(call)
        residents.check_runtime(params.runtime)
        async with self._one_at_a_time:
            ground = await self._ground()
            path = resolved(Path(params.path))
            record = await off_loop(self._ctx, record_of, ground.git, path)
            if record is None or not path.is_dir():
                raise NotFound("worktree", str(path), hint="thrum worktree list")
            await off_loop(self._ctx, wiring.check, path, ground.thrum)
            head = await off_loop(self._ctx, head_of, ground.git, record.folder)
            creation = self._creation(ground, params.runtime)
            notes = await creation.wire(path, head.branch, None)
        return SetUp(worktree=str(path), thrum=str(ground.thrum), notes=notes)

    async def list_all(self, call: Call, params: NoParams) -> list[listing.Row]:
        """Every worktree.

        Raises:
            NotARepository: the project lies in none.
        """
        ground = await self._ground()
        found = await off_loop(self._ctx, listed, ground.git)
        return listing.rows(found, await residents.residents(self._ctx))

    async def resume(self, call: Call, params: NoParams) -> None:
        """Finish what an earlier daemon began; what cannot be finished is told by doctor."""
        for undertaking in self._undertakings.all():
            async with self._one_at_a_time:
                try:
                    await self._resumption(await self._ground()).go_on(undertaking)
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
            lock = paths.state / "git.lock"
            self._known_ground = await off_loop(
                self._ctx, Ground.of, paths.repo, paths.thrum, env=self._env, lock=lock
            )
        return self._known_ground

    def _creation(self, ground: Ground, runtime: str) -> Creation:
        return Creation(self._ctx, ground, self._settings, self._undertakings, self._is_ours, runtime)

    def _teardown(self, ground: Ground) -> Teardown:
        return Teardown(self._ctx, ground, self._undertakings, self._is_ours)

    async def _taken(self, path: Path, name: str, new: Newcomer) -> list[Belonging]:
        """What is somebody's and gets a new owner when *new* moves in: the worktree, or the name from elsewhere."""
        everyone = await residents.residents(self._ctx)
        leaving = tuple(each.name for each in residents.at(everyone, path) if each.name != new.name)
        made_by = Makers(self._ctx).of(path)
        here = Belonging(what=f"worktree {name}", owners=leaving, made_by=made_by, worktree=path)
        elsewhere = [
            Belonging(
                what=f"the name {each.name}",
                owners=(each.name,),
                made_by=Makers(self._ctx).of(each.worktree),
                worktree=each.worktree,
            )
            for each in everyone
            if each.name == new.name and each.worktree not in (None, path)
        ]
        return [*([here] if leaving else []), *elsewhere]

    async def _belonging(self, teardown: Teardown, record: Record, name: str) -> Belonging:
        """The worktree, for the kernel to judge who may take it away."""
        return Belonging(
            what=f"worktree {name}",
            owners=await teardown.residents_of(record.path),
            made_by=Makers(self._ctx).of(record.path),
            worktree=record.path,
        )

    def _is_ours(self, git: Git, record: Record, tree: Path) -> IsOurs:
        return traces.judge(self._ctx.presets(), git, record, tree)

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
        path: Path | None = None
        with contextlib.suppress(UsageError):  # base_path is wrong now: the worktree may be elsewhere
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
        hint = f"it would be {path}; see thrum worktree list" if path else "thrum worktree list"
        raise NotFound("worktree", name, hint=hint)

    def _begun(self, name: str) -> Undertaking | None:
        """A teardown of that name whose folder was set aside."""
        for each in self._undertakings.all():
            if each.kind == "teardown" and each.details.name == name and not each.path.exists():
                return each
        return None

    def _resumption(self, ground: Ground) -> Resumption:
        return Resumption(self._ctx, ground, self._settings, self._undertakings, self._teardown(ground))

    async def _clear(self, ground: Ground, path: Path) -> None:
        """Finish a teardown of *path* that was cut short."""
        undertaking = self._undertakings.of(path)
        if undertaking is not None and undertaking.kind == "teardown":
            await self._resumption(ground).go_on(undertaking)


def _newcomer(params: CreateParams) -> Newcomer | None:
    """Who is to live there; nobody in a worktree for a job."""
    if params.job:
        return None
    who = (params.agent, params.role, params.module)
    return residents.newcomer(*who, intent=params.intent, runtime=params.runtime, force=params.force)


def _standing(call: Call) -> Caller:
    """Who asks; somebody without a name, too, who stands in a worktree of the project: the person it belongs to.

    Raises:
        AnonymousCaller: nobody knows who or where.
        IdentityError: several identities fit, and nobody knows where.
    """
    try:
        caller = call.caller
    except IdentityError as error:
        found = getattr(error, "caller", None)
        if not isinstance(found, Caller):
            raise
        caller = found
    if caller.kind == "anonymous" and caller.worktree is None:
        raise AnonymousCaller(call.method)
    return caller


def _check_not_inside(caller: Caller, path: Path, *, force: bool) -> None:
    if caller.cwd is not None and caller.cwd.is_relative_to(path) and not force:
        raise Refused(f"you stand in {path}", hint="cd out of it, then retry")

"""Make a worktree ready for an agent, from nothing or from wherever an earlier try ended.

Look at everything · note that it is begun · let git add it · wire it · tell the other plugins · let the agent move in.
Each step can be repeated; what cannot be finished is taken back, if this call began it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from thrum_kernel.api import PluginContext, WorktreeChange
from thrum_kernel.errors import Refused, ThrumError
from thrum_worktrees import adding, belongings, moving_in, residents, wiring, work
from thrum_worktrees.blocking import off_loop
from thrum_worktrees.moving_in import Moved
from thrum_worktrees.owning import Makers
from thrum_worktrees.places import Ground
from thrum_worktrees.planning import Wanted, Wish, plan
from thrum_worktrees.records import record_of
from thrum_worktrees.residents import Newcomer
from thrum_worktrees.settings import Worktrees
from thrum_worktrees.traces import Judge
from thrum_worktrees.undertakings import Details, Undertaking, Undertakings


@dataclass(frozen=True, slots=True)
class Made:
    """A worktree that is ready.

    Attributes:
        branch: empty when detached.
        base: what a new branch begins at; empty when it was there.
        reused: the worktree was there already.
        agent: who lives in it now; empty: nobody was named.
        session: the tmux session made for it; empty when none was.
        is_running: its runtime runs there already.
        notes: what whoever asked should know.
    """

    path: Path
    branch: str
    base: str
    reused: bool
    agent: str = ""
    session: str = ""
    is_running: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Creation:
    """One creation.

    Attributes:
        ctx: the plugin's.
        ground: the repository.
        settings: what is to be wired.
        undertakings: where it is noted that it is begun.
        runtime: name of the runtime that shall live there; may be empty.
        is_ours: tells what is work from what thrum put there; see `traces.judge`.
        tries: how often daemons went on with it.
        made_by: the agent that makes it; empty: a person does.
    """

    ctx: PluginContext
    ground: Ground
    settings: Worktrees
    undertakings: Undertakings
    is_ours: Judge
    runtime: str = ""
    tries: int = 0
    made_by: str = ""

    async def carry_out(self, wish: Wish, new: Newcomer | None) -> Made:
        """Make the worktree that is asked for, and let *new* move in.

        Raises:
            ThrumError: it cannot be made; what this call began is gone again.
        """
        path, begun = wish.path, self.undertakings.of(wish.path)
        has_begun = begun is not None and begun.kind == "create"
        wanted = await off_loop(self.ctx, plan, self.ground, wish, has_begun=has_begun)
        if new is not None:
            await residents.check_room(self.ctx, path, new)
        await self.undertakings.begin(Undertaking(path, "create", self._details(wanted, new)))
        try:
            await off_loop(self.ctx, self._add, wanted)
            made = await self._furnish(wanted, new)
        except ThrumError:
            await self.undertakings.end(path)
            raise
        if not wanted.is_there or (self.tries and self.made_by):
            await Makers(self.ctx).note(path, self.made_by)
        await self.undertakings.end(path)
        return made

    async def _furnish(self, wanted: Wanted, new: Newcomer | None) -> Made:
        try:
            notes = [*wanted.notes, *await self.wire(wanted.path, wanted.branch, new)]
            moved = Moved() if new is None else await self._move_in(wanted, new)
        except ThrumError:
            await off_loop(self.ctx, self._take_back, wanted)
            raise
        return Made(
            path=wanted.path,
            branch=wanted.branch,
            base=wanted.base_name if wanted.is_new_branch or not wanted.branch else "",
            reused=wanted.is_there,
            agent=new.name if new else "",
            session=moved.session,
            is_running=moved.is_running,
            notes=(*notes, *moved.notes),
        )

    async def _move_in(self, wanted: Wanted, new: Newcomer) -> Moved:
        """Have *new* live there, and nobody else."""
        env, thrum = self.ground.git.env, self.ground.thrum
        others = [each for each in await residents.residents(self.ctx) if each.name != new.name]
        leaving = [each.name for each in residents.at(others, wanted.path)]
        await off_loop(self.ctx, belongings.keep, wanted.path, thrum, leaving)
        failed = await residents.move_out(self.ctx, leaving, keep=True)
        moved = await moving_in.move_in(
            self.ctx, wanted.path, wanted.name, new, env=env, made_by=self.made_by
        )
        notes = [*(f"@{name} has no worktree now" for name in leaving), *failed, *moved.notes]
        try:
            await off_loop(self.ctx, belongings.bring, thrum, wanted.path, new.name)
        except Refused as error:  # it lives there now: what it saved earlier is no reason to take that back
            notes.append(f"what @{new.name} saved stays in {thrum}: {error}")
        return replace(moved, notes=tuple(notes))

    async def wire(self, path: Path, branch: str, new: Newcomer | None) -> list[str]:
        """Let a worktree share what it should, and tell the other plugins; what whoever asked should know.

        Raises:
            Refused: its ``.thrum`` is something else.
        """
        notes = await off_loop(self.ctx, self._wire, path)
        living = {each.name for each in residents.at(await residents.residents(self.ctx), path)}
        change = WorktreeChange(
            kind="prepared",
            path=path,
            branch=branch,
            agents=tuple(sorted(living | ({new.name} if new else set()))),
            runtime=self.runtime,
            wants_hooks=self.settings.thrum_enabled,
        )
        return [*notes, *await self.ctx.announce(change)]

    def _details(self, wanted: Wanted, new: Newcomer | None) -> Details:
        """What it takes to go on."""
        made = Details(
            name=wanted.name,
            branch=wanted.branch,
            commit=wanted.base,
            is_new_branch=wanted.is_new_branch,
            runtime=self.runtime,
            tries=self.tries,
            made_by=self.made_by if self.tries or not wanted.is_there else "",
        )
        if new is None:
            return made
        return msgspec.structs.replace(
            made, agents=(new.name,), role=new.role, module=new.module, intent=new.intent, force=new.force
        )

    # --- in a thread -------------------------------------------------------------------------------------------------

    def _add(self, wanted: Wanted) -> None:
        with self.ground.git.alone() as writer:
            adding.add(writer, wanted)

    def _take_back(self, wanted: Wanted) -> None:
        git = self.ground.git
        with git.alone() as writer:
            record = record_of(git, wanted.path)
            if record is not None:
                is_ours = self.is_ours(git, record, wanted.path)
                if work.losses(git, record, wanted.path, is_ours=is_ours, branch_goes=wanted.is_new_branch):
                    return  # somebody was quick to work there
            adding.take_back(writer, wanted)

    def _wire(self, path: Path) -> list[str]:
        git = self.ground.git
        record = record_of(git, path)
        notes: list[str] = []
        if record is None:
            return notes
        if self.settings.thrum_enabled:
            notes += wiring.wire_thrum(git, path, record.folder, self.ground.thrum).notes
        if self.settings.beads_enabled:
            notes += wiring.wire_beads(git, path, record.folder, self.ground.repo).notes
        return notes

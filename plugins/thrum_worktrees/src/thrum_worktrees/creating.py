"""Make a worktree ready for an agent, from nothing or from wherever an earlier try ended.

Look at everything · note that it is begun · let git add it · wire it · tell the other plugins · let the agent move in.
Each step can be repeated; what cannot be finished is taken back, if this call began it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from thrum_kernel.api import PluginContext, WorktreeChange
from thrum_kernel.errors import ThrumError
from thrum_worktrees import adding, belongings, residents, wiring
from thrum_worktrees.adding import Wanted
from thrum_worktrees.places import Ground
from thrum_worktrees.records import record_of
from thrum_worktrees.residents import Newcomer
from thrum_worktrees.settings import Worktrees
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
        notes: what whoever asked should know.
    """

    path: Path
    branch: str
    base: str
    reused: bool
    agent: str = ""
    session: str = ""
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
    """

    ctx: PluginContext
    ground: Ground
    settings: Worktrees
    undertakings: Undertakings
    runtime: str = ""

    async def carry_out(self, plan: Callable[[bool], Wanted], path: Path, new: Newcomer | None) -> Made:
        """Make the worktree at *path*.

        Args:
            plan: what is to be done, given whether we began before; blocking.

        Raises:
            ThrumError: it cannot be made; what this call began is gone again.
        """
        begun = self.undertakings.of(path)
        wanted = await self.ctx.in_thread(plan, begun is not None and begun.kind == "create")
        if new is not None:
            await residents.check_room(self.ctx, path, new)
        await self.undertakings.begin(Undertaking(path, "create", details(wanted, new)))
        try:
            await self.ctx.in_thread(self._add, wanted)
            made = await self._furnish(wanted, new)
        except ThrumError:
            await self.undertakings.end(path)
            raise
        await self.undertakings.end(path)
        return made

    async def _furnish(self, wanted: Wanted, new: Newcomer | None) -> Made:
        try:
            notes = [*wanted.notes, *await self.wire(wanted.path, wanted.branch, new)]
            session = ""
            if new is not None:
                session = await residents.move_in(self.ctx, wanted.path, wanted.name, new)
                await self.ctx.in_thread(belongings.bring, self.ground.thrum, wanted.path, new.name)
        except ThrumError:
            await self.ctx.in_thread(self._take_back, wanted)
            raise
        return Made(
            path=wanted.path,
            branch=wanted.branch,
            base=wanted.base_name if wanted.is_new_branch or not wanted.branch else "",
            reused=wanted.is_there,
            agent=new.name if new else "",
            session=session,
            notes=tuple(notes),
        )

    async def wire(self, path: Path, branch: str, new: Newcomer | None) -> list[str]:
        """Let a worktree share what it should, and tell the other plugins; what whoever asked should know.

        Raises:
            Refused: its ``.thrum`` is something else.
        """
        notes = await self.ctx.in_thread(self._wire, path)
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

    # --- in a thread -------------------------------------------------------------------------------------------------

    def _add(self, wanted: Wanted) -> None:
        with self.ground.git.alone() as writer:
            adding.add(writer, wanted)

    def _take_back(self, wanted: Wanted) -> None:
        with self.ground.git.alone() as writer:
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


def details(wanted: Wanted, new: Newcomer | None) -> Details:
    """What it takes to go on with a creation."""
    words = ["thrum", "worktree", "create", wanted.name]
    words += ["--branch", wanted.branch] if wanted.branch else ["--detach"]
    if new is not None:
        words += ["--name", new.name, "--role", new.role, "--module", new.module]
    return Details(
        name=wanted.name, branch=wanted.branch, agents=(new.name,) if new else (), command=shlex.join(words)
    )

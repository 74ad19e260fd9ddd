"""Take a worktree away with the agents in it, losing nothing.

Look what would be lost · tell the other plugins, which end what runs there · note that it is begun · set the folder
aside · have git forget it · end its agents · delete the branch · delete the files. Until the folder is set aside nothing is
done; from then on all that is left can be repeated, and is, by the next daemon too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Final

from thrum_kernel.api import PluginContext, WorktreeChange
from thrum_kernel.errors import GitFailed, Refused, ThrumError
from thrum_worktrees import belongings, branches, removing, residents, work
from thrum_worktrees.blocking import off_loop
from thrum_worktrees.owning import Makers
from thrum_worktrees.places import Ground
from thrum_worktrees.records import Head, Record, checked_out, head_of, record_of
from thrum_worktrees.residents import Resident
from thrum_worktrees.traces import Judge
from thrum_worktrees.undertakings import Details, Undertaking, Undertakings
from thrum_worktrees.work import Loss

ENDING_S: Final = 5.0
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a worktree is to go.

    Attributes:
        delete_branch: its branch goes, too.
        keep_agents: its agents stay registered, without a worktree.
        force: also when something would be lost.
    """

    delete_branch: bool = False
    keep_agents: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """A worktree that was taken away.

    Attributes:
        agents: whose identities went with it.
        deleted_branch: empty when it stays.
        lost: what was thrown away, since that was asked for.
        notes: what whoever asked should know.
    """

    name: str
    path: Path
    agents: tuple[str, ...]
    deleted_branch: str = ""
    lost: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Teardown:
    """One teardown.

    Attributes:
        ctx: the plugin's.
        ground: the repository.
        undertakings: where it is noted that it is begun.
        is_ours: tells what is work from what thrum put there; see `traces.judge`.
    """

    ctx: PluginContext
    ground: Ground
    undertakings: Undertakings
    is_ours: Judge

    async def carry_out(self, record: Record, name: str, wishes: Wishes) -> Gone:
        """Take the worktree of *record* away.

        Raises:
            Refused: something would be lost and *wishes* do not say force, or it cannot be taken away; it is as it was.
            GitFailed: git cannot tell, or cannot do its part; the next try goes on.
        """
        head = await off_loop(self.ctx, self._check, record, wishes)
        lost = await off_loop(self.ctx, self._losses, record, record.path, wishes)
        if lost and not wishes.force:
            raise _would_be_lost(name, lost)
        agents, notes = await self._clear_out(record, head, wishes)
        undertaking = Undertaking(record.path, "teardown", _details(name, head, agents, wishes))
        await self.undertakings.begin(undertaking)
        try:
            lost = await off_loop(self.ctx, self._set_aside, record, wishes)
        except ThrumError:  # not when it was cancelled: its thread goes on
            await self.undertakings.end(record.path)
            raise
        gone = await self.finish(undertaking)
        return replace(gone, lost=tuple(lost), notes=(*notes, *gone.notes))

    async def _clear_out(
        self, record: Record, head: Head, wishes: Wishes
    ) -> tuple[tuple[str, ...], list[str]]:
        """Have what runs there ended, and keep what is to stay; who lives there, and what whoever asked should know.

        Raises:
            Refused: somebody goes on running there.
        """
        everyone = await residents.residents(self.ctx)
        agents = await self._agents(record.path, everyone)
        if not wishes.force:
            _check_quiet([each for each in residents.at(everyone, record.path) if not each.session])
        going = WorktreeChange(kind="going", path=record.path, branch=head.branch, agents=agents)
        notes = list(await self.ctx.announce(going))
        if not wishes.force:
            await self._until_quiet(record.path)
        saved = agents if wishes.keep_agents else ()
        if await off_loop(self.ctx, belongings.keep, record.path, self.ground.thrum, saved):
            notes.append(f"what they saved is kept in {self.ground.thrum} for their next worktree")
        return agents, notes

    async def go_on(self, undertaking: Undertaking) -> Gone | None:
        """Finish one that was cut short; None where nothing was done yet, or what was written there brought it back.

        Raises:
            GitFailed, Refused: it cannot be finished now; the next try goes on.
        """
        if await off_loop(self.ctx, self._is_going, undertaking):
            return await self.finish(undertaking)
        await self.undertakings.end(undertaking.path)
        return None

    async def finish(self, undertaking: Undertaking) -> Gone:
        """Do what is left to do for a worktree whose folder was set aside.

        Raises:
            GitFailed: git cannot do its part; the next try goes on.
        """
        path, details = undertaking.path, undertaking.details
        await off_loop(self.ctx, self._drop_record, path)
        notes = await residents.move_out(self.ctx, details.agents, keep=details.keep_agents)
        deleted = ""
        if details.delete_branch:
            try:
                await off_loop(self.ctx, self._delete_branch, details)
                deleted = details.branch
            except Refused as error:
                notes.append(str(error))
        left = await off_loop(self.ctx, removing.delete, removing.aside_of(path))
        if left:
            notes.append(
                f"{left}; what is left of it is deleted when the daemon starts, or: rm -r {removing.aside_of(path)}"
            )
        else:
            await self.undertakings.end(path)
        await Makers(self.ctx).forget(path)
        return Gone(details.name, path, details.agents, deleted, notes=tuple(notes))

    async def residents_of(self, path: Path) -> tuple[str, ...]:
        """The agents that live in the worktree at *path*, sorted."""
        return await self._agents(path, await residents.residents(self.ctx))

    async def at_stake(self, record: Record, wishes: Wishes) -> str:
        """What would be lost, in words; empty when nothing would, or git cannot tell."""
        try:
            return work.told(await off_loop(self.ctx, self._losses, record, record.path, wishes))
        except ThrumError:
            return ""

    async def _until_quiet(self, path: Path) -> None:
        """Give runtimes that were ended the time to go.

        Raises:
            Refused: one goes on.
        """
        deadline = self.ctx.clock.monotonic() + ENDING_S
        while True:
            living = residents.at(await residents.residents(self.ctx), path)
            if not any(each.pid for each in living) or self.ctx.clock.monotonic() > deadline:
                return _check_quiet(living)
            await asyncio.sleep(_POLL_S)

    async def _agents(self, path: Path, everyone: list[Resident]) -> tuple[str, ...]:
        """Who lives there: by registration, or by an identity file of an agent that lives nowhere else."""
        living = {each.name for each in residents.at(everyone, path)}
        homeless = {each.name for each in everyone if each.worktree is None}
        filed = set(await off_loop(self.ctx, residents.identity_names, path))
        return tuple(sorted(living | (filed & homeless)))

    # --- in a thread -------------------------------------------------------------------------------------------------

    def _check(self, record: Record, wishes: Wishes) -> Head:
        git = self.ground.git
        if record.lock is not None:
            because = f" ({record.lock})" if record.lock else ""
            raise Refused(
                f"{record.path} is locked{because}", hint=f"git worktree unlock {quote(str(record.path))}"
            )
        if record.path == self.ground.repo:
            raise Refused(f"{record.path} holds the shared .thrum: it stays")
        work.check_alone(git, record)
        aside = removing.aside_of(record.path)
        if aside.exists() and not record.path.exists():  # whoever moved it there has forgotten it
            removing.put_back(aside, record.path)
        head = head_of(git, record.folder)
        if wishes.delete_branch and head.branch:
            place = next(
                (p for b, p in checked_out(git).items() if b == head.branch and p != record.path), None
            )
            if place is not None:
                raise Refused(
                    f"branch {head.branch} is checked out at {place}", hint="leave --delete-branch out"
                )
        return head

    def _losses(self, record: Record, tree: Path, wishes: Wishes) -> list[Loss]:
        git = self.ground.git
        is_ours = self.is_ours(git, record, tree)
        try:
            return work.losses(git, record, tree, is_ours=is_ours, branch_goes=wishes.delete_branch)
        except GitFailed as error:
            if not wishes.force:
                raise
            return [Loss("unknown", f"all that was there: git could not tell what ({error})")]

    def _set_aside(self, record: Record, wishes: Wishes) -> list[Loss]:
        """What goes with it, as it is once nobody finds it any more."""
        with self.ground.git.alone():
            return removing.set_aside(
                record, lambda tree: self._losses(record, tree, wishes), force=wishes.force
            )

    def _is_going(self, undertaking: Undertaking) -> bool:
        """Whether the folder was set aside for good. While git has its record nobody knows whether it was looked at
        again, and all files are there: so it is, now."""
        path, details = undertaking.path, undertaking.details
        aside = removing.aside_of(path)
        if not aside.exists():
            return not path.exists()
        record = record_of(self.ground.git, path)
        if record is None or path.exists() or details.force:
            return True
        wishes = Wishes(delete_branch=details.delete_branch)
        if not self._losses(record, aside, wishes):
            return True
        removing.put_back(aside, path)
        return False

    def _drop_record(self, path: Path) -> None:
        with self.ground.git.alone() as writer:
            removing.drop_record(writer, path)

    def _delete_branch(self, details: Details) -> None:
        with self.ground.git.alone() as writer:
            branches.delete_branch(writer, details.branch, tip=details.commit)


def _details(name: str, head: Head, agents: tuple[str, ...], wishes: Wishes) -> Details:
    return Details(
        name=name,
        branch=head.branch,
        agents=agents,
        keep_agents=wishes.keep_agents,
        delete_branch=wishes.delete_branch and bool(head.branch),
        commit=head.commit,
        force=wishes.force,
    )


def _would_be_lost(name: str, lost: list[Loss]) -> Refused:
    return Refused(
        f"worktree {name} has work that would be lost: {work.told(lost)}",
        hint="commit it (and push, or merge), then retry; --force throws it away",
    )


def _check_quiet(living: list[Resident]) -> None:
    for each in living:
        if each.pid:
            raise Refused(
                f"@{each.name} is running there (PID {each.pid})",
                hint="end its runtime, then retry, or --force",
            )

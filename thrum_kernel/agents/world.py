"""The picture of what is registered that callers are judged by, kept current.

`resolve_peer` is asked for every request that needs a caller. It notices changed identity files by their times, and
makes the picture anew only when a file or a registration changed.

Source: DESIGN.md D5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from thrum_kernel.agents.homes import Homes, ProcessKey
from thrum_kernel.agents.worktrees import Worktree, Worktrees
from thrum_kernel.api import Caller
from thrum_kernel.bus.standing import AmbiguousHere, StrangerHere
from thrum_kernel.errors import GuardFired, IdentityAmbiguous, Projecting
from thrum_kernel.events import Event
from thrum_kernel.events.core import AgentCleanup, AgentMove, AgentRegister
from thrum_kernel.identity import world
from thrum_kernel.identity.facts import Facts
from thrum_kernel.identity.model import AgentName, Identity
from thrum_kernel.identity.resolve import resolve
from thrum_kernel.identity.world import World


class WorldKeeper:
    """Judges callers.

    Args:
        living: names of the agents that live on this daemon; raises Projecting while that cannot be told.
        is_running: whether a runtime is; `invalidate` when one ends.
    """

    def __init__(
        self,
        *,
        worktrees: Worktrees,
        homes: Homes,
        living: Callable[[], Iterable[str]],
        is_running: Callable[[ProcessKey], bool],
    ) -> None:
        self._worktrees = worktrees
        self._homes = homes
        self._living = living
        self._is_running = is_running
        self._world = World()
        self._made_of: int | None = None
        self._places: dict[tuple[int, int], Path] = {}
        self._changes = 0

    @property
    def version(self) -> tuple[int, int]:
        """Differs after every change that was noticed."""
        return self._changes, self._worktrees.version

    def on_event(self, event: Event) -> None:
        """A listener of the committer: registrations change the picture."""
        if isinstance(event, AgentRegister | AgentCleanup | AgentMove):
            self.invalidate()

    def invalidate(self) -> None:
        """Make the picture anew when next asked."""
        self._made_of = None
        self._changes += 1

    def current(self, cwd: Path | None = None) -> World:
        """The world as of now, for a caller in *cwd*."""
        self._worktrees.refresh_for(cwd)
        if self._made_of != self._worktrees.version:
            self._make()
        return self._world

    def resolve_peer(
        self, facts: Facts, claim: str = "", *, named: str = "", token_principal: str | None = None
    ) -> Caller:
        """Who a caller is.

        Args:
            facts: what the system says about it.
            claim: who it says it is (``caller_agent_id``, ``THRUM_AGENT_ID``); empty when it does not.
            named: its ``THRUM_NAME``.
            token_principal: whom its valid token names; None without one.

        Raises:
            StrangerHere: the claim or the place contradicts what ranks above it.
            AmbiguousHere: several agents are registered where it stands, or one beside a damaged identity file,
                which may be the caller's.
        """
        found = self.current(facts.cwd)
        place = self._place(facts)
        try:
            caller = resolve(facts, found, claim, named=named, token_principal=token_principal)
            if caller.source == "worktree" and caller.agent_id not in (claim, named):
                self._refuse_beside_damage(caller.agent_id, place)
            if not caller.is_known:
                caller = replace(caller, damage=self._damage_at(place))
        except IdentityAmbiguous as error:
            raise AmbiguousHere(error, self._nobody(facts, place, "several identities fit here")) from error
        except GuardFired as error:
            raise StrangerHere(error, self._nobody(facts, place, error.reason)) from error
        return replace(caller, worktree=place) if place is not None else caller

    def residents(self, worktree: Path) -> frozenset[str]:
        """The agents that live here and have an identity file in *worktree*."""
        known = self._worktrees.at(worktree)
        if known is None:
            return frozenset()
        status = (known.device, known.inode)
        place = self.current(worktree).worktrees.get(status)
        return frozenset(place.names) if place else frozenset()

    def _place(self, facts: Facts) -> Path | None:
        """The worktree of ours that the caller stands in, told by what the folders are and not by their names."""
        return next(
            (self._places[folder.inode] for folder in facts.folders if folder.inode in self._places), None
        )

    def _refuse_beside_damage(self, name: str, place: Path | None) -> None:
        """Nobody is taken for an agent because another's file cannot be read."""
        here = self._worktrees.at(place) if place is not None else None
        if here is not None and here.problems:
            raise IdentityAmbiguous([name], damaged=here.problems)

    def _damage_at(self, place: Path | None) -> str:
        """What is wrong with identity files of a worktree; empty when nothing is."""
        here = self._worktrees.at(place) if place is not None else None
        if here is None:
            return ""
        copies = [
            f"the identity file of {identity.name} is a copy: {identity.name} lives in {home}"
            for identity in here.identities
            if (home := self._home_of_copy(here, identity)) is not None
        ]
        return "; ".join([*map(str, here.problems), *copies])

    def _home_of_copy(self, worktree: Worktree, identity: Identity) -> Path | None:
        """Where an agent lives whose file came here with a copied folder; None where it is at home.

        A file names the worktree that it was written for. It is a copy while that is another worktree of ours and has
        the agent still; a worktree that was moved names a place that is gone, or somebody else's.
        """
        if not identity.worktree:
            return None
        home = self._worktrees.at(Path(identity.worktree))
        if home is None or (home.device, home.inode) == (worktree.device, worktree.inode):
            return None
        return home.path if any(other.name == identity.name for other in home.identities) else None

    def _nobody(self, facts: Facts, place: Path | None, reason: str) -> Caller:
        runtime = facts.runtime
        return Caller(
            kind="anonymous",
            pid=facts.pid,
            runtime_pid=runtime.pid if runtime else 0,
            runtime=runtime.runtime if runtime else "",
            cwd=facts.cwd,
            worktree=place or facts.git_root,
            reason=reason,
            chain=facts.chain,
        )

    def _make(self) -> None:
        known = self._worktrees.all()
        version = self._worktrees.version
        living = self._names()
        identities = [
            (worktree.path, identity)
            for worktree in known
            for identity in worktree.identities
            if (living is None or identity.name in living) and self._home_of_copy(worktree, identity) is None
        ]
        identities += self._lost(known, {identity.name for _, identity in identities}, living or frozenset())
        made = world.build(identities, names=living or ())
        self._world = made
        self._places = {(worktree.device, worktree.inode): worktree.path for worktree in known}
        self._made_of = version if living is not None else None

    def _lost(
        self, known: list[Worktree], with_file: set[str], living: frozenset[str]
    ) -> list[tuple[Path, Identity]]:
        """Agents whose file is gone while their runtime is running: they go on (``git clean`` beside the daemon)."""
        roots = {worktree.path for worktree in known}
        return [
            (
                home.worktree,
                Identity(
                    agent=AgentName(name=home.name),
                    agent_pid=home.process.pid,
                    agent_pid_start=home.process.start_time,
                ),
            )
            for home in self._homes.all()
            if home.worktree in roots
            and home.worktree is not None
            and home.process is not None
            and home.name not in with_file
            and home.name in living
            and self._is_running(home.process)
        ]

    def _names(self) -> frozenset[str] | None:
        """Names of the agents that live here; None while the cache is being rebuilt: then files alone count."""
        try:
            return frozenset(self._living())
        except Projecting:
            return None

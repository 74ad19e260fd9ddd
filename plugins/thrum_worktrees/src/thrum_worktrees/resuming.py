"""Go on with what was begun and is not done, each from where it was.

A teardown goes on once its folder was set aside, unless something was written into that; before it nothing had happened. A creation goes on once git has a
record of the worktree; before that at most its branch was made, which goes again.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Final

import msgspec

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import ThrumError
from thrum_worktrees import branches
from thrum_worktrees.blocking import off_loop
from thrum_worktrees.creating import Creation
from thrum_worktrees.places import Ground
from thrum_worktrees.planning import Wish
from thrum_worktrees.records import checked_out, record_of
from thrum_worktrees.residents import Newcomer
from thrum_worktrees.settings import Worktrees
from thrum_worktrees.tearing_down import Teardown
from thrum_worktrees.undertakings import Undertaking, Undertakings

MOST_TRIES: Final = 3
"""So often a creation is gone on with; one that ends the daemon each time must not keep it from starting."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """What goes on with undertakings.

    Attributes:
        settings: what is to be wired.
        teardown: takes worktrees away.
    """

    ctx: PluginContext
    ground: Ground
    settings: Worktrees
    undertakings: Undertakings
    teardown: Teardown

    async def go_on(self, undertaking: Undertaking) -> None:
        """Finish *undertaking*, or forget it where nothing was done yet.

        Raises:
            ThrumError: it cannot be finished now; a teardown is tried again by the next one who asks.
        """
        if undertaking.kind == "teardown":
            await self.teardown.go_on(undertaking)
        else:
            await self._create(undertaking)

    async def _create(self, undertaking: Undertaking) -> None:
        path, details = undertaking.path, undertaking.details
        has_record = await off_loop(self.ctx, record_of, self.ground.git, path) is not None
        if not has_record or details.tries >= MOST_TRIES:
            if not has_record:
                await off_loop(self.ctx, self._drop_branch, undertaking)
            await self.undertakings.end(path)
            return
        counted = msgspec.structs.replace(details, tries=details.tries + 1)
        await self.undertakings.begin(Undertaking(path, "create", counted))
        creation = Creation(
            self.ctx,
            self.ground,
            self.settings,
            self.undertakings,
            self.teardown.is_ours,
            details.runtime,
            details.tries + 1,
            details.made_by,
        )
        wish = Wish(details.name, path, details.branch, details.commit)
        await creation.carry_out(wish, _newcomer(undertaking))

    def _drop_branch(self, undertaking: Undertaking) -> None:
        details = undertaking.details
        if not details.is_new_branch or details.branch in checked_out(self.ground.git):
            return
        with self.ground.git.alone() as writer, contextlib.suppress(ThrumError):
            branches.delete_branch(writer, details.branch, tip=details.commit)


def _newcomer(undertaking: Undertaking) -> Newcomer | None:
    details = undertaking.details
    if not details.agents:
        return None
    return Newcomer(
        details.agents[0], details.role, details.module, details.intent, details.runtime, details.force
    )

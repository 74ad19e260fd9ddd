"""``agent.set-status``: what an agent says it is doing, in its identity file.

Source: spec/decisions.md "Messaging"; seed 000, ``agent set-status``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from thrum_kernel.agents.identity_files import IdentityFiles, folder_of
from thrum_kernel.agents.requests import STATUSES, SetStatus
from thrum_kernel.agents.results import StatusSet
from thrum_kernel.agents.roster import Roster
from thrum_kernel.api import Call
from thrum_kernel.clock import Clock, format_us
from thrum_kernel.errors import NotFound, UsageError
from thrum_kernel.identity import files, select
from thrum_kernel.identity.facts import Facts
from thrum_kernel.identity.model import Identity


class StatusMethod:
    """Sets the status of agents that live here."""

    def __init__(self, *, roster: Roster, identity_files: IdentityFiles, clock: Clock) -> None:
        self._roster = roster
        self._files = identity_files
        self._clock = clock

    async def set_status(self, call: Call, params: SetStatus) -> StatusSet:
        """Set an agent's status.

        Raises:
            UsageError: it is none of the four.
            NotFound: no such agent lives here, or it has no identity file.
            Refused: it lives on another daemon.
        """
        check_status(params.status)
        name = params.agent.removeprefix("@")
        try:
            agent = self._roster.local(name)
        except NotFound as error:
            raise _unknown(name) from error
        change = status_change(params.status, self._clock)
        for place in self._files.places(agent.name):
            await self._files.update(place, agent.name, change)
            return StatusSet(agent=agent.name, status=params.status)
        raise NotFound(
            "identity",
            agent.name,
            message=f"agent {agent.name} has no identity file in any worktree",
            hint="register it again from its worktree: thrum quickstart",
        )


def set_own_status(
    worktree: Path, status: str, *, env: Mapping[str, str], facts: Facts | None, clock: Clock
) -> StatusSet:
    """Set the status of the identity selected in *worktree*, with no daemon; blocking.

    Raises:
        UsageError: the status is none of the four.
        IdentityMissing, IdentityAmbiguous, FileDamaged: as selecting and writing an identity do.
    """
    check_status(status)
    folder = folder_of(worktree)
    found = files.read_all(folder)
    chosen = select.select(found.identities, worktree=worktree, env=env, facts=facts, damaged=found.problems)
    files.update(folder, chosen.identity.name, status_change(status, clock), clock=clock)
    return StatusSet(agent=chosen.identity.name, status=status)


def check_status(status: str) -> None:
    """Raises `UsageError` when *status* is none of the four."""
    if status not in STATUSES:
        raise UsageError(f'invalid status "{status}": must be working, idle, blocked, or stuck')


def status_change(status: str, clock: Clock) -> Callable[[Identity | None], Identity | None]:
    """What setting a status does to an identity; nothing to one that is not there."""

    def change(identity: Identity | None) -> Identity | None:
        now = format_us(clock.now_us())
        return identity and msgspec.structs.replace(
            identity, agent_status=status, agent_status_updated_at=now
        )

    return change


def _unknown(name: str) -> NotFound:
    return NotFound(
        "agent", name, message=f"agent {name} not found", hint="`thrum team --all` lists everyone"
    )

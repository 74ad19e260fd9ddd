"""Whether an agent may be registered as it asks to be: its names, and who has them.

`registration` asks before it does anything, and so do plugins (``agent.checkRegistration``) before they make a worktree
or a session for an agent.

Source: spec/kernel.md §4.4 (``agent.register``); spec/decisions.md "Identity".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from thrum_kernel.agents.identity_files import IdentityFiles
from thrum_kernel.agents.naming import check_apart
from thrum_kernel.agents.roster import Roster
from thrum_kernel.api import Call, Method
from thrum_kernel.errors import ParamsInvalid, Refused
from thrum_kernel.identity.model import check_agent, unnamed_id
from thrum_kernel.projection.queries import AgentRow


class Asked(Protocol):
    """What of a registration matters here."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def module(self) -> str: ...
    @property
    def force(self) -> bool: ...


class CheckRegistration(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A registration that is to come. Nothing is changed; what is wrong with it is the error.

    Attributes:
        name, role, module: as they will be given.
        worktree: where it will be registered; need not be there yet.
        force: as it will be given.
    """

    name: str
    role: str
    module: str
    worktree: str
    force: bool = False


class Newcomers:
    """Judges them.

    Args:
        claimed: sender names that nobody may take; may hold ``*``.
    """

    def __init__(
        self, *, roster: Roster, files: IdentityFiles, repo_id: str, claimed: Callable[[], Sequence[str]]
    ) -> None:
        self._roster = roster
        self._files = files
        self._repo_id = repo_id
        self._claimed = claimed

    def methods(self) -> Sequence[Method]:
        """For plugins that make something for an agent."""
        return (
            Method(
                "agent.checkRegistration",
                CheckRegistration,
                None,
                self.check,
                "Whether an agent may be registered; what is wrong is the error.",
                transports=frozenset({"internal"}),
            ),
        )

    def check(self, call: Call, params: CheckRegistration) -> None:
        """Whether an agent may be registered as *params* say, as far as that can be known before.

        Raises:
            ParamsInvalid, InvalidName: its names are none.
            Refused: another worktree has the name, or it has another role or module, and there is no *force*.
        """
        name = self.name_of(params)
        known = self._roster.find_local(name)
        self.check_names(name, known, params)
        self.check_place(name, self.elsewhere(name, known, Path(params.worktree).resolve()), params)

    def name_of(self, params: Asked, *, may_claim: bool = False) -> str:
        """What the agent will be called.

        Args:
            may_claim: it may be called like a sender of the kernel's or a plugin's.

        Raises:
            ParamsInvalid, InvalidName: role or module are missing, or one of the names is none.
        """
        for field in ("role", "module"):
            if not getattr(params, field):
                raise ParamsInvalid(f"{field} is required")
        name = params.name or unnamed_id(self._repo_id, params.role, params.module)
        check_agent(name, params.role, params.module, claimed=() if may_claim else self._claimed())
        return name

    def check_names(self, name: str, known: AgentRow | None, params: Asked) -> None:
        """Whether a new agent stays apart from the others, and one that is *known* is what it was.

        Raises:
            InvalidName: name and role mean other agents.
            Refused: it has another role or module, and there is no *force*.
        """
        if known is None:
            return check_apart(name, params.role, self._roster.everyone())
        if params.force or not known.role or (known.role, known.module) == (params.role, params.module):
            return None
        raise Refused(
            f"agent {known.name} is registered with role {known.role} and module {known.module}",
            hint="pass --force to change its role or module, or --name for another agent",
        )

    def elsewhere(self, name: str, known: AgentRow | None, worktree: Path) -> list[Path]:
        """Other worktrees that have the agent: by identity file, or by its home where the file is only missing."""
        found = self._files.places(name)
        home = self._roster.homes.of(known.incarnation) if known else None
        if home and home.worktree and not found and self._files.is_worktree(home.worktree):
            found = [home.worktree]
        return [place for place in found if place != worktree]

    def check_place(self, name: str, others: Sequence[Path], params: Asked) -> None:
        """Whether nobody else has the name.

        Raises:
            Refused: *others* do, and there is no *force*.
        """
        if others and not params.force:
            raise Refused(
                f'agent "{name}" is already registered in a different worktree ({others[0]})',
                hint="choose another --name, or take it over from there with --force",
            )

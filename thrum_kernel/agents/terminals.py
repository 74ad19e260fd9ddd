"""Identity files for whoever runs agents' terminals: which there are, where an agent is shown, one to a worktree.

Only the daemon itself and its plugins ask: ``transports`` of these methods is ``internal``.
Source: spec/features.md §1.3, §6.7; spec/decisions.md "Identity".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from thrum_kernel.agents.identity_files import IdentityFiles, path_of
from thrum_kernel.agents.roster import Roster
from thrum_kernel.api import Call, IdentityView, Method
from thrum_kernel.errors import NotFound
from thrum_kernel.identity import probe
from thrum_kernel.identity.model import Identity

INTERNAL: Final = frozenset({"internal"})


class ListIdentities(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which identity files: all, or those of one agent, or of one worktree."""

    name: str = ""
    worktree: str = ""


class IdentityList(msgspec.Struct, kw_only=True):
    """By worktree, the project's own first, then by name."""

    identities: list[IdentityView]


class SetTerminal(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Note where an agent is shown and what runs there; what is not given stays.

    Attributes:
        name: whose identity file.
        worktree: the worktree that holds it; empty: wherever it lies.
        tmux_session: ``session:window.pane``; empty: it is shown nowhere.
        runtime: what runs there; empty: nothing.
        preferred_runtime: what to launch.
    """

    name: str
    worktree: str = ""
    tmux_session: str | msgspec.UnsetType = msgspec.UNSET
    runtime: str | msgspec.UnsetType = msgspec.UNSET
    preferred_runtime: str | msgspec.UnsetType = msgspec.UNSET


class KeepOnly(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Set aside the identity files of a worktree that nobody needs there.

    An identity stays that is among *keep*, whose agent lives in this worktree, or whose runtime runs.
    """

    worktree: str
    keep: tuple[str, ...] = ()


class SetAside(msgspec.Struct, kw_only=True):
    """Where the files are now."""

    files: list[str]


class TerminalMethods:
    """The handlers."""

    def __init__(self, *, files: IdentityFiles, roster: Roster) -> None:
        self._files = files
        self._roster = roster

    def methods(self) -> Sequence[Method]:
        """All of them."""
        return (
            Method(
                "agent.identities",
                ListIdentities,
                IdentityList,
                self.identities,
                "The identity files of the project's worktrees.",
                transports=INTERNAL,
            ),
            Method(
                "agent.setTerminal",
                SetTerminal,
                IdentityView,
                self.set_terminal,
                "Note where an agent is shown, and what runs there.",
                mutates=True,
                transports=INTERNAL,
            ),
            Method(
                "agent.keepOnly",
                KeepOnly,
                SetAside,
                self.keep_only,
                "Set aside the identity files of a worktree that nobody needs there.",
                mutates=True,
                transports=INTERNAL,
            ),
        )

    def identities(self, call: Call, params: ListIdentities) -> IdentityList:
        """The identity files as they are now."""
        self._files.look()
        worktree = Path(params.worktree).resolve() if params.worktree else None
        return IdentityList(
            identities=[
                _view(place, identity)
                for place, identity in self._files.everything()
                if params.name in ("", identity.name) and worktree in (None, place)
            ]
        )

    async def set_terminal(self, call: Call, params: SetTerminal) -> IdentityView:
        """Change an identity file; a process that it names and that ended is not named any more.

        Raises:
            NotFound: there is no such file.
            GuardFired, FileDamaged: it may not or cannot be changed.
        """
        places = [Path(params.worktree).resolve()] if params.worktree else self._files.places(params.name)

        def change(there: Identity | None) -> Identity | None:
            return None if there is None else _without_dead_process(_shown_at(there, params))

        for place in places:
            written = await self._files.update(place, params.name, change)
            if written is not None:
                return _view(place, written)
        raise NotFound("identity", params.name, message=f"agent {params.name} has no identity file here")

    async def keep_only(self, call: Call, params: KeepOnly) -> SetAside:
        """Move the other files into quarantine."""
        worktree = Path(params.worktree).resolve()
        moved: list[str] = []
        for identity in self._files.identities_in(worktree):
            if not self._is_needed(worktree, identity, params.keep):
                to = await self._files.set_aside(worktree, identity.name)
                moved += [str(to)] if to is not None else []
        return SetAside(files=moved)

    def _is_needed(self, worktree: Path, identity: Identity, keep: Sequence[str]) -> bool:
        if identity.name in keep or _is_running(identity):
            return True
        agent = self._roster.find_local(identity.name)
        home = self._roster.home(agent) if agent is not None else None
        return home is not None and home.worktree == worktree


def _shown_at(identity: Identity, params: SetTerminal) -> Identity:
    wanted = {
        "tmux_session": params.tmux_session,
        "runtime": params.runtime,
        "preferred_runtime": params.preferred_runtime,
    }
    given = {key: value for key, value in wanted.items() if value is not msgspec.UNSET}
    changed: Identity = msgspec.structs.replace(identity, **given)
    return changed


def _without_dead_process(identity: Identity) -> Identity:
    if identity.agent_pid == 0 or _is_running(identity):
        return identity
    return msgspec.structs.replace(identity, agent_pid=0, agent_pid_start=0)


def _is_running(identity: Identity) -> bool:
    return identity.agent_pid > 0 and probe.alive(identity.agent_pid, identity.agent_pid_start)


def _view(worktree: Path, identity: Identity) -> IdentityView:
    return IdentityView(
        name=identity.name,
        role=identity.role,
        module=identity.module,
        worktree=str(worktree),
        file=str(path_of(worktree, identity.name)),
        branch=identity.branch,
        intent=identity.intent,
        runtime=identity.runtime,
        preferred_runtime=identity.preferred_runtime,
        tmux_session=identity.tmux_session,
        agent_status=identity.agent_status,
        agent_pid=identity.agent_pid,
        is_running=_is_running(identity),
    )

"""What guards judge, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from thrum_kernel.api.callers import Caller, IdentityFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedCall:
    """What a guard is asked about.

    Attributes:
        kind: ``method`` before a mutating method; ``command`` before a guarded command; ``identity`` before an identity
            file is written; ``reclaim`` before an identity whose process is dead is taken over; ``bootstrap`` before
            ``init`` or a daemon's start; ``prime`` before a briefing is given.
        name: the method or command; for the others the agent or folder concerned.
        caller: who asks.
        params: parameters of the method; of a command ``args`` and what its environment tells (``tmux_pane``); of
            ``bootstrap`` the ``command`` and whether the folder ``is_git``.
        force: ``--force`` was given.
        identities: the identity files of the worktree that the caller stands in, by name; for ``identity`` the one that
            is to be written, as it will be.
    """

    kind: Literal["method", "command", "identity", "reclaim", "bootstrap", "prime"]
    name: str
    caller: Caller
    params: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False
    identities: tuple[IdentityFacts, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a guard says. The strictest of all guards counts: deny, then warn, then allow.

    Attributes:
        outcome: ``deny`` refuses with `reason`, ``warn`` lets it pass and tells, ``allow`` lets it pass.
        guard: id of the checkpoint, shown.
        reason: a stable word, e.g. ``pid_mismatch``.
        facts: further lines in the order to show them, label → text.
        hint: what to do next.
    """

    outcome: Literal["deny", "warn", "allow"]
    guard: str = ""
    reason: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""

"""``worktrees.list``: every worktree of the repository with who lives there. Source: spec/features.md §6.6, §13."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from thrum_worktrees import residents
from thrum_worktrees.git import shown
from thrum_worktrees.records import Listed
from thrum_worktrees.residents import Resident


class Row(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One worktree.

    ``branch`` is empty when detached, ``head`` the commit. ``agent`` is who lives there, the one that runs first;
    ``agents`` all of them where they are several. ``status`` is what ``agent`` says it is, ``active`` or ``offline``.
    ``missing``: its folder is gone, git still knows it.
    """

    path: str
    branch: str
    head: str
    agent: str = ""
    status: str = ""
    agents: list[str] = []
    missing: bool = False


def rows(worktrees: Sequence[Listed], everyone: Sequence[Resident]) -> list[Row]:
    """A row for each worktree that has files, the main one first."""
    return [_row(each, residents.at(everyone, each.path)) for each in worktrees if not each.is_bare]


def _row(worktree: Listed, living: Sequence[Resident]) -> Row:
    first = living[0] if living else None
    return Row(
        path=shown(str(worktree.path)),
        branch=worktree.branch,
        head=worktree.head,
        agent=first.name if first else "",
        status=first.status if first else "",
        agents=[each.name for each in living] if len(living) > 1 else [],
        missing=worktree.is_missing,
    )

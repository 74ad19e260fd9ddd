"""Names of worktrees, and what is made of them. Pure.

One rule for all worktrees: a name is one part of a path, of a branch and of a tmux session, whatever flags are given.
Source: spec/features.md §6.1, §6.2; spec/decisions.md "Worktrees".
"""

from __future__ import annotations

import re
from typing import Final

from thrum_kernel.errors import InvalidName

MOST_BYTES: Final = 100

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_JOB: Final = re.compile(r"[0-9A-Za-z_]+")


def check_part(name: str) -> str:
    """*name*, when it is one part of a path: of any worktree, whoever made it.

    Raises:
        InvalidName: it is not.
    """
    if "/" in name or "\\" in name or ".." in name or name == ".":
        raise InvalidName(
            f'invalid worktree name "{_shown(name)}": must not contain /, \\ or parent references'
        )
    if not name or "\0" in name:
        raise InvalidName(f'invalid worktree name "{_shown(name)}"', hint="thrum worktree list")
    return name


def check_name(name: str) -> str:
    """*name*, when a worktree may be called so.

    Raises:
        InvalidName: it may not.
    """
    check_part(name)
    if not _NAME.fullmatch(name):
        raise InvalidName(
            f'invalid worktree name "{_shown(name)}"',
            hint="use letters, digits, - _ and dots, and begin with a letter or digit",
        )
    if name.endswith((".", ".lock")):
        raise InvalidName(f'invalid worktree name "{_shown(name)}": git has no branches that end so')
    if len(name) > MOST_BYTES:
        raise InvalidName(f'invalid worktree name "{_shown(name)}": longer than {MOST_BYTES} characters')
    return name


def check_job(job: str) -> str:
    """*job*, when an ephemeral worktree may be for it.

    Raises:
        InvalidName: it may not.
    """
    if not _JOB.fullmatch(job) or len(job) > MOST_BYTES:
        raise InvalidName(f'invalid job "{_shown(job)}"', hint="use letters, digits and _")
    return job


def usual_branch(name: str) -> str:
    """The branch of a worktree when none is named."""
    return f"feature/{name}"


def ephemeral_name(agent: str, job: str, stamp: str) -> str:
    """The name of a worktree that lives as long as one job of an agent."""
    return f"{agent}-{job}-{stamp}"


def ephemeral_branch(agent: str, job: str, stamp: str) -> str:
    """Its branch."""
    return f"agent/{agent}/job-{job}-{stamp}"


def _shown(name: str) -> str:
    clean = "".join(sign if sign.isprintable() else "?" for sign in name)
    return clean if len(clean) <= MOST_BYTES else f"{clean[:MOST_BYTES]}…"

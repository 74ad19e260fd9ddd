"""What somebody who is no agent may have done to sessions.

A person who stands in a worktree of the project, with no runtime above them, is one the project belongs to: they make
worktrees and sessions for agents and start them, wherever those live. A runtime that is no agent here acts for the
worktree it stands in, no other.
"""

from __future__ import annotations

from pathlib import Path

from thrum_kernel.api import Caller
from thrum_kernel.errors import Refused


def check_standing(caller: Caller, root: Path | None) -> None:
    """Whether the caller may do something to a session of the worktree *root* (None: nobody knows which).

    Raises:
        Refused: it is nobody here, and stands elsewhere.
    """
    if caller.is_known or caller.is_person or caller.worktree == root:
        return
    raise Refused(
        f"you are no agent here, and {root or 'that'} is not the worktree you stand in",
        hint="register first (thrum quickstart --name NAME --role ROLE --module MODULE), or cd into it",
    )

"""A linked worktree that an agent is registered in without a set-up: its branch need not ignore our files."""

from __future__ import annotations

import logging
from pathlib import Path

from thrum_kernel.cli.setup import ignored_here
from thrum_kernel.cli.transaction import Transaction
from thrum_kernel.errors import ThrumError

_log = logging.getLogger(__name__)


def keep_from_git(worktree: Path, repo: Path) -> None:
    """Have git ignore the ``.thrum`` of *worktree*, as ``init`` there would; *repo* was set up by ``init`` itself.

    What cannot be written is logged: the registration counts all the same. Blocking.
    """
    if worktree == repo:
        return
    try:
        with Transaction() as transaction:
            for change in ignored_here(worktree):
                transaction.apply(change)
    except (OSError, ThrumError) as error:
        _log.warning("git may show %s as untracked: %s", worktree / ".thrum", error)

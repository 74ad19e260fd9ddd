"""What a copy of a project must not use: it was written by, and for, the daemon of the original.

The original's tables of this machine name its worktrees, processes, panes and jobs; used by two daemons, monitors
would run twice and files be written back into the original. The original still has them, so the copy begins with none.
The cache and the index may have been copied in the middle of a write; both are made anew from the log.

Source: DESIGN.md D1 "Which daemon", D3.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from thrum_kernel.paths import Paths
from thrum_kernel.settings.daemon_identity import is_copy

_log = logging.getLogger(__name__)

_OF_A_DATABASE: Final = ("", "-wal", "-shm", "-journal")


def begin_anew(paths: Paths) -> bool:
    """Remove what came along with a copy of a project whose original is still there; whether it is one.

    Before a new identity is recorded, so that a crash between finds the copy a copy again.

    Raises:
        OSError: something cannot be removed.
    """
    if not is_copy(paths):
        return False
    for database in (paths.local_db, paths.cache_db, paths.search_db):
        for suffix in _OF_A_DATABASE:
            Path(f"{database}{suffix}").unlink(missing_ok=True)
    for left in (paths.pid_file, paths.ws_port):
        left.unlink(missing_ok=True)
    _log.warning("this project is a copy: it begins without the tables, cache and index of the original")
    return True

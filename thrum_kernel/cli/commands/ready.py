"""What a command waits for when it has started the daemon itself."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from thrum_kernel import paths
from thrum_kernel.cli import autostart
from thrum_kernel.cli.command import Run
from thrum_kernel.cli.progress import Progress, bar_of

JOIN_S: Final = 120.0
"""How long `init` waits for the messages of the remote."""


FETCHING: Final = "fetching messages"


def until_ready(run: Run) -> None:
    """Return once the daemon has its cache; the progress of a rebuild is shown on standard error.

    Raises:
        ThrumError: the daemon cannot be asked.
    """
    with closing(_progress(run)) as progress:
        autostart.wait_until_projected(run.api, progress.tell, log=_log_of(run))


def until_joined(run: Run) -> dict[str, Any]:
    """Return once the daemon has exchanged with the remote for the first time, or failed; what ``sync.status`` says.

    Raises:
        ThrumError: the daemon cannot be asked.
    """
    begun, log = time.monotonic(), _log_of(run)
    with closing(_progress(run)) as progress:
        while True:
            autostart.wait_until_projected(run.api, progress.tell, log=log, patience_s=0.0)
            found: dict[str, Any] = run.call("sync.status")
            is_over = found.get("last_sync_at") or found.get("last_error") or found.get("local_only")
            waited_s = time.monotonic() - begun
            if is_over or waited_s > JOIN_S:
                return found
            if waited_s > autostart.PATIENCE_S:
                progress.tell(FETCHING)
            time.sleep(autostart.POLL_S)


def _log_of(run: Run) -> Path:
    return paths.find(run.inv.cwd, repo=run.inv.repo or None, env=run.inv.env).log


def _progress(run: Run) -> Progress:
    def say(text: str) -> None:
        run.out.note(text)
        run.out.flush()

    return Progress(say, bar=bar_of(2, run.inv.env), quiet=run.out.quiet)

"""What a command waits for when it has started the daemon itself."""

from __future__ import annotations

import time
from typing import Any, Final

from thrum_kernel.cli import autostart
from thrum_kernel.cli.command import Run

JOIN_S: Final = 120.0
"""How long `init` waits for the messages of the remote."""


def until_ready(run: Run) -> None:
    """Return once the daemon has its cache; the progress of a rebuild is told on standard error.

    Raises:
        ThrumError: the daemon cannot be asked.
    """

    def say(progress: str) -> None:
        run.out.note(progress)
        run.out.flush()

    autostart.wait_until_projected(run.api, say)


def until_joined(run: Run) -> dict[str, Any]:
    """Return once the daemon has exchanged with the remote for the first time, or failed; what ``sync.status`` says.

    Raises:
        ThrumError: the daemon cannot be asked.
    """
    deadline = time.monotonic() + JOIN_S
    while True:
        until_ready(run)
        found: dict[str, Any] = run.call("sync.status")
        is_over = found.get("last_sync_at") or found.get("last_error") or found.get("local_only")
        if is_over or time.monotonic() > deadline:
            return found
        time.sleep(autostart.POLL_S)

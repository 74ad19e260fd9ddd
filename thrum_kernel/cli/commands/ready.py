"""What a command waits for when it has started the daemon itself."""

from __future__ import annotations

from thrum_kernel.cli import autostart
from thrum_kernel.cli.command import Run


def until_ready(run: Run) -> None:
    """Return once the daemon has its cache; the progress of a rebuild is told on standard error.

    Raises:
        ThrumError: the daemon cannot be asked.
    """

    def say(progress: str) -> None:
        run.out.note(progress)
        run.out.flush()

    autostart.wait_until_projected(run.api, say)

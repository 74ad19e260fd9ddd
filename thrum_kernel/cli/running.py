"""From an outcome or an error to lines and an exit status, the same in the daemon and in process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from thrum_kernel.cli.app import HelpWanted
from thrum_kernel.cli.command import Outcome, Pending
from thrum_kernel.errors import ThrumError

if TYPE_CHECKING:
    from thrum_kernel.cli.output import Output

INTERRUPTED = 130


class InputNeeded(BaseException):
    """A command asked for bytes that only the client can read; it starts again when they are here.

    Attributes:
        path: the file that the caller named; None for standard input.
        max_bytes: how many at most.
    """

    def __init__(self, path: str | None, max_bytes: int) -> None:
        super().__init__(path, max_bytes)
        self.path = path
        self.max_bytes = max_bytes


def step(action: Callable[[], Outcome], out: Output) -> int | Pending:
    """One part of a command: its exit status, everything written, or the long answer it waits for.

    Raises:
        InputNeeded: it needs input first; what it wrote is forgotten.
    """
    try:
        outcome = action()
    except InputNeeded:
        out.discard()
        raise
    except HelpWanted as wanted:
        out.line(wanted.text)
        out.close()
        return 0
    except Exception as error:  # noqa: BLE001 - the last line of the command line
        return fail(error, out)
    if isinstance(outcome, Pending):
        out.flush()
        return outcome
    out.close()
    return outcome or 0


def fail(error: Exception, out: Output) -> int:
    """Print *error*; gives the exit status."""
    status = _report(error, out)
    out.close(failed=True)
    return status


def _report(error: Exception, out: Output) -> int:
    if isinstance(error, ThrumError):
        out.failure(error)
        return error.exit_code
    if type(error).__name__ == "Exit":  # typer.Exit, without importing Typer for it
        return int(getattr(error, "exit_code", 0))
    if type(error).__name__ == "Abort":
        out.error("aborted")
        return INTERRUPTED
    out.error(f"internal error: {type(error).__name__}: {error}", hint="thrum daemon logs")
    return 1

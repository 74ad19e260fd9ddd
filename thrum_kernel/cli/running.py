"""From an outcome or an error to lines and an exit status, the same in the daemon and in process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thrum_kernel.api import Api
from thrum_kernel.cli.app import HelpWanted
from thrum_kernel.cli.command import Outcome, Pending
from thrum_kernel.cli.hinting import AbortedByHint
from thrum_kernel.errors import ThrumError, UsageError, refused_by_system

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


def input_failure(path: str | None, error: OSError) -> UsageError:
    """Why a file (None: standard input) cannot be read."""
    told = f"cannot read {path or 'standard input'}: {error.strerror or error}"
    return UsageError(told, hint="name a file that you may read")


def too_long(path: str | None, max_bytes: int) -> UsageError:
    """A file (None: standard input) is longer than a command takes."""
    told = f"{path or 'standard input'} is longer than {max_bytes} bytes"
    return UsageError(told, hint="send a path to the file instead")


def checked(api: Api, argv: Sequence[str]) -> Api:
    """*api*, refusing words that are not UTF-8 if there are any among *argv*: only paths may be such."""
    return api if all(map(_is_unicode, argv)) else _UnicodeOnly(api)


class _UnicodeOnly:
    def __init__(self, api: Api) -> None:
        self._api = api

    def call(self, method: str, /, **params: Any) -> Any:
        for name, value in params.items():
            if not _is_unicode(value):
                raise UsageError(f"{name} is not valid UTF-8", hint="only paths may be other than UTF-8 text")
        return self._api.call(method, **params)


def _is_unicode(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, Mapping):
        return all(_is_unicode(part) for item in value.items() for part in item)
    return not isinstance(value, list | tuple) or all(map(_is_unicode, value))


def _report(error: Exception, out: Output) -> int:
    error = refused_by_system(error) or error
    if isinstance(error, AbortedByHint):
        out.abort("aborted by hint")
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

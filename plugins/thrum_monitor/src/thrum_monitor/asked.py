"""Whether a monitor can be what is asked for; every mistake is told before anything is made."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from thrum_kernel.errors import UsageError
from thrum_monitor.matching import BadPattern, Pattern
from thrum_monitor.model import StartParams
from thrum_monitor.schedule import BadSchedule, Schedule
from thrum_monitor.sessions import MARK

MIN_DEBOUNCE_S: Final = 30
MAX_DEBOUNCE_S: Final = 7 * 86400
MAX_ARGV_BYTES: Final = 64 * 1024
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SYNTAX: Final = "patterns are RE2, see https://github.com/google/re2/wiki/Syntax"
_FIELDS: Final = "five fields: minute hour day-of-month month day-of-week, e.g. '*/10 * * * *'"


def check_words(params: StartParams, *, schedule_of: Callable[[str], Schedule]) -> None:
    """Refuse what is wrong in itself.

    Args:
        schedule_of: reads a cron line.

    Raises:
        UsageError: names what is wrong.
    """
    check_name(params.name)
    _check_argv(params.argv)
    try:
        Pattern(params.match)
    except BadPattern as error:
        raise UsageError(f"invalid match pattern: {error}", hint=_SYNTAX) from error
    _check_times(params)
    _check_env(params.env)
    try:
        if params.schedule:
            schedule_of(params.schedule)
    except BadSchedule as error:
        raise UsageError(f"invalid schedule: {error}", hint=_FIELDS) from error
    if not params.target.removeprefix("@"):
        raise UsageError("the target is empty", hint="name the agent that gets the alarms: --to @agent")


def check_name(name: str) -> None:
    """Refuse a name that a monitor cannot have.

    Raises:
        UsageError: says why.
    """
    if not name:
        raise UsageError("the monitor name is empty", hint="name it: --name build-watcher")
    if not _NAME.fullmatch(name):
        shown = name if len(name) <= 64 else f"{name[:64]}…"
        raise UsageError(
            f'invalid monitor name "{shown}": only letters, digits, ".", "_" and "-" are allowed, 64 at most',
            hint="choose another name: --name build-watcher",
        )


def check_place(argv: Sequence[str], *, cwd: str, path: str) -> None:
    """Refuse a command that could not be started where it is to run; blocking.

    Raises:
        UsageError: the folder or the program is not there.
    """
    if not Path(cwd).is_absolute():
        raise UsageError(f"the cwd is no absolute path: {cwd}")
    if not Path(cwd).is_dir():
        raise UsageError(f"the cwd is no folder: {cwd}", hint="name the folder that it runs in: --cwd PATH")
    program = argv[0]
    if "/" in program:
        place = Path(cwd) / program
        if place.is_file() and os.access(place, os.X_OK):
            return
    elif shutil.which(program, path=_from(cwd, path)) is not None:
        return
    raise UsageError(
        f"there is no program {program}",
        hint="there is no shell: give the program and its arguments as they are, after --",
    )


def _from(cwd: str, path: str) -> str:
    """PATH as seen from *cwd*: its relative entries begin there."""
    return os.pathsep.join(str(Path(cwd) / entry) for entry in path.split(os.pathsep))


def _check_argv(argv: Sequence[str]) -> None:
    if not argv or not argv[0]:
        raise UsageError("there is no command", hint="give it after --, e.g. -- tail -F build.log")
    if any("\0" in word for word in argv):
        raise UsageError("the command holds a NUL byte")
    if sum(len(os.fsencode(word)) for word in argv) > MAX_ARGV_BYTES:
        raise UsageError(f"the command is longer than {MAX_ARGV_BYTES} bytes", hint="put it into a script")


def _check_times(params: StartParams) -> None:
    if params.debounce_seconds < MIN_DEBOUNCE_S:
        raise UsageError(f"debounce must be at least {MIN_DEBOUNCE_S} seconds")
    if params.debounce_seconds > MAX_DEBOUNCE_S:
        raise UsageError(f"debounce must be at most {MAX_DEBOUNCE_S // 86400} days")
    if params.timeout_seconds < 0:
        raise UsageError("the timeout is negative")
    if params.timeout_seconds and not params.schedule:
        raise UsageError("a timeout is for scheduled runs only", hint="give --schedule, too")


def _check_env(env: Mapping[str, str]) -> None:
    for name, value in env.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise UsageError(f'invalid variable "{name}"', hint="write it --env NAME=VALUE")
        if name == MARK:
            raise UsageError(f"{name} is set by thrum itself")

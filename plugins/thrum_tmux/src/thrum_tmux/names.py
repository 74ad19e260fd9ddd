"""Names of sessions and runtimes: one rule each, used wherever a name is given, shown or looked up."""

from __future__ import annotations

import re
from typing import Final

from thrum_kernel.errors import InvalidName, UsageError

MAX_NAME: Final = 128
_OTHER: Final = re.compile(r"[^A-Za-z0-9_-]")
_RUNTIME: Final = re.compile(r"[A-Za-z0-9_-]+")


def session_name(text: str) -> str:
    """*text* as the name of a session: every character outside ``[A-Za-z0-9_-]`` becomes ``-``.

    tmux itself turns ``.`` and ``:`` into ``_`` and reads them as separators in targets; a name made here means the
    same to tmux, to us and in ``session:window.pane``.

    Raises:
        InvalidName: nothing is left of it, it starts with ``-``, or it is too long.
    """
    name = _OTHER.sub("-", text)
    if not name.strip("-"):
        raise InvalidName(
            f'invalid session name "{text}": it needs a letter, a digit or _', hint="thrum tmux create NAME"
        )
    if name.startswith("-"):
        raise InvalidName(
            f'invalid session name "{text}": it may not start with -', hint=f"try {name.lstrip('-')}"
        )
    if len(name) > MAX_NAME:
        raise InvalidName(f'invalid session name "{text[:24]}…": {len(name)} characters, at most {MAX_NAME}')
    return name


def default_name(role: str, module: str) -> str:
    """The session of an agent for which nobody chose a name."""
    return session_name(f"{role}-{module}")


def check_runtime(name: str) -> None:
    """Refuse what no runtime is called: it would be typed as a command.

    Raises:
        UsageError: says so.
    """
    if not _RUNTIME.fullmatch(name):
        raise UsageError(f'invalid runtime name "{name}"', hint="thrum runtime list")

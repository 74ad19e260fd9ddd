"""What a command's environment is made of: a few of the daemon's variables, its PATH, what ``--env`` gave, the mark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from thrum_monitor.sessions import MARK

_KEPT: Final = (
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "XDG_RUNTIME_DIR",
)
"""Enough for ordinary programs; nothing that says which agent started it."""


def environment(
    daemon: Mapping[str, str], *, path: str, given: Mapping[str, str], run: str
) -> dict[str, str]:
    """The whole environment of one run."""
    kept = {name: daemon[name] for name in _KEPT if name in daemon}
    return {**kept, "PATH": path, **given, MARK: run}

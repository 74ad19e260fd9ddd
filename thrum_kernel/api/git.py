"""How git is run where nobody watches it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

GIT_SETTINGS: Final[Mapping[str, str]] = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.quotePath": "false",
    "color.ui": "false",
}
"""Configuration without which it would run a person's hooks and monitors, or dress its answer up."""


def quiet_git(settings: Mapping[str, str] = GIT_SETTINGS, *, only_looks: bool = False) -> dict[str, str]:
    """The part of git's environment that keeps it from asking, paging, and running what a configuration names.

    Args:
        settings: configuration for this one process: `GIT_SETTINGS`, and what else is wanted.
        only_looks: it takes no locks, and fetches nothing over the network.
    """
    found = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GIT_PAGER": "cat"}
    if only_looks:
        found |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}
    found["GIT_CONFIG_COUNT"] = str(len(settings))
    for number, (key, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found

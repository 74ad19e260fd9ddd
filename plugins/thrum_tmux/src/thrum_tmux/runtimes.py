"""Which runtime is launched, and the command that starts it. Source: spec/decisions.md "Worktrees, tmux, …"."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any, Final

import psutil

from thrum_kernel.api import PluginContext, RuntimePreset
from thrum_kernel.errors import ThrumError, UsageError

SHELL: Final = "shell"
DEFAULT: Final = "claude"


def check_known(name: str, presets: Sequence[RuntimePreset], *, running: int) -> None:
    """Refuse a runtime that no plugin declares and that is no program either: it could not be started. Blocking.

    Args:
        running: a process of the same terminal, whose ``PATH`` counts as well as ours; 0: there is none.

    Raises:
        UsageError: it is neither.
    """
    known = [preset.name for preset in presets]
    if name in (SHELL, *known) or any(shutil.which(name, path=path) for path in _paths(running)):
        return
    raise UsageError(
        f'unknown runtime "{name}", and no program is called so', hint=f"known: {', '.join(known)}"
    )


def _paths(running: int) -> list[str]:
    try:
        theirs = psutil.Process(running).environ().get("PATH", "") if running else ""
    except (psutil.Error, OSError):
        theirs = ""
    return [os.environ.get("PATH", os.defpath), theirs]


def preset_of(name: str, presets: Sequence[RuntimePreset]) -> RuntimePreset:
    """A runtime's preset; of an unknown one the name is the command."""
    return next(
        (preset for preset in presets if preset.name == name),
        RuntimePreset(name=name, display_name=name, command="" if name == SHELL else name),
    )


def launchable(name: str, presets: Sequence[RuntimePreset]) -> RuntimePreset:
    """As `preset_of`, of a runtime that can be started by typing a command, or is the shell that is there.

    Raises:
        UsageError: it is declared without a command: its programs are started by hand.
    """
    preset = preset_of(name, presets)
    if name != SHELL and not preset.command:
        raise UsageError(
            f'runtime "{name}" has no command that could be launched',
            hint="name one that has: --runtime NAME (thrum runtime list); --runtime shell launches nothing",
        )
    return preset


def command_of(preset: RuntimePreset) -> str:
    """What is typed to start it; empty for a shell, which is there."""
    return "" if preset.name == SHELL else preset.command or preset.name


async def chosen(ctx: PluginContext, *, asked: str, preferred: str, callers: str) -> str:
    """The first there is: asked for, the identity's, the caller's, the configured one, ``claude``."""
    for name in (asked, preferred, callers):
        if name:
            return name
    return await _configured(ctx) or DEFAULT


async def _configured(ctx: PluginContext) -> str:
    """``runtime.primary``; empty when nothing is."""
    try:
        shown: dict[str, Any] = await ctx.call("config.show")
    except ThrumError:
        return ""
    value = shown.get("runtime", {})
    primary = value.get("primary", {}) if isinstance(value, dict) else {}
    found = primary.get("value", "") if isinstance(primary, dict) else primary
    return found if isinstance(found, str) else ""

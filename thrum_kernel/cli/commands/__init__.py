"""The kernel's commands, a module a subject; each module's ``register(root)`` adds its own to the tree."""

from __future__ import annotations

from collections.abc import Callable

from thrum_kernel.cli.command import Group
from thrum_kernel.cli.commands import (
    agents,
    claude_md,
    configs,
    contexts,
    daemons,
    doctoring,
    initializing,
    logs,
    migrating,
    orientation,
    plugins,
    priming,
    purging,
    quickstarting,
    reading,
    sending,
    sessions,
    teams,
    threads,
)

REGISTRARS: tuple[Callable[[Group], None], ...] = (
    initializing.register,
    quickstarting.register,
    orientation.register,
    priming.register,
    sending.register,
    reading.register,
    threads.register,
    agents.register,
    sessions.register,
    teams.register,
    contexts.register,
    purging.register,
    migrating.register,
    configs.register,
    claude_md.register,
    daemons.register,
    doctoring.register,
    plugins.register,
    logs.register,
)
"""In the order of the help text."""

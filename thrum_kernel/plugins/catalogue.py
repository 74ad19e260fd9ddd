"""The first-party plugins that may be missing: who would add a method or a command that nobody here knows."""

from __future__ import annotations

from typing import Final

METHODS: Final = {
    "backup": "thrum-backup",
    "guard": "thrum-guards",
    "mcp": "thrum-mcp",
    "monitor": "thrum-monitor",
    "pair": "thrum-peers",
    "peer": "thrum-peers",
    "permission": "thrum-permissions",
    "queue": "thrum-queue",
    "role": "thrum-roles",
    "roles": "thrum-roles",
    "runtime": "thrum-runtimes",
    "runtimes": "thrum-runtimes",
    "telegram": "thrum-telegram",
    "tmux": "thrum-tmux",
    "tsync": "thrum-peers",
    "worktree": "thrum-worktrees",
    "worktrees": "thrum-worktrees",
}
"""Namespace → distribution."""

COMMANDS: Final = {
    **{word: name for word, name in METHODS.items() if word not in ("guard", "pair", "role", "tsync")},
    "permissions": "thrum-permissions",
}
"""First word of a command → distribution."""

RESERVED: Final = frozenset(
    {
        "kernel",
        "plugin",
        "plugins",
        "thrum",
        *METHODS,
        *COMMANDS,
        *(each.removeprefix("thrum-") for each in METHODS.values()),
    }
)
"""Names that no plugin of somebody else's has: of our distributions, and of what they would add."""

_EXACT: Final = {"tmux.queue": "thrum-queue", "sync.pull": "thrum-peers"}


def provider_of_method(method: str) -> str | None:
    """The distribution that would add *method*; None when we know of none."""
    for name, distribution in _EXACT.items():
        if method == name or method.startswith((f"{name}.", f"{name}-")):
            return distribution
    return METHODS.get(method.partition(".")[0])


def provider_of_command(word: str) -> str | None:
    """The distribution that would add the command that starts with *word*."""
    return COMMANDS.get(word)

"""Which commands are judged, which only get a banner, and which are left alone.

Source: spec/features.md §10, "CLI categories".
"""

from __future__ import annotations

from typing import Final, Literal

Category = Literal["guarded", "diagnostic", "prime-path", "bypass"]

PRIME_PATH: Final = frozenset({"init", "quickstart", "prime"})
"""How an identity comes to be: each has checkpoints of its own."""

BYPASS: Final = frozenset({"version", "help", "completion", "__complete"})

DIAGNOSTIC: Final = frozenset(
    {
        "agent list",
        "agent whoami",
        "backup status",
        "peer status",
        "sync status",
        "team daemons",
        "team local",
        "telegram status",
        "tmux status",
        "whoami",
    }
)
"""They show what is wrong, so they say so above their answer and go on."""

DIAGNOSTIC_WORDS: Final = frozenset({"config", "daemon", "doctor", "plugin"})
"""First words of commands with which one looks into, and mends, what refuses."""


def category(command: str) -> Category:
    """The category of a command by its words, e.g. ``agent list``."""
    first = command.partition(" ")[0]
    if first in BYPASS:
        return "bypass"
    if command in PRIME_PATH:
        return "prime-path"
    if command in DIAGNOSTIC or first in DIAGNOSTIC_WORDS:
        return "diagnostic"
    return "guarded"

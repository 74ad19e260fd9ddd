"""The briefing's section of commands: only what the command tree has, plugins' commands included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command of the tree.

    Attributes:
        words: after ``thrum``.
        help: one line.
        owner: the plugin that adds it; empty for the kernel.
    """

    words: tuple[str, ...]
    help: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """How an agent uses a command most.

    Attributes:
        line: as it is typed.
        help: what it does.
        words: the command it needs.
        is_messaging: not for an agent that works alone.
    """

    line: str
    help: str
    words: tuple[str, ...] = field(default=())
    is_messaging: bool = True


USAGES: Final = (
    Usage("thrum inbox --unread", "what you have not read", ("inbox",)),
    Usage("thrum inbox", "your messages; marks what it shows as read", ("inbox",)),
    Usage('thrum send "TEXT" --to @agent', "write to an agent; --to @everyone to all", ("send",)),
    Usage('thrum reply MSG_ID "TEXT"', "answer its author and everybody it was addressed to", ("reply",)),
    Usage("thrum sent", "what you sent, and how far it came", ("sent",)),
    Usage("thrum wait --timeout 10m", "block until a message comes", ("wait",)),
    Usage("thrum team", "who is here, and what they do", ("team",)),
    Usage("thrum who-has FILE", "who edits a file", ("who-has",)),
    Usage("thrum status", "who you are here, and how much mail waits", ("status",), is_messaging=False),
    Usage(
        'thrum agent set-intent "TEXT"', "say what you are doing", ("agent", "set-intent"), is_messaging=False
    ),
    Usage(
        "thrum agent set-status blocked",
        "working, idle, blocked or stuck",
        ("agent", "set-status"),
        is_messaging=False,
    ),
    Usage(
        "thrum context save --file NOTES.md",
        "keep notes for your next session",
        ("context", "save"),
        is_messaging=False,
    ),
    Usage("thrum prime", "this briefing again", ("prime",), is_messaging=False),
)
"""What every agent should know, in the order shown."""


def shown(entries: Iterable[CommandEntry], *, alone: bool) -> list[tuple[str, str]]:
    """Commands with what they do: the usual ones that exist, then those of plugins.

    Args:
        alone: the agent works alone: messaging is left out.
    """
    known = list(entries)
    exists = {entry.words for entry in known}
    usual = [
        (usage.line, usage.help)
        for usage in USAGES
        if usage.words in exists and not (alone and usage.is_messaging)
    ]
    return usual + _of_plugins(known)


def _of_plugins(entries: list[CommandEntry]) -> list[tuple[str, str]]:
    """One line for each word that plugins add, with the commands below it."""
    below: dict[str, list[CommandEntry]] = {}
    for entry in entries:
        if entry.owner:
            below.setdefault(entry.words[0], []).append(entry)
    lines = []
    for noun, commands in below.items():
        if len(commands) == 1:
            lines.append((f"thrum {' '.join(commands[0].words)}", commands[0].help))
        else:
            names = ", ".join(" ".join(entry.words[1:]) for entry in commands if entry.words[1:])
            lines.append((f"thrum {noun} …", names))
    return lines

"""Which processes are AI runtimes, by the names they run under.

A runtime is known by the name of its process, by the name it was started as, or, when an interpreter runs it, by the
script. Presets of plugins add names.

Source: spec/features.md §11.3 (where ``kiro-cli`` became ``kiro``; here it keeps the name of its preset, §15 item 10).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

RUNTIMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "claude": "claude",
        "opencode": "opencode",
        ".opencode": "opencode",
        "aider": "aider",
        "codex": "codex",
        "cursor-agent": "cursor",
        "agent": "cursor",
        "gemini": "gemini",
        "auggie": "auggie",
        "amp": "amp",
        "kiro-cli": "kiro-cli",
    }
)
"""Process name → name of the preset."""

_INTERPRETERS: Final = ("node", "bun", "deno", "python", "ruby")
_RETITLED: Final = frozenset({"MainThread", "node-MainThread"})
_TOO_COMMON_FOR_A_SCRIPT: Final = frozenset({"agent"})


def runtime_of(comm: str, argv: Sequence[str] = (), *, names: Mapping[str, str] = RUNTIMES) -> str:
    """The runtime that a process is; empty when it is none.

    Args:
        comm: the kernel's name of the process (at most 15 characters on Linux) or a path to its program.
        argv: its arguments, the name it was started as first; only the leading ones matter.
        names: the table to use: `RUNTIMES` with what presets add.
    """
    found = names.get(_base(comm))
    if found or not argv:
        return found or ""
    started_as = _base(argv[0])
    found = names.get(started_as)
    if found:
        return found
    if is_interpreter(comm) or is_interpreter(started_as):
        script = _script(argv[1:])
        return "" if script in _TOO_COMMON_FOR_A_SCRIPT else names.get(script, "")
    return ""


def is_interpreter(name: str) -> bool:
    """Whether a process of this name may be running a runtime's script."""
    base = _base(name)
    return base in _RETITLED or base.startswith(_INTERPRETERS)


def _script(arguments: Sequence[str]) -> str:
    """Name of the script or module that an interpreter was told to run."""
    words = iter(arguments)
    for word in words:
        if word == "-m":
            return next(words, "").partition(".")[0]
        if word in ("-c", "-e", "--eval", "-p"):
            return ""
        if not word.startswith("-"):
            return _base(word).removesuffix(".js").removesuffix(".mjs").removesuffix(".py")
    return ""


def _base(path: str) -> str:
    return path.rpartition("/")[2].lstrip("-") if path.startswith("-") else path.rpartition("/")[2]

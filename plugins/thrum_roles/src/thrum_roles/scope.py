"""What an agent may change, as the saved answers say it for its role; a section at the end of its role text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_KNOWN: Final[Mapping[str, str]] = {
    "worktree": (
        "You may change files below `{WorktreePath}`, your own worktree, and nowhere else. Whatever must change"
        " outside it, ask the agent who lives there or @{CoordinatorName} for."
    ),
    "module": (
        "You may change what belongs to the module `{Module}`, in your own worktree `{WorktreePath}`. For a change in"
        " another module ask whoever has it (`thrum who-has FILE`, `thrum team`) or @{CoordinatorName}."
    ),
    "repository": (
        "You may change any file of the repository, in your own worktree `{WorktreePath}`. Before you touch what"
        " another agent is working on (`thrum who-has FILE`), agree with that agent."
    ),
    "read-only": (
        "You change no file of the project. Reading, running what changes nothing, and writing messages and your own"
        " notes is all you do; what should change, you report to @{CoordinatorName}."
    ),
}
NAMES: Final = tuple(_KNOWN)
"""The words that stand for a whole sentence; any other text is taken as it is."""


def section(scope: str, fields: Mapping[str, str]) -> str:
    """The section about *scope*; empty when nothing was answered.

    Args:
        scope: one of `NAMES`, or what may be changed in somebody's own words.
        fields: values of the template's fields.
    """
    if not scope:
        return ""
    if scope == "module" and not fields["Module"]:
        scope = "worktree"
    known = _KNOWN.get(scope)
    if known is not None:
        return f"## Scope\n\n{known.format_map(fields)}\n"
    end = "" if scope.endswith((".", "!", "?")) else "."
    return f"## Scope\n\nWhat you may change: {scope}{end} For anything beyond it ask @{fields['CoordinatorName']} first.\n"

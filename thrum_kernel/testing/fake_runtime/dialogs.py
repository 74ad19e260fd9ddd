"""The questions that the program may ask instead of showing its prompt, as rows and as what its keys answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Dialog:
    """A question.

    Attributes:
        rows: what is shown; the one that holds ``❯`` is chosen.
        answers: by key, what it answers; ``Enter`` takes the chosen row.
    """

    rows: tuple[str, ...]
    answers: Mapping[str, str]


DIALOGS: Final[Mapping[str, Dialog]] = MappingProxyType(
    {
        "tool_confirmation": Dialog(
            (
                " Bash command",
                "",
                "   make test",
                "   Run the tests",
                "",
                " Do you want to proceed?",
                " ❯ 1. Yes",
                "   2. Yes, and don't ask again for make commands",
                "   3. No, and tell the agent what to do differently (esc)",
            ),
            {"1": "yes", "2": "always", "3": "no", "Escape": "no", "Enter": "yes"},
        ),
        "trust": Dialog(
            (
                " Quick safety check: do you trust this folder?",
                "",
                " ❯ 1. Yes, I trust this folder",
                "   2. No, exit",
                "",
                " Enter to confirm · Esc to cancel",
            ),
            {"1": "yes", "2": "no", "Escape": "no", "Enter": "yes"},
        ),
        "selection": Dialog(
            (
                " Which model shall be used?",
                "",
                "   1. Small",
                " ❯ 2. Medium",
                "   3. Large",
            ),
            {"1": "small", "2": "medium", "3": "large", "Escape": "", "Enter": "medium"},
        ),
    }
)
"""By name, as the preset calls them."""

"""What screens of several runtimes have in common, as patterns of a preset.

How each key of ``prompt`` is used, `thrum_kernel.api.RuntimePreset` says. Where a pattern could find too much or too
little it finds too much: then nothing is typed. Source: spec/features.md §4.2, §4.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TRUST: Final = r"(?is)trust.{0,400}\b1\. (?:yes|trust).{0,400}\b2\. |\b1\. yes.{0,400}\b2\. no.{0,400}trust"
"""May this folder be worked in?"""

SELECTION: Final = r"^[ │┃]*[❯›▶▸●] \[?\d\]?\.? .*\n(?:.*\n){0,3}?[ │┃]*\[?\d\]?\.? |^[ │┃]*\[?\d\]?\.? .*\n(?:.*\n){0,3}?[ │┃]*[❯›▶▸●] \[?\d\]?\.? "
"""Numbered options with a sign at one of them."""


PASTED: Final = r"\[Pasted .*\]"
"""A long text that was pasted, as several runtimes show it: ``[Pasted text #1 +12 lines]``."""


def dialogs(**known: str) -> Mapping[str, str]:
    """The dialogs of a runtime: those it is *known* for, then what any may ask."""
    return {**known, "trust": TRUST, "selection": SELECTION}


def framed(sign: str, *, indent: str = "", corners: str = "╭╮╰╯", placeholder: str = "") -> Mapping[str, str]:
    """A prompt in a frame.

    Args:
        sign: pattern of what stands before the text, with its blank; empty where there is none.
        indent: what stands left of the frame.
        corners: of the frame, upper left, upper right, lower left, lower right.
        placeholder: pattern of what an empty box says.
    """
    upper_left, upper_right, lower_left, lower_right = tuple(corners)
    return {
        "line": rf"^{indent}│ {sign}(?P<text>.*?) *│$",
        "more": rf"^{indent}│ (?P<text>.*?) *│$",
        "above": rf"^{indent}{upper_left}─.*{upper_right}$",
        "below": rf"^{indent}{lower_left}─.*{lower_right}$",
        "pasted": PASTED,
        **({"placeholder": placeholder} if placeholder else {}),
    }

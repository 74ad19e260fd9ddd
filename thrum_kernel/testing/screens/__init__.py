"""Screens of runtimes as data, one folder a runtime, each with what a reader must make of it.

A file begins with lines ``name: value`` up to a line ``---``; what follows are the rows from the top, without the empty
ones at the end and without blanks at the end of a row, as tmux captures them.

- ``owner``: who gets the next key, ``prompt``, ``dialog``, ``busy`` (no prompt box while it works) or ``unknown``
- ``dialog``: the name of the dialog in the runtime's preset
- ``text``: what a person typed into the prompt box, ``\\n`` between its lines; none: the box is empty
- ``busy``: ``yes`` when the runtime works
- ``cursor``: column and row, from 0 · ``size``: columns and rows of the window

Drawn by us after descriptions (spec/features.md §4.2, §11); no screen is copied from a program.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, cast

Owner = Literal["prompt", "dialog", "busy", "unknown"]


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen; see the head of this module.

    Attributes:
        rows: as many as the window has.
    """

    runtime: str
    name: str
    owner: Owner
    rows: tuple[str, ...]
    cursor: tuple[int, int]
    size: tuple[int, int]
    text: str = ""
    dialog: str = ""
    is_busy: bool = False


def runtimes() -> list[str]:
    """The runtimes that there are screens of, sorted."""
    folders = (entry for entry in files(__name__).iterdir() if entry.is_dir())
    return sorted(entry.name for entry in folders if not entry.name.startswith("__"))


def screens(runtime: str) -> list[Screen]:
    """The screens of one runtime, by name."""
    folder = files(__name__).joinpath(runtime)
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".txt"))
    return [
        parsed(runtime, entry.name.removesuffix(".txt"), entry.read_text("utf-8"))
        for entry in sorted(found, key=lambda entry: entry.name)
    ]


def parsed(runtime: str, name: str, text: str) -> Screen:
    """The screen that a file says.

    Raises:
        ValueError, KeyError: it is not written as the head of this module tells.
    """
    head, _, body = text.partition("---\n")
    told = dict(line.split(": ", 1) for line in head.splitlines())
    columns, lines = (int(word) for word in told["size"].split())
    rows = body.splitlines()
    if len(rows) > lines:
        raise ValueError(f"{runtime}/{name} has more rows than its window")
    x, y = (int(word) for word in told.get("cursor", f"0 {lines - 1}").split())
    return Screen(
        runtime=runtime,
        name=name,
        owner=cast("Owner", told["owner"]),
        rows=tuple(rows + [""] * (lines - len(rows))),
        cursor=(x, y),
        size=(columns, lines),
        text=told.get("text", "").replace("\\n", "\n"),
        dialog=told.get("dialog", ""),
        is_busy=told.get("busy") == "yes",
    )

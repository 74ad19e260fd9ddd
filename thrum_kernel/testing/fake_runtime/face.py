"""How the program looks: rows and cursor from what it is about. No I/O.

Three faces, as agents have them: ``rule`` (a prompt between two lines, a hard blank behind its sign), ``box`` (a frame around it) and ``bare`` (a sign
and the text). The window's title can carry the truth for a test (`Scene.truth`), which no reader of screens sees.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field
from typing import Final, Literal

from thrum_kernel.testing.fake_runtime.dialogs import DIALOGS

Face = Literal["rule", "box", "bare"]
FACES: Final[tuple[Face, ...]] = ("rule", "box", "bare")

Owner = Literal["starting", "prompt", "busy", "dialog"]
"""Who gets the next key: nobody yet, the prompt box, nobody while it works (without a prompt), a dialog."""

SPINNER: Final = "✻✳✢·"
TRUTH: Final = "truth "


@dataclass(slots=True)
class Scene:
    """Everything that is shown.

    Attributes:
        said: the conversation, a row each; the last ones that fit are shown.
        draft, at: what stands in the prompt box, and the cursor in it.
        placeholder: shown in the box while that is empty.
        working_s: seconds it has worked for; negative while it is idle.
        verb: what it does while it works.
        shows_prompt: the prompt box is there (also while it works, if it takes input then).
        dialog: name of the question it asks; empty when none.
        frame: counts what was drawn.
    """

    face: Face = "rule"
    said: list[str] = field(default_factory=list)
    draft: str = ""
    at: int = 0
    placeholder: str = ""
    working_s: float = -1.0
    verb: str = "Working"
    shows_prompt: bool = True
    dialog: str = ""
    footer: str = "  ? for shortcuts"
    frame: int = 0

    @property
    def owner(self) -> Owner:
        """Who gets the next key."""
        if self.dialog:
            return "dialog"
        if self.shows_prompt:
            return "prompt"
        return "busy" if self.working_s >= 0 else "starting"

    @property
    def truth(self) -> str:
        """The title for tests: frame, owner, and the draft."""
        return f"{TRUTH}{self.frame} {self.owner} {json.dumps(self.draft, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A screen: rows from the top, and the cursor ``(x, y)``; None hides it."""

    rows: tuple[str, ...]
    cursor: tuple[int, int] | None


def draw(scene: Scene, columns: int, lines: int) -> Drawn:
    """The screen of *scene* in a window of this size; what does not fit is left out at the top."""
    lower, cursor = _lower(scene, columns)
    lower = lower[-lines:]
    room = lines - len(lower)
    said = [piece for row in scene.said for piece in _wrapped(row, columns)][-room:] if room else []
    rows = [_cut(row, columns) for row in (*said, *lower)]
    rows += [""] * (lines - len(rows))
    if cursor is None:
        return Drawn(tuple(rows), None)
    x, from_end = cursor
    y = len(said) + len(lower) - from_end
    return Drawn(tuple(rows), (min(x, columns - 1), max(0, y)))


def _lower(scene: Scene, columns: int) -> tuple[list[str], tuple[int, int] | None]:
    """What stands below the conversation, and the cursor: x, and rows counted from the end."""
    if scene.dialog:
        return ["", "─" * columns, *DIALOGS[scene.dialog].rows], None
    rows = [""]
    if scene.working_s >= 0:
        sign = SPINNER[int(scene.working_s * 8) % len(SPINNER)]
        rows += [f"{sign} {scene.verb}… ({int(scene.working_s)}s · esc to interrupt)", ""]
    if not scene.shows_prompt:
        return [*rows, "" if scene.working_s >= 0 else " Starting"], None
    box, (x, y) = _box(scene, columns)
    return [*rows, *box], (x, len(box) - y)


def _box(scene: Scene, columns: int) -> tuple[list[str], tuple[int, int]]:
    """The rows of the prompt box, and the cursor in them."""
    above, below, side = {
        "rule": ("─" * columns, "─" * columns, ""),
        "box": (f"╭{'─' * (columns - 2)}╮", f"╰{'─' * (columns - 2)}╯", "│ "),
        "bare": ("", "", ""),
    }[scene.face]
    sign = {"rule": "❯\xa0", "box": "> ", "bare": "› "}[scene.face]
    width = max(1, columns - len(sign) - 2 * len(side))
    content = _wrapped(scene.draft or scene.placeholder, width)
    before = _wrapped(scene.draft[: scene.at], width)
    inner = [f"{sign if not number else ' ' * len(sign)}{row}" for number, row in enumerate(content)]
    if side:
        inner = [f"{side}{_padded(row, columns - 2 * len(side))}{side[::-1]}" for row in inner]
    x = len(side) + len(sign) + _cells(before[-1])
    return [above, *inner, below, scene.footer], (x, len(before))


def _wrapped(text: str, columns: int) -> list[str]:
    """*text* in rows of at most so many cells."""
    rows = [""]
    for sign in text:
        if sign == "\n":
            rows.append("")
            continue
        if _cells(rows[-1]) + _cells(sign) > columns:
            rows.append("")
        rows[-1] += sign
    return rows


def _cut(row: str, columns: int) -> str:
    return _wrapped(row, columns)[0]


def _padded(row: str, columns: int) -> str:
    return row + " " * max(0, columns - _cells(row))


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)

"""What of our line stands in a prompt box, and what has to be erased for it to stand there whole or not at all.

Pure.
"""

from __future__ import annotations

from typing import Final

from thrum_tmux.pane import Look
from thrum_tmux.screen.reading import squeezed

SHOWN: Final = 12
"""Characters at the end of a line that have to show before Enter, where no prompt box shows it whole."""


def is_whole(text: str, line: str) -> bool:
    """Whether *text* is our line, however the box wraps it."""
    return squeezed(text) == squeezed(line)


def shows_end(look: Look, line: str) -> bool:
    """Whether the end of *line* is somewhere on the screen, however it is wrapped."""
    return squeezed(line)[-SHOWN:] in squeezed("".join(look.lines))


def surplus(text: str, line: str) -> int:
    """How many characters to erase from the end of the box; 0 when what stands there is not ours alone.

    A part of our line is erased; of our line that came twice, because the first came late, the second one.
    """
    ours, found = squeezed(line), squeezed(text)
    if not found or found == ours:
        return 0
    if found.startswith(ours) and ours.startswith(found[len(ours) :]):
        return len(line) - _lost(found[len(ours) :], line)
    return _length(found, line) if found in ours else 0


def _length(found: str, line: str) -> int:
    """Characters of the shortest piece of *line* that reads *found* without its blanks."""
    places = [at for at, sign in enumerate(line) if not sign.isspace()]
    begin = squeezed(line).find(found)
    return places[begin + len(found) - 1] - places[begin] + 1


def _lost(found: str, line: str) -> int:
    """Characters at the end of *line* that did not come, when only *found* of it did."""
    return len(line) - _length(found, line)

"""Commands of tmux as words, and how they are written for control mode and for its own command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

Words = Sequence[str]
"""One command of tmux: its name, then its arguments."""

_ESCAPED: Final = {
    "\\": "\\\\",
    '"': '\\"',
    "$": "\\$",
    "~": "\\~",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\x1b": "\\e",
}


def line(commands: Iterable[Words]) -> str:
    """Commands in a row as one line of control mode; the first that fails ends the row."""
    return " ; ".join(" ".join(map(quoted, words)) for words in commands)


def quoted(word: str) -> str:
    """A word that tmux's parser reads as exactly *word*.

    Raises:
        ValueError: it holds a character that no command can.
    """
    if any(character < " " and character not in _ESCAPED for character in word):
        raise ValueError("a control character cannot stand in a command")
    # Within double quotes a brace, a hash, a semicolon and a percent sign mean themselves.
    return '"' + "".join(_ESCAPED.get(character, character) for character in word) + '"'


def arguments(commands: Iterable[Words]) -> list[str]:
    """Commands in a row as arguments of the program ``tmux``."""
    found: list[str] = []
    for words in commands:
        found += [";"] if found else []
        found += [_plain(word) for word in words]
    return found


def _plain(word: str) -> str:
    """A last semicolon would end the command."""
    return f"{word[:-1]}\\;" if word.endswith(";") else word

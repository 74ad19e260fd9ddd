"""What a terminal hands to a program, told apart: text, pastes and keys. No I/O.

Names of keys are tmux's (``Enter``, ``Escape``, ``BSpace``, ``C-u``), so that a record reads like what was sent.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Final, Literal

_PASTE_BEGINS: Final = b"\x1b[200~"
_PASTE_ENDS: Final = b"\x1b[201~"
_SEQUENCES: Final = {
    b"\x1b[A": "Up",
    b"\x1b[B": "Down",
    b"\x1b[C": "Right",
    b"\x1b[D": "Left",
    b"\x1b[H": "Home",
    b"\x1b[F": "End",
    b"\x1b[1~": "Home",
    b"\x1b[4~": "End",
    b"\x1b[3~": "DC",
    b"\x1b[Z": "BTab",
    b"\x1bOA": "Up",
    b"\x1bOB": "Down",
    b"\x1bOC": "Right",
    b"\x1bOD": "Left",
}
_CONTROLS: Final = {0x0D: "Enter", 0x09: "Tab", 0x7F: "BSpace", 0x08: "BSpace", 0x1B: "Escape"}


@dataclass(frozen=True, slots=True)
class Stroke:
    """One thing that came in.

    Attributes:
        kind: ``text`` a run of characters that came together, ``paste`` what came between the marks of a bracketed
            paste, ``key`` a named key.
        what: the text, or the name.
    """

    kind: Literal["text", "paste", "key"]
    what: str


class Decoder:
    """Bytes in, strokes out; a paste or a character that is not whole yet waits for the rest."""

    def __init__(self) -> None:
        self._waiting = b""
        self._text = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> list[Stroke]:
        """The strokes that *data* completes, in order."""
        data, self._waiting = self._waiting + data, b""
        strokes: list[Stroke] = []
        while data:
            data = self._one(data, strokes)
        return strokes

    def _one(self, data: bytes, strokes: list[Stroke]) -> bytes:
        """Take the first stroke off *data*; gives the rest."""
        if data.startswith(_PASTE_BEGINS):
            end = data.find(_PASTE_ENDS)
            if end < 0:
                self._waiting = data
                return b""
            pasted = data[len(_PASTE_BEGINS) : end].decode("utf-8", "replace").replace("\r", "\n")
            strokes.append(Stroke("paste", pasted))
            return data[end + len(_PASTE_ENDS) :]
        for sequence, name in _SEQUENCES.items():
            if data.startswith(sequence):
                strokes.append(Stroke("key", name))
                return data[len(sequence) :]
        if data[0] < 0x20 or data[0] == 0x7F:
            strokes.append(Stroke("key", _CONTROLS.get(data[0]) or f"C-{chr(data[0] + 0x60)}"))
            return data[1:]
        length = next((at for at, byte in enumerate(data) if byte < 0x20 or byte == 0x7F), len(data))
        if text := self._text.decode(data[:length]):
            strokes.append(Stroke("text", text))
        return data[length:]

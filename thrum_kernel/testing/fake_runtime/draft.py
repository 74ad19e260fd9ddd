"""The text in a prompt box and where its cursor stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Draft:
    """What stands in the box.

    Attributes:
        at: the cursor, in characters from the start.
    """

    text: str = ""
    at: int = 0

    def set(self, text: str) -> None:
        """Let *text* stand there, the cursor behind it."""
        self.text, self.at = text, len(text)

    def insert(self, text: str) -> None:
        """Put *text* in at the cursor."""
        self.text = self.text[: self.at] + text + self.text[self.at :]
        self.at += len(text)

    def take(self) -> str:
        """The text; the box is empty then."""
        text = self.text
        self.set("")
        return text

    def press(self, key: str) -> bool:
        """Edit with a key; whether it is one that edits."""
        if key == "BSpace":
            self.text = self.text[: max(0, self.at - 1)] + self.text[self.at :]
            self.at = max(0, self.at - 1)
        elif key == "DC":
            self.text = self.text[: self.at] + self.text[self.at + 1 :]
        elif key == "C-u":
            self.text, self.at = self.text[self.at :], 0
        elif key == "C-j":
            self.insert("\n")
        elif key in ("Left", "Right"):
            self.at = min(len(self.text), max(0, self.at + (1 if key == "Right" else -1)))
        elif key in ("Home", "C-a", "End", "C-e"):
            self.at = 0 if key in ("Home", "C-a") else len(self.text)
        else:
            return False
        return True

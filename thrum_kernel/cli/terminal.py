"""The terminal of a command that runs in its caller's own process: asked line by line, for wizards and prompts."""

from __future__ import annotations

import os
from typing import Final

_PIECE: Final = 4096


class Terminal:
    """Standard input and output where both are a terminal; implements `briefing.wizard.Terminal`."""

    @classmethod
    def here(cls) -> Terminal | None:
        """The terminal of this process; None when its input or output is something else."""
        try:
            return cls() if os.isatty(0) and os.isatty(1) else None
        except OSError:
            return None

    def tell(self, text: str) -> None:
        """Show *text* now, as it is."""
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(1, data) :]

    def ask(self, prompt: str) -> str:
        """The line typed after *prompt*, without its end.

        Raises:
            EOFError: the terminal was closed, or Ctrl-D typed.
            KeyboardInterrupt: Ctrl-C.
        """
        self.tell(prompt)
        line = b""
        while not line.endswith(b"\n"):
            piece = os.read(0, _PIECE)
            if not piece:
                raise EOFError
            line += piece
        return line.decode(errors="replace").rstrip("\r\n")

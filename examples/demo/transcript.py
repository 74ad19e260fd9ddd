"""What the demo prints, and what it claims."""

from __future__ import annotations

import json

from thrum_kernel.testing.harness import Cli, Failed


class Transcript:
    """Shows each command as it was typed and what came of it."""

    def __init__(self) -> None:
        self.steps = 0

    def heading(self, text: str) -> None:
        print(f"\n── {text} " + "─" * max(0, 76 - len(text)))

    def run(self, who: str, cli: Cli, *words: str) -> str:
        """Run a command and show it."""
        out = cli(*words)
        self.show(who, words, out)
        return out

    def show(self, who: str, words: tuple[str, ...], out: str) -> None:
        typed = " ".join(json.dumps(word) if " " in word else word for word in words)
        print(f"\n{who} $ thrum {typed}")
        for line in out.rstrip("\n").splitlines():
            print(f"    {line}")
        self.steps += 1

    def prompt(self, who: str, line: str) -> None:
        """Show what an agent's runtime was told in its prompt."""
        print(f"\n{who}'s prompt > {line}")

    def expect(self, claim: str, holds: bool) -> None:
        """Stop the demo when a claim does not hold."""
        if not holds:
            raise Failed(f"expected: {claim}")
        print(f"    ✓ {claim}")

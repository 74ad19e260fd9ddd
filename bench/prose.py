"""Text as agents write it, for logs that are measured: what does not compress like text tells nothing of a branch.

Sentences are drawn word by word from what follows what in this project's own documentation, so that letters, words and
phrases are as frequent as in prose about software. A message is two to five of many thousand such sentences and names a
file, a commit and a number of its own. No two messages are equal, and few share a sentence within what zlib looks back.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[1] / "docs"
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z'-]*|[.,;:]")
_ENDS: Final = (".", ";")


class Prose:
    """Messages one after another, the same ones for the same *seed*."""

    def __init__(self, seed: int, *, sentences: int = 20_000) -> None:
        self._random = random.Random(seed)
        self._paths, text = _documentation()
        self._after: dict[str, list[str]] = defaultdict(list)
        words = _WORD.findall(text)
        for word, following in pairwise(words):
            self._after[word].append(following)
        self._sentences = [self._sentence() for _ in range(sentences)]

    def message(self) -> str:
        """A text of some 200 characters."""
        pick = self._random.choice
        said = " ".join(pick(self._sentences) for _ in range(self._random.randint(2, 4)))
        number = self._random.randrange(10**6)
        return (
            f"{said} See {pick(self._paths)}:{number % 400} at {self._random.getrandbits(28):07x} ({number})."
        )

    def _sentence(self) -> str:
        words = [self._random.choice(self._after["."])]
        while len(words) < 24 and words[-1] not in _ENDS:
            words.append(self._random.choice(self._after[words[-1]]))
        return re.sub(r" ([.,;:])", r"\1", " ".join(words)).rstrip(".,;:").capitalize() + "."


def _documentation() -> tuple[list[str], str]:
    pages = sorted(DOCS.rglob("*.md"))
    return [str(page.relative_to(DOCS.parent)) for page in pages], "\n".join(map(_read, pages))


def _read(page: Path) -> str:
    return "\n".join(_prose(page.read_text().splitlines()))


def _prose(lines: Iterable[str]) -> Iterable[str]:
    """Lines that are sentences: no tables, code or headings."""
    return (line for line in lines if line and not line.startswith(("|", "#", "`", " ", "<")))

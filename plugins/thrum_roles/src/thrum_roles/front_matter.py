"""The head of a template file between two lines ``---``: for us, never for an agent.

Source: spec/features.md §12.1, §15 item 34.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from thrum_roles.template import TemplateInvalid

_KEY: Final = re.compile(r"([A-Za-z_][\w-]*)\s*:(?:\s+(.*?))?\s*")
_FENCE: Final = re.compile(r"---[ \t]*")
_CLOSING: Final = re.compile(r"(---|\.\.\.)[ \t]*")


@dataclass(frozen=True, slots=True)
class Source:
    """A template file, taken apart.

    Attributes:
        values: the plain ``key: value`` lines of its front matter.
        body: what follows; all of it when there is no front matter.
        body_line: the body's first line in the file, from 1.
    """

    body: str
    body_line: int = 1
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 of the body as hex digits."""
        return body_hash(self.body)


def split(text: str) -> Source:
    """Take a file apart. It has front matter when it begins with ``---`` and a key is the first thing after it.

    Raises:
        TemplateInvalid: front matter begins and never ends.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if not _FENCE.fullmatch(lines[0]) or not _KEY.fullmatch(_first_said(lines[1:])):
        return Source("\n".join(lines))
    values: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=1):
        if _CLOSING.fullmatch(line):
            return Source("\n".join(lines[number + 1 :]), number + 2, values)
        found = _KEY.fullmatch(line)
        if found is not None:
            values[found[1]] = (found[2] or "").strip("\"'")
    raise TemplateInvalid(1, "front matter begins with --- and is never closed")


def _first_said(lines: list[str]) -> str:
    """The first line that is neither blank nor a comment."""
    return next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")


def body_hash(body: str) -> str:
    """The hash that tells whether a template changed: SHA-256 of the body without leading newlines, hex digits."""
    return hashlib.sha256(body.lstrip("\n").encode()).hexdigest()

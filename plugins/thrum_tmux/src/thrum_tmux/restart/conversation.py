"""What was said lately, from a transcript's entries, cut to a number of lines and bytes. Pure.

::

    === USER ===
    Please round half to even.

    === ASSISTANT ===
    Done; the tests pass.

Source: spec/features.md §5.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from thrum_kernel.api import TranscriptEntry

_MARKS = {"user": "=== USER ===", "assistant": "=== ASSISTANT ==="}
_LIKE_A_MARK = re.compile(r"^=== (?:USER|ASSISTANT) ===", re.MULTILINE)
_CONTROL = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
_OURS = re.compile(
    r"(?:# )?New message from @|\d+ new messages from @|[/$]thrum[:-]|thrum prime$|printf '%s\\n' 'Agent: @"
)
"""How input begins that asks for nothing of its own: what thrum types, and its runtimes' commands."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a conversation is kept.

    Attributes:
        lines: at most so many.
        octets: at most so many bytes of UTF-8.
    """

    lines: int = 200
    octets: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Conversation:
    """The end of a conversation.

    Attributes:
        text: blocks as above, without a line feed at the end; empty when nobody said anything.
        unanswered: what the user said last and nobody answered; not part of *text*.
        is_cut: there was more before.
    """

    text: str = ""
    unanswered: str = ""
    is_cut: bool = False

    @property
    def lines(self) -> int:
        """How many lines *text* has."""
        return len(self.text.split("\n")) if self.text else 0


def conversation(entries: Iterable[TranscriptEntry], limits: Limits) -> Conversation:
    """The end of what user and assistant said.

    Args:
        entries: oldest first; read to the end, of which no more is kept in memory than can be shown.
    """
    blocks: deque[tuple[str, str]] = deque(maxlen=max(limits.lines, 1) + 2)
    seen = 0
    for entry in entries:
        text = _clean(entry.text)
        if entry.kind in _MARKS and text:
            blocks.append((entry.kind, text))
            seen += 1
    unanswered = deque[str]()
    while blocks and blocks[-1][0] == "user":
        unanswered.appendleft(blocks.pop()[1])
    kept = _fitting(list(blocks), limits)
    is_cut = seen > len(kept) + len(unanswered) or (bool(kept) and kept[0] != blocks[-len(kept)])
    note = (
        [f"[Conversation continued from earlier — truncated to last {limits.lines} lines]"] if is_cut else []
    )
    shown = [f"{_MARKS[kind]}\n{text}" for kind, text in kept]
    asked = [text for text in unanswered if not is_ours(text)]
    return Conversation(
        text="\n\n".join([*note, *shown]) if shown else "",
        unanswered=_tail("\n\n".join(asked), limits),
        is_cut=is_cut,
    )


def is_ours(text: str) -> bool:
    """Whether input is nobody's wish but thrum's: a wake, the banner, a command of its kit."""
    return _OURS.match(text.lstrip()) is not None


def _fitting(blocks: Sequence[tuple[str, str]], limits: Limits) -> list[tuple[str, str]]:
    """The last blocks that fit, beginning with the user's; the end of the last one when even that is too long."""
    lines = octets = 0
    first = len(blocks)
    while first > 0:
        text = blocks[first - 1][1]
        lines += text.count("\n") + 3
        octets += len(text.encode()) + 20
        if lines > limits.lines or octets > limits.octets:
            break
        first -= 1
    kept = list(blocks[first:])
    begins = next((place for place, (kind, _) in enumerate(kept) if kind == "user"), None)
    if begins is not None:
        return kept[begins:]
    if kept or not blocks:
        return kept
    kind, text = blocks[-1]
    return [(kind, _tail(text, limits))]


def _tail(text: str, limits: Limits) -> str:
    """The end of *text* that fits."""
    kept = "\n".join(text.split("\n")[-max(limits.lines - 2, 1) :])
    return kept.encode()[-max(limits.octets, 1) :].decode(errors="ignore")


def _clean(text: str) -> str:
    """*text* without what could drive a terminal, and with no line that looks like one of our marks."""
    plain = text.replace("\r\n", "\n").translate(_CONTROL).strip()
    return _LIKE_A_MARK.sub(lambda found: f" {found.group()}", plain)

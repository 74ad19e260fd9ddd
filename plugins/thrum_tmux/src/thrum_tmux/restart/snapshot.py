"""A restart snapshot: what an agent was doing when its session ended, as Markdown. Pure.

Source: spec/features.md §5; issue "Terminal".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

SELF = "self-initiated"
EXTERNAL = "external"
THRESHOLD = "context-threshold"

_MORE = (
    "git log -20 --oneline",
    "git status",
    "git diff HEAD~3",
    "thrum inbox --unread",
)
_LINE = re.compile(r"\*\*(Session|Saved|Reason|Lines):\*\* ?(.*)")
_LONGEST_REASON = 200
_DRAFT = "## Draft that was not sent"
_HEADER_LINES = 12


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is kept of a session.

    Attributes:
        agent: whose.
        session: the runtime's name of the session; empty when it tells none.
        saved_at: when.
        reason: ``self-initiated``, ``external``, ``context-threshold`` or any text of a line.
        conversation: the end of it; may be empty.
        lines: how many lines *conversation* has.
        plan: what the agent means to do next, in its words.
        unanswered: what the user said last and nobody answered.
        draft: text that stood in the prompt and was not sent.
    """

    agent: str
    saved_at: datetime
    session: str = ""
    reason: str = SELF
    conversation: str = ""
    lines: int = 0
    plan: str = ""
    unanswered: str = ""
    draft: str = ""

    @property
    def is_empty(self) -> bool:
        """It would tell the next session nothing."""
        return not (self.conversation or self.plan or self.unanswered or self.draft)


@dataclass(frozen=True, slots=True)
class Header:
    """What the first lines of a snapshot file say; empty and 0 where they do not."""

    session: str = ""
    saved: str = ""
    reason: str = ""
    lines: int = 0


def rendered(snapshot: Snapshot) -> str:
    """The file's text."""
    parts = [
        f"# Restart Snapshot — {snapshot.agent}",
        "\n".join(
            (
                f"**Session:** {snapshot.session or 'unknown'}",
                f"**Saved:** {snapshot.saved_at.isoformat(timespec='seconds')}",
                f"**Reason:** {one_line(snapshot.reason)}",
                f"**Lines:** {snapshot.lines}",
            )
        ),
    ]
    for heading, text in (
        ("## Resume plan", snapshot.plan),
        ("## Not answered yet", snapshot.unanswered),
        (_DRAFT, snapshot.draft),
    ):
        if text.strip():
            parts += [heading, text.strip()]
    if snapshot.conversation:
        parts += ["## Conversation", snapshot.conversation]
    parts += ["---", "\n".join(["For more context:", *(f"- `{command}`" for command in _MORE)])]
    return "\n\n".join(parts) + "\n"


def with_draft(text: str, draft: str) -> str:
    """A snapshot's *text* with a draft that was not sent; unchanged when it holds that already."""
    section = f"{_DRAFT}\n\n{draft.strip()}"
    if not draft.strip() or section in text:
        return text
    head, found, rest = text.partition("\n## Conversation\n")
    if found:
        return f"{head}\n{section}\n{found}{rest}"
    return f"{text.rstrip()}\n\n{section}\n"


def header(text: str) -> Header:
    """What the first lines of a snapshot say."""
    found = {
        match[1]: match[2].strip()
        for line in text.split("\n", _HEADER_LINES)[:_HEADER_LINES]
        if (match := _LINE.fullmatch(line.rstrip()))
    }
    lines = found.get("Lines", "")
    return Header(
        session=found.get("Session", ""),
        saved=found.get("Saved", ""),
        reason=found.get("Reason", ""),
        lines=int(lines) if lines.isdecimal() else 0,
    )


def one_line(text: str) -> str:
    """*text* on one line, no longer than a reason may be; ``self-initiated`` when nothing is left."""
    return " ".join(text.split())[:_LONGEST_REASON] or SELF

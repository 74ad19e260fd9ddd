"""What earlier layouts tell, one fact a record, whichever file it was told in.

Times are timestamps of ours (six digits, ``Z``). ``ulid`` is that of the event that told a fact, empty where none did.
``rank`` says how good the witness is: 0 an event, 1 a row of the reference's database, 2 a snapshot.
Source: spec/kernel.md §2.3, §2.6, §3.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

EVENT, ROW, SNAPSHOT = 0, 1, 2

Pair: TypeAlias = tuple[str, str]
"""Type and value of a scope or reference."""


@dataclass(slots=True)
class Told:
    """Who told a fact, and when it was."""

    at: str
    ulid: str = ""
    rank: int = EVENT


@dataclass(slots=True)
class Message(Told):
    """A message. ``recipients`` is None where nobody wrote down whom it was for."""

    message_id: str = ""
    author: str = ""
    session: str = ""
    content: str = ""
    format: str = "markdown"
    structured: str = ""
    recipients: frozenset[str] | None = None
    scopes: frozenset[Pair] = frozenset()
    refs: frozenset[Pair] = frozenset()
    thread: str = ""
    authored_by: str = ""
    disclosed: bool = False
    priority: str = ""


@dataclass(slots=True)
class Edit(Told):
    message_id: str = ""
    session: str = ""
    content: str = ""
    structured: str = ""
    format: str = "markdown"


@dataclass(slots=True)
class Deletion(Told):
    message_id: str = ""
    reason: str = ""


@dataclass(slots=True)
class Receipt(Told):
    message_id: str = ""
    reader: str = ""
    kind: Literal["seen", "read"] = "read"


@dataclass(slots=True)
class Registration(Told):
    agent: str = ""
    kind: str = "agent"
    role: str = ""
    module: str = ""
    display: str = ""
    hostname: str = ""
    worktree: str = ""
    runtime: str = ""


@dataclass(slots=True)
class Cleanup(Told):
    agent: str = ""
    reason: str = ""
    method: str = "manual"


@dataclass(slots=True)
class SessionBegun(Told):
    session: str = ""
    agent: str = ""


@dataclass(slots=True)
class SessionEnded(Told):
    session: str = ""
    reason: str = "normal"


@dataclass(slots=True)
class Work(Told):
    agent: str = ""
    contexts: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Group(Told):
    group: str = ""
    name: str = ""
    description: str = ""
    by: str = ""


@dataclass(slots=True)
class GroupChange(Told):
    group: str = ""
    by: str = ""
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class GroupGone(Told):
    group: str = ""
    by: str = ""


@dataclass(slots=True)
class Member(Told):
    group: str = ""
    type: str = "agent"
    value: str = ""
    by: str = ""
    present: bool = True


@dataclass(slots=True)
class Thread(Told):
    thread: str = ""
    title: str = ""
    by: str = ""


@dataclass(slots=True)
class Purge(Told):
    cutoff: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that has no place in the log, or is damaged: kept byte for byte, and told.

    Attributes:
        kind: what it is called in the report: its type or table; ``damaged`` when it cannot be read.
        source: the file, or the file and table, that it was found in.
        line: its number there, from 1; 0 where nothing is numbered.
        raw: the record.
        why: one sentence.
    """

    kind: str
    source: str
    line: int
    raw: bytes
    why: str


Fact: TypeAlias = (
    Message
    | Edit
    | Deletion
    | Receipt
    | Registration
    | Cleanup
    | SessionBegun
    | SessionEnded
    | Work
    | Group
    | GroupChange
    | GroupGone
    | Member
    | Thread
    | Purge
)
Record: TypeAlias = Fact | Kept

DAMAGED = "damaged"


def name_of(source: str) -> str:
    """The name of a file, without the folder or commit that it lies in."""
    return re.split("[/:]", source)[-1]

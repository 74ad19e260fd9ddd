"""What a purge takes out of the log, judged line by line, so that every clone comes to the same bytes.

A purge (`purge.executed`) takes out everything about messages and sessions from before its cutoff. Each line is judged
alone, by its *subject*, never by what else is known, since clones know different things at the same time:

- a message, its edits and its deletion by the message's timestamp, which edits and deletions carry;
- a receipt by its newest subject; it stays whole until all its subjects are gone (it holds no text);
- a session's start, end and work contexts when the purge lists the session: the one who purges knew it as ended, and
  an open session stays;
- registrations, moves, groups, threads, purges, and types nobody here knows stay for ever.

A cutoff never reaches past the purge's own timestamp, so that no purge takes out what nobody had written yet. Of many
cutoffs the latest holds all others.

A deleted message (`message.delete`) keeps its lines, its place, its id, who wrote it to whom and when; the text and
the structured body of the message and of all its edits become empty. The message and its edits lose it when their
author is the subject of the deletion. Keeping tombstones instead of dropping lines makes a replay of filtered files
equal to a replay of unfiltered ones, edit counts included.

Both are idempotent and commute with each other, with roll-up and with themselves in any order.

Source: DESIGN.md D1, "Purge"; spec/decisions.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from thrum_kernel.clock import format_us, parse_us
from thrum_kernel.jsonlines import decoder

_MESSAGE_TYPES: Final = frozenset({"message.create", "message.edit", "message.delete"})
_SESSION_TYPES: Final = frozenset({"agent.session.start", "agent.session.end"})
_PURGING: Final = (b'"message.delete"', b'"purge.executed"')

Author = tuple[str, str]
"""An agent's name and incarnation."""


@dataclass(frozen=True)
class Purges:
    """All that is to go.

    Attributes:
        cutoff: timestamp; messages before it go. Empty: none.
        sessions: ids of sessions that go.
        erased: message id → the authors that a deletion of it names.
    """

    cutoff: str = ""
    sessions: frozenset[str] = frozenset()
    erased: Mapping[str, frozenset[Author]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.cutoff or self.sessions or self.erased)

    def __or__(self, other: Purges) -> Purges:
        erased = dict(self.erased)
        for message, authors in other.erased.items():
            erased[message] = erased.get(message, frozenset()) | authors
        return Purges(max(self.cutoff, other.cutoff), self.sessions | other.sessions, erased)

    def concerns(self, agent: str) -> bool:
        """Whether the message file of *agent* can hold anything that goes."""
        return bool(self.cutoff) or any(
            agent == name for authors in self.erased.values() for name, _ in authors
        )

    @property
    def concerns_events(self) -> bool:
        """Whether an events file can hold anything that goes."""
        return bool(self.cutoff or self.sessions)


class _Subject(msgspec.Struct):
    timestamp: str
    author: tuple[str, str, str]


class _Mark(msgspec.Struct):
    subject_to: str = ""


class _Head(msgspec.Struct):
    type: str
    event_id: str = ""
    timestamp: str = ""


class _Message(msgspec.Struct):
    agent_id: str = ""
    incarnation: str = ""
    message_id: str = ""
    subject: _Subject | None = None


class _Receipt(msgspec.Struct):
    marks: list[_Mark]


class _Session(msgspec.Struct):
    session_id: str


class _Purge(msgspec.Struct):
    cutoff: str
    sessions: list[str] = []


_decode_head = decoder(_Head)
_decode_message = decoder(_Message)
_decode_receipt = decoder(_Receipt)
_decode_session = decoder(_Session)
_decode_purge = decoder(_Purge)
_decode_event = decoder(dict[str, Any])


def purges_in(lines: Iterable[bytes]) -> Purges:
    """What the purges and deletions among *lines* take out; lines that are not sound take out nothing."""
    found = Purges()
    erased: dict[str, frozenset[Author]] = {}
    for line in lines:
        if is_purging(line):
            purge = _purge_of(line)
            found = found | Purges(purge.cutoff, purge.sessions)
            for message, authors in purge.erased.items():
                erased[message] = erased.get(message, frozenset()) | authors
    return Purges(found.cutoff, found.sessions, erased)


def is_purging(line: bytes) -> bool:
    """Whether a line may be a purge or a deletion; false ones are told by `purges_in`."""
    return _PURGING[0] in line or _PURGING[1] in line


def filtered(line: bytes, purges: Purges) -> bytes | None:
    """The line as it is after *purges*: itself, without its text, or None when it goes."""
    try:
        return _judge(line, purges)
    except (msgspec.MsgspecError, ValueError):
        return line  # not an event of the shape its type asks for: kept byte for byte, projected by nobody


def _judge(line: bytes, purges: Purges) -> bytes | None:
    head = _decode_head(line)
    if head.type in _MESSAGE_TYPES:
        return _judge_message(line, head, purges)
    if head.type == "message.receipt" and purges.cutoff:
        subjects = [mark.subject_to or head.timestamp for mark in _decode_receipt(line).marks]
        return None if all(_is_before(subject, purges.cutoff) for subject in subjects) else line
    if head.type in _SESSION_TYPES:
        return None if _decode_session(line).session_id in purges.sessions else line
    if head.type == "agent.update" and purges.sessions:
        return _without_sessions(line, purges.sessions)
    return line


def _judge_message(line: bytes, head: _Head, purges: Purges) -> bytes | None:
    message = _decode_message(line)
    is_create = head.type == "message.create"
    if message.subject is None and not is_create:
        return line
    written = message.subject.timestamp if message.subject is not None and not is_create else head.timestamp
    if _is_before(written, purges.cutoff):
        return None
    message_id = f"msg_{head.event_id.removeprefix('evt_')}" if is_create else message.message_id
    author = (message.agent_id, message.incarnation)
    if head.type != "message.delete" and author in purges.erased.get(message_id, ()):
        return _without_body(line)
    return line


def _without_body(line: bytes) -> bytes:
    event = _decode_event(line)
    empty = {"content": ""}
    if event.get("body") == empty:
        return line
    event["body"] = empty
    return msgspec.json.encode(event)


def _without_sessions(line: bytes, sessions: frozenset[str]) -> bytes | None:
    event = _decode_event(line)
    contexts = event.get("work_contexts")
    if not isinstance(contexts, list):
        return line
    left = [item for item in contexts if not (isinstance(item, dict) and item.get("session_id") in sessions)]
    if len(left) == len(contexts):
        return line
    event["work_contexts"] = left
    return msgspec.json.encode(event) if left else None


def _is_before(timestamp: str, cutoff: str) -> bool:
    """Whether a timestamp of ours, or any RFC 3339 one from elsewhere, is before *cutoff*."""
    if not cutoff:
        return False
    if len(timestamp) != 27 or not timestamp.endswith("Z"):
        timestamp = format_us(parse_us(timestamp))
    return timestamp < cutoff


def _purge_of(line: bytes) -> Purges:
    try:
        head = _decode_head(line)
        if head.type == "purge.executed":
            purge = _decode_purge(line)
            cutoff = min(parse_us(purge.cutoff), parse_us(head.timestamp))
            return Purges(format_us(cutoff), frozenset(purge.sessions))
        if head.type == "message.delete":
            message = _decode_message(line)
            if message.subject is not None:
                name, _, incarnation = message.subject.author
                return Purges(erased={message.message_id: frozenset({(name, incarnation)})})
    except (msgspec.MsgspecError, ValueError):
        pass
    return Purges()

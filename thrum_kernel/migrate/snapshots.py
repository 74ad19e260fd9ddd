"""Reader of the snapshots that the reference's last version kept on its branch.

They hold less than events: messages without recipients, receipts without the message's time, agents as they were last.
Source: spec/kernel.md §2.6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from thrum_kernel.jsonlines import decoder
from thrum_kernel.migrate.event_lines import time_of
from thrum_kernel.migrate.facts import (
    DAMAGED,
    SNAPSHOT,
    Deletion,
    Fact,
    Group,
    Kept,
    Member,
    Message,
    Receipt,
    Record,
    Registration,
)

_decode = decoder(dict[str, Any])

_NEVER = "0001-01-01T00:00:00Z"


def read_agent(data: bytes, source: str) -> Iterator[Record]:
    """``state/agents/<agent>.json``."""
    return _facts(data, source, 0, _agent)


def read_group(data: bytes, source: str) -> Iterator[Record]:
    """``state/bridge-groups/<group>.json``."""
    return _facts(data, source, 0, _group)


def read_messages(data: bytes, source: str) -> Iterator[Record]:
    """``messages-v2/<author>.jsonl``; the last line of a message holds."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            yield from _facts(line, source, number, _message)


def read_receipts(data: bytes, source: str) -> Iterator[Record]:
    """``receipts/<issuer>.jsonl``."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            yield from _facts(line, source, number, _receipt)


def read_context(data: bytes, source: str) -> Iterator[Record]:
    """``context/<agent>.md``, the saved context that an agent shared: the log knows no time and no author of it."""
    if data.strip():
        yield Kept("shared contexts", source, 0, data, "the log has no place for it")


def _facts(data: bytes, source: str, number: int, make: Any) -> Iterator[Record]:
    try:
        found = list(make(_decode(data)))
    except (msgspec.MsgspecError, UnicodeError) as error:
        found = [Kept(DAMAGED, source, number, data, f"is no JSON object: {error}")]
    except (KeyError, ValueError, TypeError) as error:
        found = [Kept(DAMAGED, source, number, data, f"is not of its shape: {error!r}")]
    yield from found


def _agent(row: Mapping[str, Any]) -> Iterator[Fact]:
    yield Registration(
        at=time_of(row["last_seen_at"]),
        rank=SNAPSHOT,
        agent=_id(row, "agent_id"),
        kind=str(row.get("kind") or "agent"),
        role=str(row.get("role") or ""),
        module=str(row.get("module") or ""),
        display=str(row.get("display") or ""),
        hostname=str(row.get("hostname") or ""),
        worktree=str(row.get("worktree") or "").rstrip("/").rpartition("/")[2],
    )


def _group(row: Mapping[str, Any]) -> Iterator[Fact]:
    group, at, by = _id(row, "group_id"), time_of(row["created_at"]), str(row.get("owner_daemon") or "")
    yield Group(at=at, rank=SNAPSHOT, group=group, name=str(row.get("name") or group), by=by)
    for value in row.get("members") or []:
        yield Member(at=at, rank=SNAPSHOT, group=group, value=str(value), by=by)


def _message(row: Mapping[str, Any]) -> Iterator[Fact]:
    message, at = _id(row, "message_id"), time_of(row["created_at"])
    body = row["body"]
    if not isinstance(body, str):
        raise TypeError(f"body is {body!r}")
    yield Message(at=at, rank=SNAPSHOT, message_id=message, author=_id(row, "author_id"), content=body)
    if row.get("deleted") is True:
        yield Deletion(at=at, rank=SNAPSHOT, message_id=message)


def _receipt(row: Mapping[str, Any]) -> Iterator[Fact]:
    if row["read_at"] == _NEVER:
        return
    yield Receipt(
        at=time_of(row["read_at"]),
        rank=SNAPSHOT,
        message_id=_id(row, "message_id"),
        reader=_id(row, "agent_id"),
    )


def _id(row: Mapping[str, Any], key: str) -> str:
    value = row[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is {value!r}")
    return value

"""Reader of files of events: the monolith, `.thrum/sync/`, the flat branch, the reference's journal and backups.

All of them hold one JSON object a line with the same types and fields. Source: spec/kernel.md §2.1-§2.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from thrum_kernel.clock import format_us, parse_us
from thrum_kernel.ids import is_ulid
from thrum_kernel.jsonlines import decoder
from thrum_kernel.migrate.facts import (
    DAMAGED,
    Cleanup,
    Deletion,
    Edit,
    Fact,
    Group,
    GroupChange,
    GroupGone,
    Kept,
    Member,
    Message,
    Pair,
    Purge,
    Receipt,
    Record,
    Registration,
    SessionBegun,
    SessionEnded,
    Thread,
    Work,
)

_decode = decoder(dict[str, Any])


def read(data: bytes, source: str) -> Iterator[Record]:
    """The records of a file with these bytes; lines that are none are kept and told by their number."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            yield one(line, source, number)


def begins_with_event(data: bytes) -> bool:
    """Whether the first line is an event: a file of this name may be anybody's."""
    first = next((line for line in data.split(b"\n", 32) if line.strip()), b"")
    try:
        return str(_decode(first).get("type", "")) in _MAKERS
    except (msgspec.MsgspecError, UnicodeError):
        return False


def one(line: bytes, source: str, number: int) -> Record:
    """The record of one line."""
    try:
        event = _decode(line)
        make = _MAKERS.get(str(event.get("type", "")))
        if make is None:
            kind = str(event.get("type") or "record")
            return Kept(kind, source, number, line, "the log has no such type of event")
        return make(event)
    except (msgspec.MsgspecError, UnicodeError) as error:
        return Kept(DAMAGED, source, number, line, f"is no JSON object: {error}")
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        return Kept(DAMAGED, source, number, line, f"is not of the shape of its type: {error!r}")


def time_of(text: object) -> str:
    """A timestamp of ours for any RFC 3339 one.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(text, str):
        raise ValueError(f"no time: {text!r}")
    return format_us(parse_us(text))


def pairs(found: object) -> frozenset[Pair]:
    """Scopes or references, each once."""
    if not found:
        return frozenset()
    if not isinstance(found, list):
        raise TypeError(f"no list: {found!r}")
    return frozenset((str(item["type"]), str(item["value"])) for item in found)


def json_text(value: object) -> str:
    """A structured body as JSON text; a text is taken to be that already."""
    if value is None or value == "":
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _told(event: Mapping[str, Any]) -> dict[str, Any]:
    """When, and by which event; an id that is no ULID is none of ours to keep."""
    ulid = str(event.get("event_id") or "").removeprefix("evt_")
    return {"at": time_of(event["timestamp"]), "ulid": ulid if is_ulid(ulid) else ""}


def _required(event: Mapping[str, Any], key: str) -> str:
    value = event[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is {value!r}")
    return value


def _text(event: Mapping[str, Any], key: str, default: str = "") -> str:
    value = event.get(key)
    return str(value) if value not in (None, "") else default


def _body(event: Mapping[str, Any]) -> Mapping[str, Any]:
    body = event["body"]
    if isinstance(body, str):  # the first form of messages
        return {"content": body}
    if not isinstance(body, dict) or not isinstance(body.get("content"), str):
        raise ValueError("it has no content")
    return body


def _message(event: Mapping[str, Any]) -> Fact:
    body = _body(event)
    named = event.get("recipients")
    return Message(
        **_told(event),
        message_id=_required(event, "message_id"),
        author=_required(event, "agent_id"),
        session=_text(event, "session_id"),
        content=body["content"],
        format=_text(body, "format", "markdown"),
        structured=json_text(body.get("structured")),
        recipients=frozenset(map(str, named)) if isinstance(named, list) else None,
        scopes=pairs(event.get("scopes")),
        refs=pairs(event.get("refs")),
        thread=_text(event, "thread_id"),
        authored_by=_text(event, "authored_by"),
        disclosed=event.get("disclosed") is True,
        priority=_text(event, "priority"),
    )


def _edit(event: Mapping[str, Any]) -> Fact:
    body = _body(event)
    return Edit(
        **_told(event),
        message_id=_required(event, "message_id"),
        session=_text(event, "session_id"),
        content=body["content"],
        format=_text(body, "format", "markdown"),
        structured=json_text(body.get("structured")),
    )


def _deletion(event: Mapping[str, Any]) -> Fact:
    return Deletion(**_told(event), message_id=_required(event, "message_id"), reason=_text(event, "reason"))


def _receipt(event: Mapping[str, Any]) -> Fact:
    kind = event["receipt_type"]
    if kind not in ("seen", "read"):
        raise ValueError(f"receipt_type is {kind!r}")
    return Receipt(
        **_told(event),
        message_id=_required(event, "message_id"),
        reader=_required(event, "agent_id"),
        kind=kind,
    )


def _registration(event: Mapping[str, Any]) -> Fact:
    return Registration(
        **_told(event),
        agent=_required(event, "agent_id"),
        kind=_text(event, "kind", "agent"),
        role=_text(event, "role"),
        module=_text(event, "module"),
        display=_text(event, "display"),
        hostname=_text(event, "hostname"),
        worktree=_text(event, "worktree"),
        runtime=_text(event, "runtime"),
    )


def _cleanup(event: Mapping[str, Any]) -> Fact:
    return Cleanup(
        **_told(event),
        agent=_required(event, "agent_id"),
        reason=_text(event, "reason"),
        method=_text(event, "method", "manual"),
    )


def _session_begun(event: Mapping[str, Any]) -> Fact:
    return SessionBegun(
        **_told(event), session=_required(event, "session_id"), agent=_required(event, "agent_id")
    )


def _session_ended(event: Mapping[str, Any]) -> Fact:
    reason = _text(event, "reason", "normal")
    return SessionEnded(**_told(event), session=_required(event, "session_id"), reason=reason)


def _work(event: Mapping[str, Any]) -> Fact:
    contexts = event.get("work_contexts") or []
    if not all(isinstance(item, dict) for item in contexts):
        raise TypeError("a work context is no object")
    return Work(**_told(event), agent=_required(event, "agent_id"), contexts=list(contexts))


def _group(event: Mapping[str, Any]) -> Fact:
    return Group(
        **_told(event),
        group=_required(event, "group_id"),
        name=_required(event, "name"),
        description=_text(event, "description"),
        by=_text(event, "created_by"),
    )


def _group_change(event: Mapping[str, Any]) -> Fact:
    fields = {str(key): str(value) for key, value in event["fields"].items()}
    return GroupChange(
        **_told(event), group=_required(event, "group_id"), by=_text(event, "updated_by"), fields=fields
    )


def _group_gone(event: Mapping[str, Any]) -> Fact:
    return GroupGone(**_told(event), group=_required(event, "group_id"), by=_text(event, "deleted_by"))


def _member(event: Mapping[str, Any]) -> Fact:
    is_added = event["type"] == "group.member.add"
    kind = _text(event, "member_type", "agent")
    if kind not in ("agent", "role"):
        raise ValueError(f"member_type is {kind!r}")
    return Member(
        **_told(event),
        group=_required(event, "group_id"),
        type=kind,
        value=_required(event, "member_value"),
        by=_text(event, "added_by" if is_added else "removed_by"),
        present=is_added,
    )


def _thread(event: Mapping[str, Any]) -> Fact:
    return Thread(
        **_told(event),
        thread=_required(event, "thread_id"),
        title=_text(event, "title"),
        by=_text(event, "created_by") or _text(event, "agent_id"),
    )


def _purge(event: Mapping[str, Any]) -> Fact:
    return Purge(**_told(event), cutoff=time_of(event["cutoff"]))


_MAKERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Fact]]] = {
    "message.create": _message,
    "message.edit": _edit,
    "message.delete": _deletion,
    "message.receipt": _receipt,
    "agent.register": _registration,
    "agent.cleanup": _cleanup,
    "agent.update": _work,
    "agent.session.start": _session_begun,
    "agent.session.end": _session_ended,
    "group.create": _group,
    "group.update": _group_change,
    "group.delete": _group_gone,
    "group.member.add": _member,
    "group.member.remove": _member,
    "thread.create": _thread,
    "purge.executed": _purge,
}

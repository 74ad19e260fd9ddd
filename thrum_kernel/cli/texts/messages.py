"""Messages as people read them: one message, a page of the inbox, what was sent, hits of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thrum_kernel.cli.render import View, at, columns, counted, fields, indented, one_line, shorten
from thrum_kernel.cli.texts.deliveries import delivery_lines, is_read

_INDENT = "    "
_REST_OF_BODY = 20
"""Lines of one body that a list shows unless verbose; the rest is a `message get` away."""

Message = Mapping[str, Any]


def inbox_lines(page: Mapping[str, Any], view: View, *, again: str, unread_only: bool) -> list[str]:
    """One page of the inbox; *again* is the command that shows another page, without ``--page``."""
    messages: Sequence[Message] = page["messages"]
    if not messages:
        return [*_none_line(page, unread_only=unread_only), *_hidden_line(page)]
    lines: list[str] = []
    for message in messages:
        lines += [*_listed(message, view), ""]
    unread = page.get("unread", 0)
    lines.append(page_line(page, again=again, extra=f"{unread} unread" if unread else ""))
    return lines + _hidden_line(page)


def sent_lines(page: Mapping[str, Any], view: View, *, again: str, unread_only: bool) -> list[str]:
    """One page of what the reader sent, with how far it has come with each recipient."""
    messages: Sequence[Message] = page["messages"]
    if not messages:
        return ["Everything you sent has been read." if unread_only else "No sent messages."]
    lines: list[str] = []
    for message in messages:
        lines += [*_sent(message, view), ""]
    lines.append(page_line(page, again=again))
    return lines


def message_lines(message: Message, view: View) -> list[str]:
    """One message with everything known about it."""
    lines = [_subject(message, view, with_audience=False)]
    lines += fields(_facts(message, view))
    lines += ["", *_body(message, whole=True)]
    structured = message.get("body", {}).get("structured")
    if structured and not message.get("deleted"):
        lines += ["", f"  structured: {structured}"]
    recipients = message.get("recipients") or []
    if recipients:
        read = sum(is_read(recipient) for recipient in recipients)
        lines += ["", f"  Recipients ({read} of {len(recipients)} read):"]
        lines += delivery_lines(recipients, view, indent=_INDENT)
    return lines


def thread_messages_lines(messages: Sequence[Message], view: View) -> list[str]:
    """The messages of a conversation in the order given."""
    lines: list[str] = []
    for message in messages:
        lines += [*_listed(message, view), ""]
    return lines[:-1]


def hit_lines(found: Mapping[str, Any], view: View, *, query: str, again: str) -> list[str]:
    """One page of a search: each hit with the words around the match."""
    hits: Sequence[Mapping[str, Any]] = found["hits"]
    if not hits:
        return [f'No messages match "{query}".']
    lines: list[str] = []
    for hit in hits:
        message = hit.get("message", hit)
        lines.append(_subject(message, view))
        lines += [*indented(str(hit.get("snippet", "")), _INDENT), ""]
    lines.append(page_line(found, again=again, noun="hit"))
    return lines


def sent_confirmation(result: Mapping[str, Any], view: View, *, is_reply: bool) -> list[str]:
    """The success line of `send` and `reply`, and what the sender should know beside it."""
    lines = [f"✓ {'Reply' if is_reply else 'Message'} sent: {result['message_id']}"]
    recipients = result.get("recipients") or []
    if recipients and len(recipients) <= 5:
        listed = ", ".join(at(str(r["agent_id"])) for r in recipients)
        lines.append(f"  To: {listed}")
    elif recipients:
        lines.append(f"  To: {counted(len(recipients), 'agent')}")
    if result.get("thread_id") and view.verbose:
        lines.append(f"  Thread: {result['thread_id']}")
    return lines


def page_line(page: Mapping[str, Any], *, again: str, extra: str = "", noun: str = "message") -> str:
    """Where in a list the reader is, and the command for the next page."""
    total, number, pages = page["total"], page["page"], page.get("total_pages", 1)
    count = f"{total} {noun}s" if isinstance(total, str) else counted(total, noun)
    parts = [count, extra, f"page {number} of {pages}" if isinstance(pages, str) or pages > 1 else ""]
    line = " · ".join(part for part in parts if part)
    if isinstance(pages, int) and number < pages:
        line += f" · next: {again} --page {number + 1}"
    return line


def sender_of(message: Message) -> str:
    """Name of the author, in its long form where the bare name would mean another agent."""
    return str(message.get("agent_id") or message["author"]["agent_id"])


def _listed(message: Message, view: View) -> list[str]:
    mark = "○" if message.get("is_read", True) or message.get("deleted") else "●"
    lines = [f"{mark} {_subject(message, view)}"]
    if message.get("reply_to"):
        lines.append(f"{_INDENT}↳ in reply to {message['reply_to']}")
    return lines + _body(message, whole=view.verbose)


def _sent(message: Message, view: View) -> list[str]:
    lines = [f"{message['message_id']}  to {_audience(message)}  {_when(message, view)}{_marks(message)}"]
    lines += _body(message, whole=view.verbose)
    return lines + delivery_lines(message.get("recipients") or [], view, indent=_INDENT + "→ ")


def _subject(message: Message, view: View, *, with_audience: bool = True) -> str:
    audience = f" → {_audience(message)}" if with_audience and message.get("audiences") else ""
    return f"{message['message_id']}  {at(sender_of(message))}{audience}  {_when(message, view)}{_marks(message)}"


def _audience(message: Message) -> str:
    words = [_addressed(entry) for entry in message.get("audiences") or []]
    if not words:
        words = [at(str(r["agent_id"])) for r in message.get("recipients") or []]
    return ", ".join(words) or "nobody"


def _addressed(entry: Mapping[str, Any]) -> str:
    kind, value = entry["type"], str(entry["value"])
    if kind == "broadcast":
        return "@everyone"
    if kind == "agent":
        return at(value)
    return f"{at(value)} ({kind})"


def _when(message: Message, view: View) -> str:
    return view.time(str(message["created_at"]))


def _marks(message: Message) -> str:
    marks = []
    if message.get("priority", "normal") != "normal":
        marks.append(f"[{message['priority']} priority]")
    if message.get("asserted"):
        marks.append("[sender asserted, not proven]")
    author = message.get("author") or message
    if author.get("authored_by") and author.get("disclosed"):
        marks.append(f"[written by {at(str(author['authored_by']))}]")
    if message.get("updated_at") and not message.get("deleted"):
        marks.append("[edited]")
    return "  " + " ".join(marks) if marks else ""


def _body(message: Message, *, whole: bool) -> list[str]:
    if message.get("deleted"):
        return [f"{_INDENT}[deleted]"]
    lines = indented(str(message.get("body", {}).get("content", "")), _INDENT)
    if whole or len(lines) <= _REST_OF_BODY:
        return lines
    hidden = len(lines) - _REST_OF_BODY
    return [
        *lines[:_REST_OF_BODY],
        f"{_INDENT}… {counted(hidden, 'more line')}: thrum message get {message['message_id']}",
    ]


def _facts(message: Message, view: View) -> list[tuple[str, str]]:
    metadata = message.get("metadata") or {}
    author = message.get("author") or {}
    return [
        ("From", at(sender_of(message))),
        ("To", _audience(message)),
        ("Sent", view.time(str(message["created_at"]))),
        ("Edited", "" if message.get("deleted") else view.time(str(message.get("updated_at") or ""))),
        ("Deleted", view.time(str(metadata.get("deleted_at") or ""))),
        ("Reason", str(metadata.get("delete_reason") or "")),
        ("Reply to", str(message.get("reply_to") or "")),
        ("Thread", str(message.get("thread_id") or "")),
        ("Session", str(author.get("session_id") or "") if view.verbose else ""),
        ("Scopes", _label_text(message.get("scopes") or [])),
        ("Refs", _label_text(message.get("refs") or [])),
        ("Format", str(message.get("body", {}).get("format", "")) if view.verbose else ""),
    ]


def _label_text(labels: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(one_line(f"{entry['type']}:{entry['value']}") for entry in labels)


def _none_line(page: Mapping[str, Any], *, unread_only: bool) -> list[str]:
    if page.get("total", 0) and page["page"] > 1:
        return [f"Nothing on page {page['page']}: the last is page {page['total_pages']}."]
    return ["No unread messages." if unread_only else "No messages."]


def _hidden_line(page: Mapping[str, Any]) -> list[str]:
    hidden = page.get("hidden_by_filter") or 0
    if not hidden:
        return []
    return [f"{counted(hidden, 'unread message')} not shown by this filter: thrum inbox --unread"]


def preview_rows(threads: Sequence[Mapping[str, Any]], view: View) -> list[str]:
    """A line or two for each thread of a list."""
    rows = []
    for thread in threads:
        unread = thread.get("unread_count") or 0
        count = counted(thread["message_count"], "message") + (f", {unread} unread" if unread else "")
        rows.append(
            [thread["thread_id"], view.time(str(thread.get("last_activity") or "")), count, _last(thread)]
        )
    return columns(rows)


def _last(thread: Mapping[str, Any]) -> str:
    title = str(thread.get("title") or "(untitled)")
    if not thread.get("preview"):
        return title
    return f"{title} — {at(str(thread.get('last_sender') or ''))}: {shorten(str(thread['preview']), 50)}"

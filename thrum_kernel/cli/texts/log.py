"""The log of events as people read it: what was found wrong, single events, how things stood at a point."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from thrum_kernel.cli.render import View, at, columns, counted, fields, shorten

Entry = Mapping[str, Any]

_COUNTED = (
    "files",
    "events",
    "windows",
    "daemons",
    "writers",
    "journals",
    "journal_events",
    "quarantined",
    "held",
)


def verified_lines(result: Entry) -> list[str]:
    """What `log verify` found."""
    problems: Sequence[Entry] = result["problems"]
    counts = fields([(_label(key), str(result[key])) for key in _COUNTED if result.get(key)])
    head = "✓ The log is sound" if result["ok"] else f"{counted(len(problems), 'problem')} in the log"
    rows = [(str(each["kind"]), f"{each['path']}: {each['problem']}") for each in problems]
    return [head, *counts, *columns(rows, indent="  ")]


def event_lines(result: Entry, view: View) -> list[str]:
    """The events that `log show` found; whole when verbose."""
    shown: Sequence[Entry] = result["events"]
    if not shown:
        return ["No events."]
    lines = columns([_event_row(entry, view) for entry in shown])
    if result.get("total", 0) > len(shown):
        lines.append(f"The newest {len(shown)} of {result['total']}.")
    return lines


def replayed_lines(result: Entry, view: View) -> list[str]:
    """How things stood at the point that `log replay` was asked for."""
    head = f"As of {view.time(str(result['at']))}" if result.get("at") else f"As of {result['to']}"
    lines = [f"{head} ({counted(result['log_events'], 'event')})"]
    keys = ("messages", "unread", "agents", "open_sessions")
    lines += fields([(_label(key), str(result[key])) for key in keys])
    team = [_replayed_agent(agent, view) for agent in result["team"]]
    if team:
        lines += ["Team:", *columns(team, indent="  ")]
    recent = [_replayed_message(message, view) for message in result["recent"]]
    if recent:
        lines += ["Messages:", *columns(recent, indent="  ")]
    return lines


def _event_row(entry: Entry, view: View) -> list[str]:
    event: Entry = entry["event"]
    row = [
        str(event.get("event_id", "")),
        view.time(str(event.get("timestamp") or "")),
        str(event.get("type", "")),
    ]
    if view.verbose:
        place = f"{entry['writer']}:{entry['sequence']}"
        return [*row, place, json.dumps(event, ensure_ascii=False)]
    about = str(event.get("agent_id") or event.get("name") or "")
    return [*row, at(about), shorten(_said(event), 60)]


def _said(event: Entry) -> str:
    body = event.get("body")
    if isinstance(body, Mapping):
        return str(body.get("content") or "")
    return str(event.get("message_id") or event.get("session_id") or event.get("reason") or "")


def _replayed_agent(agent: Entry, view: View) -> list[str]:
    session = (
        f"session since {view.time(agent['session_since'])}" if agent.get("session_since") else "no session"
    )
    mail = f"{agent['sent']} sent, {agent['unread']} unread"
    return [
        at(str(agent["agent_id"])),
        f"{agent['role']}/{agent['module']}",
        mail,
        session,
        str(agent.get("intent", "")),
    ]


def _replayed_message(message: Entry, view: View) -> list[str]:
    text = "[deleted]" if message.get("deleted") else shorten(str(message["content"]), 60)
    unread = ", ".join(at(str(name)) for name in message.get("unread_by") or ())
    return [
        str(message["message_id"]),
        at(str(message["agent_id"])),
        view.time(str(message["created_at"])),
        text,
        f"(unread by {unread})" if unread else "",
    ]


def _label(key: str) -> str:
    return key.replace("_", " ").capitalize()

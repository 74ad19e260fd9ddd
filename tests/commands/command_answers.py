"""What methods answer, as commands are given it."""

from __future__ import annotations

from typing import Any

from thrum_kernel.cli.render import View
from thrum_kernel.clock import parse_us

NOW = View(parse_us("2026-06-23T12:00:00Z"))
EARLIER = "2026-06-23T11:00:00.000000Z"
SENT = {"message_id": "msg_1", "created_at": "2026-06-23T11:00:00.000000Z", "resolved_to": 1}

AGENTS = {
    "agents": [
        {
            "agent_id": "alice",
            "kind": "agent",
            "role": "dev",
            "module": "auth",
            "display": "",
            "registered_at": EARLIER,
        },
        {
            "agent_id": "bob",
            "kind": "agent",
            "role": "reviewer",
            "module": "ui",
            "display": "Bob",
            "registered_at": EARLIER,
            "last_seen_at": EARLIER,
        },
    ]
}
CONTEXTS = {
    "contexts": [
        {
            "session_id": "ses_A",
            "agent_id": "alice",
            "branch": "feature/x",
            "intent": "Login",
            "unmerged_commits": [{"sha": "a" * 40, "message": "one", "files": []}],
            "file_changes": [
                {
                    "path": "src/a.py",
                    "last_modified": EARLIER,
                    "additions": 3,
                    "deletions": 1,
                    "status": "modified",
                }
            ],
        }
    ]
}
BOTH = {"agent.list": AGENTS, "agent.listContext": CONTEXTS}


def message(**more: Any) -> dict[str, Any]:
    """A message of a list, as the method gives it."""
    return {
        "message_id": "msg_1",
        "agent_id": "bob",
        "body": {"format": "markdown", "content": "Hello"},
        "created_at": "2026-06-23T11:00:00.000000Z",
        "deleted": False,
        "is_read": False,
        "audiences": [{"type": "agent", "value": "alice"}],
        **more,
    }


def page(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "messages": list(messages),
        "total": len(messages),
        "unread": sum(not each["is_read"] for each in messages),
        "page": 1,
        "page_size": 10,
        "total_pages": 1,
        **more,
    }

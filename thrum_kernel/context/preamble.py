"""The text at the head of an agent's briefing: what its role says, how to use Thrum, and the agent's own overlay."""

from __future__ import annotations

DEFAULT_PREAMBLE = """\
# Working with Thrum

You are one of several agents in this repository. Thrum carries messages between you.

- `thrum inbox --unread` shows what you have not read; `thrum inbox` shows it and marks it as read.
- `thrum send "TEXT" --to @agent` writes to one agent, `--to @everyone` to all, `--mention @role` to a role.
- `thrum reply MSG_ID "TEXT"` answers whoever the message reached.
- `thrum wait --timeout 5m` blocks until a message comes.
- `thrum team` shows who is here and what they work on; `thrum who-has FILE` who edits a file.
- `thrum agent set-intent "TEXT"` tells the others what you are doing.
- `thrum context save --file NOTES.md` keeps notes for your next session; `thrum prime` shows them again.

Answer messages that ask you something. Say when you are blocked, and when you are done.
"""

SEPARATOR = "\n---\n\n"


def compose(role_text: str, overlay: str) -> str:
    """The preamble of an agent: *role_text* (may be empty), the default, and its *overlay* when there is one."""
    parts = [role_text, DEFAULT_PREAMBLE, overlay]
    return SEPARATOR.join(part.strip() + "\n" for part in parts if part.strip())

"""``runtime hook``: what a runtime's hook script runs. It never fails and never says anything but the hook's answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from thrum_kernel.api_commands import Run, run_of
from thrum_kernel.errors import ThrumError
from thrum_runtimes.hook_input import HookInput, understood

_WITH_CONTEXT = ("PostToolUse", "SessionStart", "UserPromptSubmit")
"""Events whose answer may add to what the agent is told. Others take plain text: of before compaction it becomes an
instruction for the summary."""


def hook(
    ctx: typer.Context,
    runtime: Annotated[str, typer.Option("--runtime", metavar="NAME", help="Which runtime asks.")],
    event: Annotated[str, typer.Option("--event", metavar="EVENT", help="At which event.")] = "",
) -> int:
    """Take what a runtime hands to its hook, and answer with the mail that its agent is to be told of."""
    run = run_of(ctx)
    try:
        given = understood(run.stdin())
        if not given.is_subagent:
            _answer(run, runtime, event or given.event, given)
    except ThrumError:
        pass  # a hook that complained would disturb the agent's work; doctor tells what is wrong
    return 0


def _answer(run: Run, runtime: str, event: str, given: HookInput) -> None:
    if given.shown:
        run.call("runtime.evidence", runtime=runtime, message_ids=list(given.shown))
    found = run.call("runtime.notice", runtime=runtime, event=event, is_continued=given.is_continued)
    notices = found.get("notices", [])
    if notices:
        run.out.raw(answer(event, told(notices, found.get("more", 0))))


def told(notices: Sequence[dict[str, Any]], more: int) -> str:
    """One line that tells of messages: ids and names, never what they say."""
    ids = ", ".join(notice["message_id"] for notice in notices)
    if len(notices) == 1 and not more:
        return f"New message from @{notices[0]['sender']} ({ids}) -- run: thrum inbox"
    senders = ", ".join(f"@{sender}" for sender in dict.fromkeys(notice["sender"] for notice in notices))
    rest = f" and {more} more" if more else ""
    return f"{len(notices) + more} new messages from {senders} ({ids}{rest}) -- run: thrum inbox"


def answer(event: str, text: str) -> bytes:
    """What the runtime's hook prints at *event* to have *text* told."""
    if event == "Stop":
        return _json({"decision": "block", "reason": text})
    if event in _WITH_CONTEXT:
        return _json({"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}})
    return f"{text}\n".encode()


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"

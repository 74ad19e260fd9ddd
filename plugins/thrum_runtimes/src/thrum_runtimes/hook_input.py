"""What a runtime hands to a hook, and the message ids that it proves the agent was shown.

Evidence is an id in the *input*: a prompt, a tool's input or its result. What the hook itself printed is no part of
that, nor is what the model wrote, nor names of files. Source: DESIGN.md D8.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_ID = re.compile(r"msg_[0-7][0-9A-HJKMNP-TV-Z]{25}(?![0-9A-Z])")
_SHOWN = ("prompt", "user_prompt", "tool_input", "tool_response", "tool_output", "tool_result")
"""Fields that hold what the agent was given or worked with."""
MAX_IDS = 500


@dataclass(frozen=True, slots=True)
class HookInput:
    """One call of a hook.

    Attributes:
        event: name that the runtime gives it; empty when it gives none.
        shown: message ids in what the agent was shown, in order, each once.
        is_subagent: it comes from a helper that the agent started, who sees nothing for the agent.
        is_continued: the agent was kept from stopping by a hook already.
    """

    event: str = ""
    shown: tuple[str, ...] = ()
    is_subagent: bool = False
    is_continued: bool = False


def understood(data: bytes) -> HookInput:
    """What *data*, a hook's standard input, says; nothing when it is not a JSON object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return HookInput()
    if not isinstance(value, dict):
        return HookInput()
    event = value.get("hook_event_name")
    return HookInput(
        event=event if isinstance(event, str) else "",
        shown=_ids(value),
        is_subagent=bool(value.get("agent_id")),
        is_continued=bool(value.get("stop_hook_active")),
    )


def _ids(value: dict[str, Any]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in _SHOWN:
        for text in _texts(value.get(name)):
            found.update(dict.fromkeys(_ID.findall(text)))
    return tuple(found)[:MAX_IDS]


def _texts(value: Any) -> Iterator[str]:
    """Every string in a JSON value, without recursion: its depth is the caller's to choose."""
    waiting = [value]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one

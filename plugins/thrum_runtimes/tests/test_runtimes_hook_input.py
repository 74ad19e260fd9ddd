"""What a hook is given, whom it tells of what, and what it prints."""

from __future__ import annotations

import json
from typing import Any

import pytest
from thrum_runtimes.hook_command import answer, told
from thrum_runtimes.hook_input import HookInput, understood
from thrum_runtimes.told import AGAIN_S, Told

A, B = "msg_01JA0000000000000000000000", "msg_01JB0000000000000000000000"


def given(**value: Any) -> HookInput:
    return understood(json.dumps(value).encode())


def test_ids_in_what_the_agent_was_shown_count() -> None:
    assert given(prompt=f"New message ({A})").shown == (A,)
    assert given(tool_response={"stdout": f"{B} from bob\n{A}", "n": [1, {"x": None}]}).shown == (B, A)
    assert given(tool_input={"command": f"thrum message get {A}"}, tool_response=f"{A}").shown == (A,)


@pytest.mark.parametrize(
    "value",
    [
        {"last_assistant_message": f"I saw {A}"},
        {"transcript_path": f"/tmp/{A}.jsonl"},
        {"session_id": A, "cwd": f"/{A}", "hook_event_name": A, "reason": A},
        {"prompt": "msg_01JA000000000000000000000"},
        {"prompt": f"{A}0"},
        {"prompt": A.lower()},
    ],
)
def test_nothing_else_counts(value: dict[str, Any]) -> None:
    assert given(**value).shown == ()


@pytest.mark.parametrize("data", [b"", b"no json", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"prompt": 7}'])
def test_whatever_it_is_given_it_bears(data: bytes) -> None:
    assert understood(data) == HookInput()


def test_deep_values_are_searched() -> None:
    deep = '{"a":' * 500 + f'"{A}"' + "}" * 500
    assert understood(f'{{"tool_response": {deep}}}'.encode()).shown == (A,)


def test_a_sub_agent_and_a_continued_stop_are_known() -> None:
    assert given(agent_id="helper", agent_type="explore").is_subagent
    assert not given(agent_type="explore").is_subagent
    assert given(hook_event_name="Stop", stop_hook_active=True) == HookInput("Stop", (), False, True)


def test_each_message_is_told_once_while_working_and_once_before_stopping() -> None:
    memory = Told()

    def due(event: str, at: float, ids: list[str], *, is_continued: bool = False) -> list[str]:
        found = memory.due("alice", ids, event, now_s=at, is_continued=is_continued)
        memory.note("alice", found, event, now_s=at)
        return found

    assert due("PostToolUse", 0, [A]) == [A]
    assert due("PostToolUse", 1, [A]) == []
    assert due("UserPromptSubmit", 2, [A, B]) == [B]
    assert due("Stop", 3, [A, B]) == [A, B]
    assert due("Stop", 4, [A, B], is_continued=True) == []
    assert due("Stop", 5, [A, B]) == []
    assert due("PostToolUse", 6, [A, B]) == []
    assert due("PostToolUse", 3 + AGAIN_S, [A, B]) == [A, B]
    assert memory.due("bob", [A], "PostToolUse", now_s=6, is_continued=False) == [A]


def test_kept_from_stopping_it_hears_only_of_what_is_new() -> None:
    memory = Told()
    memory.note("alice", [A], "PostToolUse", now_s=0)
    assert memory.due("alice", [A, B], "Stop", now_s=1, is_continued=True) == [B]


def test_what_was_read_is_forgotten() -> None:
    memory = Told()
    memory.note("alice", [A], "PostToolUse", now_s=0)
    assert memory.due("alice", [], "PostToolUse", now_s=1, is_continued=False) == []
    assert memory.due("alice", [A], "PostToolUse", now_s=2, is_continued=False) == [A]


def test_the_line_names_ids_and_senders() -> None:
    one = [{"message_id": A, "sender": "bob"}]
    assert told(one, 0) == f"New message from @bob ({A}) -- run: thrum inbox"
    two = [*one, {"message_id": B, "sender": "bob"}]
    assert told(two, 0) == f"2 new messages from @bob ({A}, {B}) -- run: thrum inbox"
    three = [*two, {"message_id": A, "sender": "eve"}]
    assert told(three, 4).startswith("7 new messages from @bob, @eve (")
    assert told(three, 4).endswith(" and 4 more) -- run: thrum inbox")


def test_each_event_has_its_answer() -> None:
    assert json.loads(answer("Stop", "x")) == {"decision": "block", "reason": "x"}
    for event in ("PostToolUse", "UserPromptSubmit", "SessionStart"):
        output = {"hookEventName": event, "additionalContext": "x"}
        assert json.loads(answer(event, "x")) == {"hookSpecificOutput": output}
    assert answer("PreCompact", "x") == answer("", "x") == b"x\n"

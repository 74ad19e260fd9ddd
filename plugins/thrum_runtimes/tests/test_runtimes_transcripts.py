"""Transcripts of Claude Code and Codex, as they lie on disk."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from thrum_runtimes.transcripts import claude, codex, gemini, lines

from thrum_kernel.api import TranscriptEntry

AT = "2026-07-01T10:00:00.000Z"


def write(path: Path, *entries: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    path.write_text("\n".join(lines) + "\n")
    return path


def said(entries: Iterator[TranscriptEntry]) -> list[tuple[str, str]]:
    return [(entry.kind, entry.text) for entry in entries]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a HOME of the test's own."""
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    with subprocess.Popen([sys.executable, "-c", "input()"], env=env, stdin=subprocess.PIPE) as running:
        yield running
        running.kill()


def encoded(folder: Path) -> str:
    return "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in str(folder))


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "user", "timestamp": AT, "message": {"role": "user", "content": content}, **more}


def test_claude_tells_people_tools_and_the_rest_apart(tmp_path: Path) -> None:
    path = write(
        tmp_path / "s.jsonl",
        {"type": "summary", "summary": "Old work"},
        {"type": "queue-operation", "operation": "enqueue", "content": "msg_in_queue", "timestamp": AT},
        user("Please look"),
        {
            "type": "assistant",
            "timestamp": AT,
            "message": {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm"},
                    {"type": "text", "text": "Looking."},
                    {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "thrum inbox"}},
                ],
            },
        },
        user([{"type": "tool_result", "tool_use_id": "t1", "content": "msg_1"}]),
        user([{"type": "tool_result", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}]),
        user("This session is being continued", isCompactSummary=True),
        user("Caveat", isMeta=True),
        user("for the helper", isSidechain=True),
        '{"type": "user", "message": {"content": "torn',
        "[1, 2]",
        "",
        user([{"type": "text", "text": "Thanks"}]),
        {"type": "attachment", "timestamp": AT, "attachment": {"type": "hook_success"}},
        {"type": "user", "message": "odd"},
        {"type": "user", "message": {"content": 7}},
    )
    with path.open("a") as file:
        file.write('{"type":"user","message":{"content":"torn at the e')
    assert said(claude.read(path)) == [
        ("other", "Old work"),
        ("other", "msg_in_queue"),
        ("user", "Please look"),
        ("assistant", "Looking."),
        ("tool", "msg_1"),
        ("tool", "a"),
        ("other", "This session is being continued"),
        ("other", "Caveat"),
        ("other", "for the helper"),
        ("user", "Thanks"),
        ("other", ""),
        ("other", ""),
    ]
    assert {entry.at for entry in claude.read(path)} == {AT, ""}


def test_claude_is_found_by_what_it_noted_for_its_process(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    cwd = tmp_path / "work" / "my.repo"
    projects = tmp_path / ".claude" / "projects"
    folder = projects / encoded(cwd)
    wanted = write(folder / "aaa.jsonl", user("x", cwd=str(cwd)))
    newer = write(folder / "bbb.jsonl", user("y", cwd=str(cwd)))
    os.utime(wanted, (1, 1))
    assert claude.find(process.pid, cwd) == newer
    write(tmp_path / ".claude" / "sessions" / f"{process.pid}.json", {"sessionId": "aaa", "cwd": str(cwd)})
    assert claude.find(process.pid, cwd) == wanted
    write(tmp_path / ".claude" / "sessions" / f"{process.pid}.json", {"sessionId": "../../aaa"})
    assert claude.find(process.pid, cwd) == newer
    moved = write(projects / "elsewhere" / "ccc.jsonl", user("z"))
    write(tmp_path / ".claude" / "sessions" / f"{process.pid}.json", {"sessionId": "ccc"})
    assert claude.find(process.pid, cwd) == moved


def test_claude_of_another_folder_with_the_same_encoding_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ours, theirs = tmp_path / "a" / "b", tmp_path / "a-b"
    folder = (
        tmp_path / ".claude" / "projects" / str(ours).replace("/", "-").replace("_", "-").replace(".", "-")
    )
    mine = write(folder / "mine.jsonl", {"type": "summary"}, user("x", cwd=str(ours)))
    os.utime(mine, (1, 1))
    write(folder / "theirs.jsonl", user("y", cwd=str(theirs)))
    assert claude.find(0, ours) == mine
    assert claude.find(0, tmp_path / "a" / "c") is None


def message(role: str, text: str, kind: str = "input_text") -> dict[str, Any]:
    payload = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
    return {"timestamp": AT, "type": "response_item", "payload": payload}


def rollout(root: Path, name: str, cwd: Path, *entries: Any) -> Path:
    meta = {"timestamp": AT, "type": "session_meta", "payload": {"id": "x", "cwd": str(cwd)}}
    return write(root / "2026" / "07" / "01" / f"rollout-{name}.jsonl", meta, *entries)


def test_codex_tells_people_tools_and_the_rest_apart(tmp_path: Path) -> None:
    output = {"type": "function_call_output", "call_id": "c", "output": "msg_1"}
    blocks = {"type": "custom_tool_call_output", "output": [{"type": "input_text", "text": "msg_2"}]}
    path = rollout(
        tmp_path,
        "a",
        tmp_path,
        message("developer", "rules"),
        message("user", "<environment_context>\n  <cwd>/w</cwd>"),
        message("user", "Please look"),
        {"timestamp": AT, "type": "event_msg", "payload": {"type": "user_message", "message": "Please look"}},
        message("assistant", "Looking.", "output_text"),
        {"timestamp": AT, "type": "response_item", "payload": {"type": "function_call", "arguments": "{}"}},
        {"timestamp": AT, "type": "response_item", "payload": output},
        {"timestamp": AT, "type": "response_item", "payload": blocks},
        {"timestamp": AT, "type": "compacted", "payload": {"message": "So far"}},
        "not json",
        {"type": "response_item", "payload": None},
    )
    assert said(codex.read(path)) == [
        ("other", "rules"),
        ("other", "<environment_context>\n  <cwd>/w</cwd>"),
        ("user", "Please look"),
        ("assistant", "Looking."),
        ("tool", "msg_1"),
        ("tool", "msg_2"),
        ("other", "So far"),
    ]


def test_codex_is_found_by_the_file_it_holds_open_else_by_folder(tmp_path: Path) -> None:
    sessions = tmp_path / ".codex" / "sessions"
    cwd = tmp_path / "w"
    old = rollout(sessions, "old", cwd)
    os.utime(old, (1, 1))
    rollout(sessions, "other", tmp_path / "elsewhere")
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    hold = [sys.executable, "-c", f"f = open({str(old)!r}, 'a'); print('up', flush=True); input()"]
    with subprocess.Popen(hold, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        newer = rollout(sessions, "newer", cwd)
        assert codex.find(running.pid, cwd) == old
        running.communicate(b"\n")
    assert newer.exists()


def test_codex_without_a_process_takes_the_newest_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    sessions = tmp_path / ".codex" / "sessions"
    older = rollout(sessions, "a", tmp_path / "w")
    rollout(sessions, "b", tmp_path / "other")
    os.utime(older, (1, 1))
    assert codex.find(0, tmp_path / "w") == older
    assert codex.find(0, tmp_path / "nowhere") is None


def test_the_newest_lines_come_first_whatever_their_length(tmp_path: Path) -> None:
    path = write(
        tmp_path / "s.jsonl", *({"n": number, "x": "é" * (number * 7919 % 30_000)} for number in range(40))
    )
    assert [each["n"] for each in lines.newest_objects(path)] == list(range(39, -1, -1))
    path.write_bytes(path.read_bytes() + b'{"n": 40, "torn')
    assert next(iter(lines.newest_objects(path)))["n"] == 39
    few = [each["n"] for each in lines.newest_objects(path, octets=200_000)]
    assert few == list(range(39, 39 - len(few), -1))
    assert 1 <= len(few) < 20


def test_claude_tells_how_full_its_context_is(tmp_path: Path) -> None:
    def answer(**usage: int) -> dict[str, Any]:
        return {"type": "assistant", "message": {"role": "assistant", "content": [], "usage": usage}}

    path = write(
        tmp_path / "s.jsonl",
        answer(input_tokens=9, cache_read_input_tokens=1),
        answer(
            input_tokens=10,
            cache_read_input_tokens=150_000,
            cache_creation_input_tokens=9_990,
            output_tokens=0,
        ),
        {**answer(input_tokens=5), "isSidechain": True},
        user("go on"),
    )
    use = claude.context(path)
    assert use is not None
    assert (use.tokens, use.window, use.percent) == (160_000, 200_000, 80.0)
    larger = claude.context(write(tmp_path / "l.jsonl", answer(input_tokens=250_000)))
    assert larger is not None
    assert larger.window == 1_000_000
    assert claude.context(write(tmp_path / "e.jsonl", user("hello"))) is None


def test_codex_tells_how_full_its_context_is(tmp_path: Path) -> None:
    def count(total: int) -> dict[str, Any]:
        info = {"last_token_usage": {"total_tokens": total}, "model_context_window": 272_000}
        return {"type": "event_msg", "payload": {"type": "token_count", "info": info}}

    none = {"type": "event_msg", "payload": {"type": "token_count", "info": None}}
    use = codex.context(write(tmp_path / "r.jsonl", count(10), count(136_000), none))
    assert use is not None
    assert use.percent == 50.0
    assert codex.context(write(tmp_path / "e.jsonl", none)) is None


def test_gemini_is_read_and_found_by_its_folder(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    chats = tmp_path / ".gemini" / "tmp" / hashlib.sha256(str(folder).encode()).hexdigest() / "chats"
    messages = [
        {"type": "user", "content": "Round it", "timestamp": AT},
        {"type": "info", "content": "update available"},
        {"type": "gemini", "content": [{"text": "Done"}, {"text": "."}], "tokens": {"total": 524_288}},
    ]
    path = write(chats / "session-2026-07-01T10-00-abcd.json", {"sessionId": "abcd", "messages": messages})
    assert gemini.find(process.pid, folder) == path
    assert gemini.find(process.pid, tmp_path) is None
    assert said(gemini.read(path)) == [
        ("user", "Round it"),
        ("other", "update available"),
        ("assistant", "Done\n."),
    ]
    use = gemini.context(path)
    assert use is not None
    assert use.percent == 50.0
    path.write_text('{"messages": [')
    assert said(gemini.read(path)) == []

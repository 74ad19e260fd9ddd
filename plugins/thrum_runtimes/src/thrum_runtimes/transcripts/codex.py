"""Transcripts of Codex: JSON lines in ``~/.codex/sessions/<year>/<month>/<day>/rollout-<time>-<id>.jsonl``.

Each line is ``{timestamp, type, payload}``; the first one, ``session_meta``, names the folder. What was said stands
in ``response_item``; ``event_msg`` says it again for the screen.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from thrum_kernel.api import ContextUse, TranscriptEntry
from thrum_runtimes.transcripts import lines

_LOOKED_AT = 200
"""Newest files whose folder is compared; older ones are of sessions long gone."""
_OUTPUTS = ("function_call_output", "custom_tool_call_output", "local_shell_call_output")
_INJECTED = ("<environment_context>", "<user_instructions>", "# AGENTS.md instructions", "<INSTRUCTIONS>")
"""How texts begin that the program itself puts into the user's mouth."""


def find(pid: int, cwd: Path) -> Path | None:
    """The transcript of the session in process *pid* in folder *cwd*: the one it holds open, else the newest of that
    folder; None when there is none."""
    env = lines.environment(pid)
    root = Path(env["CODEX_HOME"]) if env.get("CODEX_HOME") else lines.home(env) / ".codex"
    sessions = root / "sessions"
    return _held_open(pid, sessions) or _newest(sessions, cwd)


def read(path: Path) -> Iterator[TranscriptEntry]:
    """Its entries, oldest first. What the program adds to the conversation (settings, instructions, compaction) is
    ``other``.

    Raises:
        OSError: the file cannot be read.
    """
    for entry in lines.objects(path):
        at, payload = entry.get("timestamp"), entry.get("payload")
        at = at if isinstance(at, str) else ""
        if entry.get("type") == "response_item" and isinstance(payload, dict):
            yield from _items(payload, at)
        elif entry.get("type") == "compacted" and isinstance(payload, dict):
            yield TranscriptEntry(kind="other", text=lines.texts(payload.get("message")), at=at)


def context(path: Path) -> ContextUse | None:
    """What the newest count of tokens says; None where there is none.

    Raises:
        OSError: the file cannot be read.
    """
    for entry in lines.newest_objects(path):
        payload = entry.get("payload")
        if entry.get("type") != "event_msg" or not isinstance(payload, dict):
            continue
        info = payload.get("info") if payload.get("type") == "token_count" else None
        last = info.get("last_token_usage") if isinstance(info, dict) else None
        if isinstance(info, dict) and isinstance(last, dict):
            tokens, window = last.get("total_tokens"), info.get("model_context_window")
            if isinstance(tokens, int) and isinstance(window, int) and window > 0:
                return ContextUse(tokens=tokens, window=window)
    return None


def _items(payload: dict[str, Any], at: str) -> Iterator[TranscriptEntry]:
    kind = payload.get("type")
    if kind in _OUTPUTS:
        yield TranscriptEntry(kind="tool", text=_output(payload.get("output")), at=at)
    elif kind == "message":
        text = lines.texts(payload.get("content"), "input_text", "output_text", "text")
        if text:
            yield _message(payload.get("role"), text, at)


def _message(role: Any, text: str, at: str) -> TranscriptEntry:
    if role == "assistant":
        return TranscriptEntry(kind="assistant", text=text, at=at)
    if role == "user" and not text.lstrip().startswith(_INJECTED):
        return TranscriptEntry(kind="user", text=text, at=at)
    return TranscriptEntry(kind="other", text=text, at=at)


def _output(output: Any) -> str:
    if isinstance(output, dict):
        output = output.get("content")
    return lines.texts(output, "input_text", "output_text", "text")


def _held_open(pid: int, sessions: Path) -> Path | None:
    if pid <= 0:
        return None
    try:
        names = [opened.path for opened in psutil.Process(pid).open_files()]
    except (psutil.Error, OSError):
        return None
    root = sessions.resolve()
    found = [Path(name) for name in names if name.endswith(".jsonl") and Path(name).is_relative_to(root)]
    return next(iter(lines.newest_first(found)), None)


def _newest(sessions: Path, cwd: Path) -> Path | None:
    wanted = {str(cwd), str(cwd.resolve())}
    # The path begins with the date, so the newest sessions sort last; what is resumed today was changed today.
    found = sorted(sessions.glob("*/*/*/rollout-*.jsonl"))[-_LOOKED_AT:]
    return next((path for path in lines.newest_first(found) if _folder(path) in wanted), None)


def _folder(path: Path) -> str:
    """The folder that the first line names; empty when it names none."""
    try:
        for entry in itertools.islice(lines.objects(path), 1):
            payload = entry.get("payload")
            folder = payload.get("cwd") if isinstance(payload, dict) else entry.get("cwd")
            return folder if isinstance(folder, str) else ""
    except OSError:
        pass
    return ""

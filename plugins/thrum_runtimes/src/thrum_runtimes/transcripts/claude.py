"""Transcripts of Claude Code: JSON lines in ``~/.claude/projects/<encoded folder>/<session>.jsonl``.

``~/.claude/sessions/<pid>.json`` names the session of a live process. Without it, the newest file of the folder's
project whose entries name that very folder is taken: the encoding folds different folders into one name
(spec/features.md §15 item 25).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thrum_kernel.api import ContextUse, TranscriptEntry
from thrum_runtimes.transcripts import lines

_LOOKED_AT = 40
"""Entries at the beginning of a file that may name its folder."""
_COUNTED = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
_WINDOWS = (200_000, 1_000_000)


def find(pid: int, cwd: Path) -> Path | None:
    """The transcript of the session that runs in process *pid* in folder *cwd*; None when there is none.

    Args:
        pid: 0 when the process is gone; then the newest of the folder is taken.
    """
    env = lines.environment(pid)
    root = Path(env["CLAUDE_CONFIG_DIR"]) if env.get("CLAUDE_CONFIG_DIR") else lines.home(env) / ".claude"
    return _of_session(root, pid, cwd) or _newest(root, cwd)


def read(path: Path) -> Iterator[TranscriptEntry]:
    """Its entries, oldest first. Summaries after compaction, queued input, notes of the program and whatever belongs
    to a sub-agent are ``other``.

    Raises:
        OSError: the file cannot be read.
    """
    for entry in lines.objects(path):
        yield from _entries(entry)


def context(path: Path) -> ContextUse | None:
    """What the newest answer says of the tokens it was made from; None where none does.

    The transcript does not tell the window: it is the usual one, else the next greater.

    Raises:
        OSError: the file cannot be read.
    """
    for entry in lines.newest_objects(path):
        message = entry.get("message")
        usage = message.get("usage") if isinstance(message, dict) else None
        if entry.get("type") != "assistant" or entry.get("isSidechain") or not isinstance(usage, dict):
            continue
        tokens = sum(count for key in _COUNTED if isinstance(count := usage.get(key), int))
        if tokens:
            return ContextUse(tokens=tokens, window=next((w for w in _WINDOWS if tokens <= w), _WINDOWS[-1]))
    return None


def _entries(entry: dict[str, Any]) -> Iterator[TranscriptEntry]:
    kind, at = entry.get("type"), entry.get("timestamp")
    at = at if isinstance(at, str) else ""
    message = entry.get("message")
    content = message.get("content") if isinstance(message, dict) else entry.get("content")
    is_aside = entry.get("isMeta") or entry.get("isSidechain") or entry.get("isCompactSummary")
    if kind not in ("user", "assistant") or is_aside or not isinstance(message, dict):
        yield TranscriptEntry(kind="other", text=_any_text(entry, content), at=at)
        return
    text = lines.texts(content, "text")
    if kind == "assistant":
        if text:
            yield TranscriptEntry(kind="assistant", text=text, at=at)
        return
    for result in _tool_results(content):
        yield TranscriptEntry(kind="tool", text=result, at=at)
    if text:
        yield TranscriptEntry(kind="user", text=text, at=at)


def _tool_results(content: Any) -> Iterator[str]:
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict) and block.get("type") == "tool_result":
            yield lines.texts(block.get("content"), "text")


def _any_text(entry: dict[str, Any], content: Any) -> str:
    summary = entry.get("summary")
    return summary if isinstance(summary, str) else lines.texts(content, "text")


def _of_session(root: Path, pid: int, cwd: Path) -> Path | None:
    """The file of the session that the program itself noted for *pid*."""
    try:
        noted = json.loads((root / "sessions" / f"{pid}.json").read_bytes())
    except (OSError, ValueError):
        return None
    session = noted.get("sessionId") if isinstance(noted, dict) else None
    if not isinstance(session, str) or not re.fullmatch(r"[A-Za-z0-9-]+", session):
        return None
    if isinstance(noted.get("cwd"), str):
        cwd = Path(noted["cwd"])
    direct = root / "projects" / _encoded(cwd) / f"{session}.jsonl"
    if direct.is_file():
        return direct
    return next(iter(lines.newest_first(list(root.glob(f"projects/*/{session}.jsonl")))), None)


def _newest(root: Path, cwd: Path) -> Path | None:
    """The newest file whose entries name *cwd*."""
    for folder in (cwd, cwd.resolve()):
        found = list((root / "projects" / _encoded(folder)).glob("*.jsonl"))
        for path in lines.newest_first(found):
            if _names(path, folder):
                return path
    return None


def _names(path: Path, cwd: Path) -> bool:
    try:
        return any(
            entry.get("cwd") == str(cwd) for entry in itertools.islice(lines.objects(path), _LOOKED_AT)
        )
    except OSError:
        return False


def _encoded(folder: Path) -> str:
    return re.sub(r"[^A-Za-z0-9]", "-", str(folder))

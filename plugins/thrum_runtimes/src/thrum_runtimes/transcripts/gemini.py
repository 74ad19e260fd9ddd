"""Transcripts of Gemini CLI: one JSON object a session in ``~/.gemini/tmp/<project>/chats/session-<time>-<id>.json``.

*project* is the SHA-256 of the folder's path. The object holds ``messages``, each of type ``user``, ``gemini`` or a
note of the program, with its ``content`` (a text, or parts with a ``text``) and, of an answer, its ``tokens``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thrum_kernel.api import ContextUse, TranscriptEntry
from thrum_runtimes.transcripts import lines

_LARGEST = 64 << 20
"""Bytes; a larger file is not read."""
_WINDOW = 1_048_576


def find(pid: int, cwd: Path) -> Path | None:
    """The newest session of folder *cwd* in the home of process *pid*; None when there is none."""
    root = lines.home(lines.environment(pid)) / ".gemini" / "tmp"
    for folder in dict.fromkeys((str(cwd), str(cwd.resolve()))):
        project = root / hashlib.sha256(folder.encode()).hexdigest()
        found = lines.newest_first(list((project / "chats").glob("session-*.json")))
        if found:
            return found[0]
    return None


def read(path: Path) -> Iterator[TranscriptEntry]:
    """Its entries, oldest first; what the program itself notes is ``other``.

    Raises:
        OSError: the file cannot be read.
    """
    for message in _messages(path):
        text, at = _text(message.get("content")), message.get("timestamp")
        kind = {"user": "user", "gemini": "assistant"}.get(str(message.get("type")), "other")
        if text:
            yield TranscriptEntry(kind=kind, text=text, at=at if isinstance(at, str) else "")  # type: ignore[arg-type]


def context(path: Path) -> ContextUse | None:
    """What the newest answer says of the tokens it was made from; None where none does.

    Raises:
        OSError: the file cannot be read.
    """
    for message in reversed(_messages(path)):
        tokens = message.get("tokens")
        total = tokens.get("total") if isinstance(tokens, dict) else None
        if isinstance(total, int) and total > 0:
            return ContextUse(tokens=total, window=_WINDOW)
    return None


def _messages(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    try:
        value = json.loads(data) if len(data) <= _LARGEST else None
    except (ValueError, RecursionError):  # it is being written
        return []
    messages = value.get("messages") if isinstance(value, dict) else None
    return [each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []


def _text(content: Any) -> str:
    if isinstance(content, list):
        parts = (part.get("text") if isinstance(part, dict) else part for part in content)
        return "\n".join(part for part in parts if isinstance(part, str) and part)
    return content if isinstance(content, str) else ""

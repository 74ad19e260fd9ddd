"""Finder and reader of the program's transcripts, for its preset."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from thrum_kernel.api import ContextUse, TranscriptEntry
from thrum_kernel.testing.fake_runtime.transcript import encoded, home_of

WINDOW: Final = 100_000
"""Tokens that fit into its context."""


def find(pid: int, cwd: Path) -> Path | None:
    """The transcript of process *pid*; of the folder's newest session when the process is gone or did not say."""
    home = home_of(_environment(pid) or os.environ)
    try:
        session = json.loads((home / "sessions" / f"{pid}.json").read_bytes())["sessionId"]
    except (OSError, ValueError, KeyError):
        session = "*"
    found = list((home / "projects" / encoded(cwd)).glob(f"{session}.jsonl"))
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def read(path: Path) -> Iterator[TranscriptEntry]:
    """Its entries, oldest first.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # the last line is being written
                continue
            yield from _entries(entry)


def context(path: Path) -> ContextUse | None:
    """What the newest answer says of its context; None where none does.

    Raises:
        OSError: the file cannot be read.
    """
    found = None
    with path.open("rb") as lines:
        for line in lines:
            usage = json.loads(line).get("message", {}).get("usage") if line.endswith(b"\n") else None
            found = usage["input_tokens"] if usage else found
    return None if found is None else ContextUse(tokens=found, window=WINDOW)


def _entries(entry: Mapping[str, Any]) -> Iterator[TranscriptEntry]:
    kind, at = entry.get("type"), str(entry.get("timestamp", ""))
    content = entry.get("message", {}).get("content", entry.get("content", ""))
    if kind not in ("user", "assistant") or entry.get("isMeta") or entry.get("isCompactSummary"):
        yield TranscriptEntry(kind="other", text=_text(content), at=at)
    elif kind == "assistant":
        yield TranscriptEntry(kind="assistant", text=_text(content), at=at)
    elif isinstance(content, str):
        yield TranscriptEntry(kind="user", text=content, at=at)
    else:
        yield TranscriptEntry(kind="tool", text=_text(content), at=at)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    return "\n".join(str(block.get("text") or block.get("content") or "") for block in blocks)


def _environment(pid: int) -> dict[str, str]:
    try:
        return dict(psutil.Process(pid).environ()) if pid > 0 else {}
    except (psutil.Error, OSError):
        return {}

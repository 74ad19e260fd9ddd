"""The program's transcript: JSON lines as Claude Code writes them. `reading` reads them.

``<home>/sessions/<pid>.json`` names the session of a process, ``<home>/projects/<folder>/<session>.jsonl`` holds it.
*home* is ``CLAUDE_CONFIG_DIR``, else ``~/.claude``.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def home_of(env: Mapping[str, str]) -> Path:
    """Where a program with this environment keeps its sessions."""
    given = env.get("CLAUDE_CONFIG_DIR")
    return Path(given) if given else Path(env.get("HOME", "/")) / ".claude"


class Transcript:
    """The transcript of one session, written as it goes on.

    Args:
        home: see `home_of`.
        cwd: the folder that the session is about.
    """

    def __init__(self, home: Path, cwd: Path, pid: int) -> None:
        self.session = str(uuid.uuid4())
        self.path = home / "projects" / encoded(cwd) / f"{self.session}.jsonl"
        self._cwd = cwd
        self.path.parent.mkdir(parents=True, exist_ok=True)
        noted = home / "sessions" / f"{pid}.json"
        noted.parent.mkdir(parents=True, exist_ok=True)
        noted.write_text(json.dumps({"pid": pid, "sessionId": self.session, "cwd": str(cwd)}))

    def user(self, text: str, *, is_meta: bool = False) -> None:
        """What was put to the agent; *is_meta* when the program itself did."""
        self._write(
            "user", {"message": {"role": "user", "content": text}, **({"isMeta": True} if is_meta else {})}
        )

    def assistant(self, text: str, *, tokens: int = 0) -> None:
        """What the agent said, and how many tokens its context held then; 0 when it does not tell."""
        message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
        usage = {"usage": {"input_tokens": tokens}} if tokens else {}
        self._write("assistant", {"message": {**message, **usage}})

    def tool(self, command: str, output: str) -> None:
        """A tool's use and its result."""
        use = f"toolu_{uuid.uuid4().hex[:12]}"
        asked = {"type": "tool_use", "id": use, "name": "Bash", "input": {"command": command}}
        given = {"type": "tool_result", "tool_use_id": use, "content": output}
        self._write("assistant", {"message": {"role": "assistant", "content": [asked]}})
        self._write("user", {"message": {"role": "user", "content": [given]}})

    def queued(self, text: str) -> None:
        """Input that waits until the agent has time for it: it has not seen that yet."""
        self._write("queue-operation", {"operation": "enqueue", "content": text})

    def compacted(self, summary: str) -> None:
        """The conversation so far became a summary."""
        self._write("system", {"subtype": "compact_boundary", "content": "Conversation compacted"})
        self._write("user", {"message": {"role": "user", "content": summary}, "isCompactSummary": True})

    def _write(self, kind: str, entry: Mapping[str, Any]) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        whole = {"type": kind, "sessionId": self.session, "cwd": str(self._cwd), "timestamp": at, **entry}
        line = json.dumps(whole, ensure_ascii=False).encode() + b"\n"
        with self.path.open("ab") as file:
            file.write(line)


def encoded(cwd: Path) -> str:
    """The folder's name among the projects."""
    return re.sub(r"[^A-Za-z0-9]", "-", str(cwd))

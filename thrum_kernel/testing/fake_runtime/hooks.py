"""Runs the hook commands of a project as runtimes do: the event as JSON on their standard input, their answer read.

The file has the form of ``.claude/settings.json``: ``{"hooks": {event: [{"hooks": [{"type": "command", "command": …}]}]}}``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the hooks of one event answered.

    Attributes:
        context: what is to be told to the agent.
        goes_on: the agent is kept from stopping, for the reason in *context*.
    """

    context: str = ""
    goes_on: bool = False


class Hooks:
    """The hook commands of one program.

    Args:
        settings: the file that names them; none are run while it is missing.
        cwd: where they are run.
        env: what they find.
        session: id of the session that they are told.
    """

    def __init__(self, settings: Path, *, cwd: Path, env: Mapping[str, str], session: str) -> None:
        self._settings = settings
        self._cwd = cwd
        self._env = {**env, "CLAUDE_PROJECT_DIR": str(cwd)}
        self._session = session

    def run(self, event: str, **given: Any) -> Told:
        """Run every hook of *event*, one after the other; one that fails or hangs says nothing."""
        asked = {"hook_event_name": event, "session_id": self._session, "cwd": str(self._cwd), **given}
        context, goes_on = [], False
        for command in self._commands(event):
            try:
                done = subprocess.run(
                    ["/bin/sh", "-c", command],
                    cwd=self._cwd,
                    env=self._env,
                    input=json.dumps(asked).encode(),
                    capture_output=True,
                    timeout=_LIMIT_S,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired):
                continue
            text, blocks = _answer(done.stdout)
            context += [text] if text else []
            goes_on = goes_on or blocks
        return Told("\n".join(context), goes_on)

    def _commands(self, event: str) -> Iterator[str]:
        try:
            groups = json.loads(self._settings.read_bytes())["hooks"].get(event, [])
        except (OSError, ValueError, KeyError):
            return
        for group in groups:
            for hook in group.get("hooks", []):
                if hook.get("type") == "command":
                    yield hook["command"]


def _answer(output: bytes) -> tuple[str, bool]:
    """What one hook says, and whether it keeps the agent from stopping."""
    try:
        value = json.loads(output)
    except ValueError:
        return output.decode("utf-8", "replace").strip(), False
    if not isinstance(value, dict):
        return "", False
    if value.get("decision") == "block":
        return str(value.get("reason", "")), True
    return str(value.get("hookSpecificOutput", {}).get("additionalContext", "")), False

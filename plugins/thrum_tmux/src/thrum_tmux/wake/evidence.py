"""Proof that a runtime showed a message to its agent: the id in its transcript, in what it was given after the wake."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

from thrum_kernel.api import RuntimePreset
from thrum_tmux.wake.program import Program

_GIVEN = ("user", "tool")


@dataclass(frozen=True, slots=True)
class Before:
    """How often an agent had been given an id before it was woken.

    Attributes:
        path: the transcript; None when there was none.
        times: entries with the id in it.
    """

    path: Path | None
    times: int


class Transcripts:
    """The transcripts of one runtime. Its methods block.

    Args:
        preset: of the runtime; one without a reader proves nothing.
    """

    def __init__(self, preset: RuntimePreset) -> None:
        self._preset = preset

    @property
    def can_tell(self) -> bool:
        """Whether there is anything to read."""
        return self._preset.read_transcript is not None and self._preset.find_transcript is not None

    def before(self, program: Program, message_id: str) -> Before:
        """What *program* had been given of a message until now."""
        path = self._of(program)
        return Before(path, self._times(path, message_id) if path is not None else 0)

    def shows(self, program: Program, message_id: str, before: Before) -> bool:
        """Whether *program* was given the message since then, as input or as a tool's result.

        What waits in a queue, what the agent wrote itself, summaries and notes of the program prove nothing.
        """
        path = self._of(program)
        if path is None:
            return False
        known = before.times if path == before.path else 0
        return self._times(path, message_id) > known

    def _of(self, program: Program) -> Path | None:
        find = self._preset.find_transcript
        if find is None or program.cwd is None:
            return None
        return find(program.pid, program.cwd)

    def _times(self, path: Path, message_id: str) -> int:
        """The entries that gave the agent the message; a file without the id anywhere is not parsed."""
        read = self._preset.read_transcript
        if read is None or not _holds(path, message_id.encode()):
            return 0
        try:
            return sum(entry.kind in _GIVEN and message_id in entry.text for entry in read(path))
        except OSError:
            return 0


def _holds(path: Path, sought: bytes) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            return whole.find(sought) >= 0
    except (OSError, ValueError):  # it is gone, or empty
        return False

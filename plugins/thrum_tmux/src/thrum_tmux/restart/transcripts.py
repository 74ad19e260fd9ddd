"""A snapshot made of a runtime's own transcript; blocking.

Source: spec/features.md §5; issue "Terminal" ("forced").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from thrum_kernel.api import RuntimePreset
from thrum_kernel.errors import Refused
from thrum_tmux.restart.conversation import Limits, conversation
from thrum_tmux.restart.snapshot import SELF, Snapshot
from thrum_tmux.restart.subject import Subject

DEFAULT_READER = "claude"
"""Whose transcript a file is taken for that an agent names whose own runtime keeps none."""


class NoTranscript(Refused):
    """There is no transcript to make a snapshot of.

    Attributes:
        code: of the hint that goes with it.
    """

    def __init__(self, code: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True, slots=True)
class Transcript:
    """A transcript and how it is read.

    Attributes:
        path: the file.
        preset: the runtime whose reader understands it.
    """

    path: Path
    preset: RuntimePreset

    @property
    def session(self) -> str:
        """The runtime's name of the session, as its files are called."""
        return self.path.stem


def find(subject: Subject, presets: Sequence[RuntimePreset]) -> Transcript:
    """The transcript of the session that runs as *subject*.

    Raises:
        NoTranscript: its runtime keeps none that can be read, or it is not there.
    """
    preset = next((each for each in presets if each.name == subject.runtime), None)
    if preset is None or preset.find_transcript is None or preset.read_transcript is None:
        raise NoTranscript(
            "snapshot.save.no-jsonl",
            f"no transcript of {subject.runtime or 'an unknown runtime'} can be read",
            hint="say what matters yourself: thrum tmux snapshot save --plan TEXT",
        )
    path = preset.find_transcript(subject.pid, subject.worktree)
    if path is None:
        raise NoTranscript(
            "snapshot.save.jsonl-not-found",
            f"no transcript of {preset.name} is there for PID {subject.pid} in {subject.worktree}",
            hint="name the file: thrum tmux snapshot save --jsonl FILE",
        )
    return Transcript(path, preset)


def named(path: Path, subject: Subject, presets: Sequence[RuntimePreset]) -> Transcript:
    """A transcript that somebody names, read as the subject's runtime writes them.

    Raises:
        NoTranscript: no reader is there.
    """
    by_name = {each.name: each for each in presets if each.read_transcript is not None}
    preset = by_name.get(subject.runtime) or by_name.get(DEFAULT_READER)
    if preset is None:
        raise NoTranscript(
            "snapshot.save.no-jsonl",
            "no plugin here reads transcripts",
            hint="install thrum-runtimes from where this thrum came from",
        )
    return Transcript(path, preset)


def extracted(
    transcript: Transcript,
    subject: Subject,
    *,
    saved_at: datetime,
    limits: Limits,
    reason: str = SELF,
    plan: str = "",
    draft: str = "",
) -> Snapshot:
    """The snapshot of a transcript.

    Raises:
        NoTranscript: it cannot be read.
    """
    read = transcript.preset.read_transcript
    assert read is not None
    try:
        found = conversation(read(transcript.path), limits)
    except OSError as error:
        raise NoTranscript(
            "snapshot.save.extract-failed",
            f"the transcript {transcript.path} cannot be read: {error.strerror or error}",
            hint="say what matters yourself: thrum tmux snapshot save --plan TEXT",
        ) from error
    return Snapshot(
        agent=subject.agent,
        saved_at=saved_at,
        session=transcript.session,
        reason=reason,
        conversation=found.text,
        lines=found.lines,
        plan=plan,
        # Whoever saves its own session is at work on what it was asked: saving, more often than not.
        unanswered="" if reason == SELF else found.unanswered,
        draft=draft,
    )

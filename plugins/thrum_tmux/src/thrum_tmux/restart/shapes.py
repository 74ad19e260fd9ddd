"""Parameters and results of ``tmux.restart``. Source: spec/features.md §1.2."""

from __future__ import annotations

import msgspec


class RestartParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Begin a session's runtime anew.

    Attributes:
        name: the session.
        force: do not ask the agent to save; its transcript is read at once. Also when it is somebody else's, who is told.
        runtime: what to launch; empty: what ran.
    """

    name: str
    force: bool = False
    runtime: str = ""


class RestartResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The runtime is being started.

    Attributes:
        session: its name.
        runtime: what was launched.
        snapshot_lines: lines of conversation in the snapshot; 0 when there is none.
        saved_by: ``agent`` it saved by itself, ``transcript`` it was read from there, empty: nothing was saved.
        snapshot: the file; empty when there is none.
        draft: text that stood in the prompt and was kept in the snapshot.
        why: why the agent did not save by itself, or why there is no conversation.
        notes: whose session it was all the same, and who was told.
    """

    session: str
    runtime: str
    snapshot_lines: int
    saved_by: str = ""
    snapshot: str = ""
    draft: str = ""
    why: str = ""
    notes: list[str] = []

"""Parameters and results of the ``context.*`` methods. Contents are base64 (spec/kernel.md §4.4)."""

from __future__ import annotations

import msgspec


class AgentParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``repo_path`` is taken for old clients and ignored: the folder follows from the agent's own worktree."""

    agent_name: str
    repo_path: str = ""
    caller_agent_id: str = ""


class SaveParams(AgentParams):
    content: str


class ShowParams(AgentParams):
    """``include_overlay`` and ``include_project`` add the hand-written overlay and the project's state.

    ``shared`` asks for what was given to other clones instead of what lies here.
    """

    include_preamble: bool = True
    shared: bool = False
    include_overlay: bool = False
    include_project: bool = False


class SyncParams(AgentParams):
    """``project`` shares the project's state instead; ``force`` also over a newer one of somebody else."""

    project: bool = False
    force: bool = False


class PreambleSaveParams(AgentParams):
    """Without ``content`` the default preamble is written.

    ``role_text`` (base64) instead of it is put before the default preamble, and the agent's overlay after it.
    """

    content: str = ""
    role_text: str = ""


class Done(msgspec.Struct, kw_only=True):
    agent_name: str
    message: str


class Shown(msgspec.Struct, kw_only=True, omit_defaults=True):
    agent_name: str
    preamble: str = ""
    content: str | None
    has_context: bool
    has_preamble: bool
    preamble_size: int = 0
    size: int = 0
    updated_at: str = ""
    overlay: str = ""
    project_state: str = ""


class PreambleShown(msgspec.Struct, kw_only=True):
    agent_name: str
    content: str | None
    has_preamble: bool

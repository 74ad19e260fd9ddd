"""Parameters and results of the methods ``roles.*``."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from thrum_roles.refreshing import Action

Outcome = Literal["updated", "would update", "no template"]


class ListParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class DeployParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Whose preamble: of *agent*, or without it of every agent on this machine. *dry_run* writes nothing."""

    agent: str = ""
    dry_run: bool = False
    caller_agent_id: str = ""


class DeployedAgent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of one agent's preamble; ``text`` is its role text, for one agent and a dry run only."""

    agent_id: str
    role: str
    outcome: Outcome
    path: str
    text: str = ""


class Deployed(msgspec.Struct, kw_only=True):
    """``updated`` of ``total`` agents have, or in a dry run would have, a new preamble."""

    updated: int
    total: int
    dry_run: bool
    agents: list[DeployedAgent]


class RefreshParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing but a claim, which is checked."""

    caller_agent_id: str = ""


class RefreshedTemplate(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of one template; ``aside`` is where a text of somebody's own was moved to."""

    role: str
    action: Action
    path: str
    template: str = ""
    aside: str = ""


class RefreshResult(msgspec.Struct, kw_only=True):
    schema_version: int
    templates: list[RefreshedTemplate]


class SaveConfigParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """*config* is the new ``role_config``; keys that nobody knows are refused."""

    config: dict[str, Any]
    caller_agent_id: str = ""


class SavedConfig(msgspec.Struct, kw_only=True):
    """The section as it was saved."""

    role_config: dict[str, Any]

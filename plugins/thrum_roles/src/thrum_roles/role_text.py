"""The role text of an agent: its role's template with the agent's own names, and what it may change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from thrum_kernel.api import AgentInfo
from thrum_roles import scope
from thrum_roles.repository import RepositoryTemplates
from thrum_roles.settings import RoleConfig

DEFAULT_COORDINATOR: Final = "coordinator"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def fields_of(agent: AgentInfo, *, repo: Path, coordinator: str) -> dict[str, str]:
    """The value of every field that a template may name."""
    values = {
        "AgentName": agent.name,
        "Role": agent.role,
        "Module": agent.module,
        "WorktreePath": str(agent.worktree),
        "RepoRoot": str(repo),
        "CoordinatorName": coordinator or DEFAULT_COORDINATOR,
    }
    return {name: _CONTROL.sub(" ", value) for name, value in values.items()}


def role_text(
    templates: RepositoryTemplates, config: RoleConfig, role: str, fields: Mapping[str, str]
) -> str | None:
    """The text for an agent; None when its role has no template. Blocks.

    Raises:
        FileDamaged: the template cannot be read or understood; names file and line.
    """
    template = templates.template(role)
    if template is None:
        return None
    answers = config.roles.get(role)
    about_scope = scope.section(answers.scope, fields) if answers is not None else ""
    parts = (template.render(fields), about_scope)
    return "\n".join(part.strip() + "\n" for part in parts if part.strip())


def header(fields: Mapping[str, str]) -> str:
    """What an agent whose role has no template is told of it."""
    module = f" of the module {fields['Module']}" if fields["Module"] else ""
    return f"# Role: {fields['Role']}\n\nYou are @{fields['AgentName']}, {fields['Role']}{module}.\n"

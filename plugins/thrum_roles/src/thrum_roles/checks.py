"""What ``thrum doctor`` looks at: templates that nobody could render, and templates that fell behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from thrum_kernel.api import Check, Finding, PluginContext
from thrum_kernel.errors import FileDamaged
from thrum_roles.drift import drift
from thrum_roles.repository import RepositoryTemplates
from thrum_roles.settings import RoleConfig
from thrum_roles.shipped import Catalogue, catalogue

SUBJECT: Final = "roles"


def checks(ctx: PluginContext) -> Sequence[Check]:
    """The checks for the repository of *ctx*."""

    def look(_: object) -> Sequence[Finding]:
        return findings(RepositoryTemplates(ctx.paths.thrum), ctx.settings.role_config, catalogue())

    return (Check(subject=SUBJECT, look=look),)


def findings(templates: RepositoryTemplates, config: RoleConfig, shipped: Catalogue) -> list[Finding]:
    """What is wrong, or one line that nothing is."""
    try:
        roles = templates.roles()
    except FileDamaged as error:
        return [Finding(SUBJECT, "error", str(error), f"ls -ld {error.path}")]
    found = [finding for role in roles if (finding := _damage(templates, role)) is not None]
    differs = drift(config, roles, shipped)
    if differs is not None:
        found.append(
            Finding(SUBJECT, "warning", f"[{differs.code}] {differs.message}", "thrum roles refresh")
        )
    unwritten = sorted(
        role
        for role, answer in config.roles.items()
        if role not in roles and shipped.find(role, answer.autonomy)
    )
    if unwritten:
        text = f"answered, but never written: {', '.join(unwritten)}"
        found.append(Finding(SUBJECT, "warning", text, "thrum roles refresh"))
    number = f"{len(roles)} role template{'' if len(roles) == 1 else 's'}" if roles else "no role templates"
    return found or [Finding(SUBJECT, "ok", number)]


def _damage(templates: RepositoryTemplates, role: str) -> Finding | None:
    try:
        templates.template(role)
    except FileDamaged as error:
        return Finding(SUBJECT, "error", str(error), f"edit {error.path}")
    return None

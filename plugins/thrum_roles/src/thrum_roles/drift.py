"""Whether the templates of a repository still are what was answered and what is shipped; pure.

One finding at a time, the most basic first: templates without answers, then answers of an older kind, then a shipped
text that changed. Source: seed 000, "Role configuration system"; spec/features.md §12.3.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from thrum_roles.settings import RoleConfig
from thrum_roles.shipped import Catalogue

MIGRATION: Final = "roles.config.migration"
SCHEMA_BUMP: Final = "roles.config.schema-bump"
BODY_DIFF: Final = "roles.config.body-diff"


@dataclass(frozen=True, slots=True)
class Drift:
    """What differs.

    Attributes:
        code: one of the three above.
        message: one sentence.
        roles: those concerned, sorted.
    """

    code: str
    message: str
    roles: tuple[str, ...]


def drift(config: RoleConfig, on_disk: Collection[str], shipped: Catalogue) -> Drift | None:
    """The one thing that is to be told; None when all is as it was answered.

    Args:
        on_disk: the roles that have a template in the repository.
    """
    if not config.is_saved:
        return _migration(on_disk) if on_disk else None
    if shipped.schema_version > config.schema_version:
        text = f"the role templates of thrum are of version {shipped.schema_version}, yours of {config.schema_version}"
        return Drift(SCHEMA_BUMP, text, tuple(sorted(config.roles)))
    changed = tuple(sorted(role for role in config.roles if _has_changed(config, role, shipped)))
    if not changed:
        return None
    return Drift(
        BODY_DIFF,
        f"the shipped text for {_listed(changed)} is not the one that yours was written from",
        changed,
    )


def _migration(on_disk: Collection[str]) -> Drift:
    roles = tuple(sorted(on_disk))
    return Drift(
        MIGRATION, f"there are templates for {_listed(roles)}, but no answers saved about them", roles
    )


def _has_changed(config: RoleConfig, role: str, shipped: Catalogue) -> bool:
    answers = config.roles[role]
    found = shipped.find(role, answers.autonomy)
    return found is not None and answers.rendered_hash is not None and found.hash != answers.rendered_hash


def _listed(roles: Collection[str]) -> str:
    return ", ".join(roles)

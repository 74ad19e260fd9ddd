"""Writing the templates of a repository from the saved answers and the shipped texts. All of it blocks.

What somebody wrote by hand is never lost: `refresh` moves it aside before it writes its own, `init` leaves it.

Source: seed 000, "Role configuration system"; spec/features.md §12.1, §15 item 34.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from thrum_roles.front_matter import Source
from thrum_roles.repository import RepositoryTemplates
from thrum_roles.settings import RoleAnswers, RoleConfig
from thrum_roles.shipped import Catalogue, Shipped

Action = Literal["written", "unchanged", "kept", "adopted", "own"]
"""``adopted``: it is a shipped text, so its answers are known. ``own``, ``kept``: a text of somebody's own."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What became of one role's template.

    Attributes:
        template: the shipped one that it comes from; empty when none.
        aside: where what was there lies now; None when nothing had to be moved.
    """

    role: str
    action: Action
    path: Path
    template: str = ""
    aside: Path | None = None


def refresh(
    templates: RepositoryTemplates, config: RoleConfig, shipped: Catalogue
) -> tuple[RoleConfig, list[Refreshed]]:
    """Write the template of every answered role anew; the answers with what was written.

    Raises:
        FileDamaged: a template cannot be read or written.
    """
    done: list[Refreshed] = []
    answers = dict(config.roles)
    for role, answer in sorted(config.roles.items()):
        found = shipped.find(role, answer.autonomy)
        if found is None:
            done.append(Refreshed(role, "own", templates.path(role)))
            continue
        done.append(_written(templates, role, found, known_hashes(role, answer, shipped)))
        answers[role] = answer.model_copy(update={"rendered_hash": found.hash})
    return config.model_copy(update={"roles": answers, "schema_version": shipped.schema_version}), done


def adopt(
    templates: RepositoryTemplates, shipped: Catalogue
) -> tuple[dict[str, RoleAnswers], list[Refreshed]]:
    """Answers for templates that nobody saved any for: those whose text is a shipped one. Nothing is written.

    Raises:
        FileDamaged: a template cannot be read.
    """
    answers: dict[str, RoleAnswers] = {}
    done: list[Refreshed] = []
    for role in templates.roles():
        source = templates.source(role)
        found = next((each for each in shipped.of_role(role) if source and each.hash == source.hash), None)
        if found is None:
            done.append(Refreshed(role, "own", templates.path(role)))
            continue
        answers[role] = RoleAnswers(autonomy=found.autonomy, rendered_hash=found.hash)
        done.append(Refreshed(role, "adopted", templates.path(role), found.name))
    return answers, done


def known_hashes(role: str, answer: RoleAnswers | None, shipped: Catalogue) -> frozenset[str]:
    """Of the texts for a role that are ours: every shipped form, and what it was last written from."""
    ours = {template.hash for template in shipped.of_role(role)}
    return frozenset(ours | ({answer.rendered_hash} if answer and answer.rendered_hash else set()))


def is_edited(source: Source, ours: Iterable[str]) -> bool:
    """Whether a template is somebody's own text."""
    return bool(source.body.strip()) and source.hash not in ours


def merged(config: RoleConfig, chosen: Mapping[str, Shipped]) -> RoleConfig:
    """The answers with *chosen* templates among them; the scope of a role stays."""
    answers = {
        role: config.roles.get(role, RoleAnswers()).model_copy(
            update={"autonomy": template.autonomy, "rendered_hash": template.hash}
        )
        for role, template in chosen.items()
    }
    return config.model_copy(update={"roles": {**config.roles, **answers}})


def _written(templates: RepositoryTemplates, role: str, found: Shipped, ours: frozenset[str]) -> Refreshed:
    path, there = templates.path(role), templates.source(role)
    if there is not None and there.hash == found.hash and there.body_line == 1:
        return Refreshed(role, "unchanged", path, found.name)
    aside = templates.set_aside(role) if there is not None and is_edited(there, ours) else None
    templates.write(role, found.body)
    return Refreshed(role, "written", path, found.name, aside)

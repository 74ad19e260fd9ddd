"""What ``thrum roles list`` tells: templates with their agents, and agents without a template. Blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from thrum_kernel.errors import ThrumError
from thrum_roles.drift import drift
from thrum_roles.refreshing import known_hashes
from thrum_roles.repository import RepositoryTemplates
from thrum_roles.settings import RoleConfig
from thrum_roles.shipped import Catalogue

Origin = Literal["shipped", "edited", "own", "damaged"]


class Named(Protocol):
    """An agent by name and role."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...


class ListedTemplate(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A template of the repository.

    ``origin``: ``shipped`` as it comes with thrum (now or when it was written), ``edited`` by hand since (emptied, too), ``own`` of a
    role without saved answers, ``damaged`` with its ``error``.
    """

    role: str
    path: str
    agents: list[str]
    origin: Origin
    autonomy: str = ""
    scope: str = ""
    error: str = ""


class ListedAgent(msgspec.Struct, kw_only=True):
    agent_id: str
    role: str


class ListedDrift(msgspec.Struct, kw_only=True):
    code: str
    message: str
    roles: list[str]


class Listing(msgspec.Struct, kw_only=True, omit_defaults=True):
    """All of it; ``drift`` is what ``prime`` warns of."""

    templates: list[ListedTemplate]
    without_template: list[ListedAgent]
    drift: ListedDrift | None = None


def listing(
    templates: RepositoryTemplates, config: RoleConfig, agents: Sequence[Named], shipped: Catalogue
) -> Listing:
    """The listing for these agents.

    Raises:
        FileDamaged: the folder of templates cannot be read.
    """
    roles = templates.roles()
    differs = drift(config, roles, shipped)
    return Listing(
        templates=[_listed(role, templates, config, agents, shipped) for role in roles],
        without_template=[
            ListedAgent(agent_id=agent.name, role=agent.role) for agent in agents if agent.role not in roles
        ],
        drift=None
        if differs is None
        else ListedDrift(code=differs.code, message=differs.message, roles=list(differs.roles)),
    )


def _listed(
    role: str,
    templates: RepositoryTemplates,
    config: RoleConfig,
    agents: Sequence[Named],
    shipped: Catalogue,
) -> ListedTemplate:
    answers = config.roles.get(role)
    found = ListedTemplate(
        role=role,
        path=str(templates.path(role)),
        agents=[agent.name for agent in agents if agent.role == role],
        origin="own",
        autonomy=answers.autonomy if answers else "",
        scope=answers.scope if answers else "",
    )
    try:
        templates.template(role)
        source = templates.source(role)
    except ThrumError as error:
        found.origin, found.error = "damaged", str(error)
        return found
    if source is not None and source.hash in known_hashes(role, answers, shipped):
        found.origin = "shipped"
    elif answers is not None:
        found.origin = "edited"
    return found

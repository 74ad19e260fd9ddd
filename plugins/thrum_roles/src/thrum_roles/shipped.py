"""The templates that come with this plugin: files ``<role>-<autonomy>.md`` and ``<role>.md`` below ``templates``."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Final

from thrum_kernel.errors import NotFound
from thrum_roles import front_matter

ROLES: Final = (
    "coordinator",
    "implementer",
    "planner",
    "researcher",
    "reviewer",
    "tester",
    "deployer",
    "documenter",
    "monitor",
    "orchestrator",
)


@dataclass(frozen=True, slots=True)
class Shipped:
    """One template.

    Attributes:
        name: of its file, without ending.
        role, autonomy: what it is for; *autonomy* is empty where a role has only one form.
        schema_version: of what templates and saved answers are made of.
        body: its text without front matter.
    """

    name: str
    role: str
    autonomy: str
    schema_version: int
    body: str

    @property
    def hash(self) -> str:
        """See `front_matter.body_hash`."""
        return front_matter.body_hash(self.body)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Templates by name."""

    templates: tuple[Shipped, ...]

    @property
    def names(self) -> list[str]:
        return [template.name for template in self.templates]

    @property
    def schema_version(self) -> int:
        """The newest of all templates; 0 when there are none."""
        return max((template.schema_version for template in self.templates), default=0)

    def find(self, role: str, autonomy: str) -> Shipped | None:
        """The template of a role: ``<role>-<autonomy>``, else ``<role>``; None when it has neither."""
        by_name = {template.name: template for template in self.of_role(role)}
        return by_name.get(f"{role}-{autonomy}") or by_name.get(role)

    def of_role(self, role: str) -> list[Shipped]:
        """Every form of a role."""
        return [template for template in self.templates if template.role == role]

    def named(self, name: str) -> Shipped:
        """The template that ``ROLE-AUTONOMY`` means.

        Raises:
            NotFound: there is none; the hint lists those that there are.
        """
        role, _, autonomy = name.partition("-")
        found = self.find(role, autonomy)
        if found is None:
            raise NotFound("role template", name, hint=f"there are: {', '.join(self.names)}")
        return found


@functools.cache
def catalogue() -> Catalogue:
    """All of them, read once."""
    folder = resources.files("thrum_roles") / "templates"
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".md"))
    return Catalogue(tuple(_shipped(name, (folder / name).read_text("utf-8")) for name in files))


def made_of(templates: Iterable[tuple[str, str]]) -> Catalogue:
    """A catalogue of other texts, by name."""
    return Catalogue(tuple(_shipped(f"{name}.md", text) for name, text in templates))


def _shipped(file: str, text: str) -> Shipped:
    name = file.removesuffix(".md")
    role, _, autonomy = name.partition("-")
    source = front_matter.split(text)
    return Shipped(name, role, autonomy, int(source.values["schema_version"]), source.body.lstrip("\n"))

"""config.json as it was at one moment: values with where they come from, and what is wrong with it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from thrum_kernel.api import Finding
from thrum_kernel.errors import FileDamaged, UsageError
from thrum_kernel.settings.core import ENVIRONMENT
from thrum_kernel.settings.sections import (
    ABSENT,
    UNKNOWN,
    Section,
    Sections,
    hinder,
    lookup,
    mistakes,
    overlap,
    place,
    plain,
    without,
)

IN_FILE: Final = "config.json"
DEFAULT: Final = "default"

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it comes from.

    Attributes:
        key: dotted.
        value: as JSON knows it.
        source: ``config.json``, ``default``, ``env NAME``, ``flag --name`` or ``var/FILE`` for this machine's overlay.
    """

    key: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Override:
    """A value that ranks above config.json; the one given first ranks highest."""

    key: str
    value: Any
    source: str


def overrides_of(env: Mapping[str, str]) -> tuple[Override, ...]:
    """What the environment of an explicit ``daemon start`` sets; judged with all other values."""
    return tuple(
        Override(key, env[name].strip(), f"env {name}")
        for name, key in ENVIRONMENT.items()
        if env.get(name, "").strip()
    )


@dataclass(frozen=True)
class Document:
    """config.json as it was at one moment.

    Attributes:
        path: where it lies.
        raw: what it holds.
        sections: what keys there are.
        overrides: what ranks above it, highest first.
        damaged: why a section cannot be used although config.json can, by its name: its overlay is not to be
            understood.
    """

    path: Path
    raw: Mapping[str, Any]
    sections: Sections
    overrides: tuple[Override, ...] = ()
    damaged: Mapping[str, FileDamaged] = field(default_factory=dict)
    _validated: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def get(self, dotted: str) -> Setting:
        """The value of one key.

        Raises:
            UsageError: nobody knows the key and config.json does not hold it.
            FileDamaged: the value in config.json is not what it must be; names the key.
        """
        name, *rest = dotted.split(".")
        section = self.sections.get(name)
        if section is None:
            found = lookup(self.raw, [name, *rest])
            if found is ABSENT:
                self.sections.check_key(dotted)
            return Setting(dotted, found, IN_FILE)
        value = lookup(self._value(section, for_key=dotted), rest)
        if value is ABSENT:
            raise self.sections.unknown(dotted)
        return Setting(dotted, plain(value), self._source(dotted))

    def section(self, name: str, model: type[M]) -> M:
        """A whole section as its type.

        Raises:
            UsageError: it is not registered with that type.
            FileDamaged: a value in it is not what it must be; names every such key.
        """
        section = self.sections.get(name)
        value = self._value(section) if section else None
        if not isinstance(value, model):
            raise UsageError(f'settings section "{name}" is not registered as {model.__name__}')
        return value

    def check(self, section: Section) -> None:
        """Whether *section* can be used, as far as its overlay goes.

        Raises:
            FileDamaged: it cannot.
        """
        damage = self.damaged.get(section.name)
        if damage is not None:
            raise damage.with_traceback(None)

    def show(self) -> dict[str, Any]:
        """Every known key as nested ``{value, source}``; sections of plugins we lack as they are.

        A value that does not fit is shown as it is, with what is wrong in ``problem``.
        """
        shown: dict[str, Any] = {}
        wrong = {finding.subject: finding.text for finding in self.problems()}
        for section in self.sections:
            for key in self.sections.keys_of(section):
                place(shown, key.split("."), self._shown(section, key, wrong))
        for name, value in self.raw.items():
            if name not in shown and self.sections.get(name) is None:
                shown[name] = {"value": value, "source": IN_FILE}
        return shown

    def problems(self) -> list[Finding]:
        """Every mistake, each with its key; empty when all is well."""
        found: list[Finding] = []
        for section in self.sections:
            damage = self.damaged.get(section.name)
            if damage is not None:
                found.append(Finding(section.name, "error", str(damage), damage.hint))
            given = self._given(section)
            if given is not ABSENT:
                found += [self._finding(key, text) for key, text in mistakes(section, given)]
        for name in self.raw:
            if self.sections.get(name) is None:
                near = self.sections.near(name)
                text = "unknown section" + (
                    f"; did you mean {near[0]}?" if near else ": no installed plugin has it"
                )
                found.append(Finding(name, "warning", text))
        return found

    def _finding(self, key: str, text: str) -> Finding:
        unknown = text == UNKNOWN
        near = self.sections.near(key) if unknown else []
        if near:
            text = f"{text}; did you mean {near[0]}?"
        return Finding(
            key,
            "warning" if unknown else "error",
            text,
            f"thrum config set {key} VALUE" if not unknown else "",
        )

    def _given(self, section: Section) -> Any:
        """The section's value with what overrides it; `ABSENT` when nobody gives any."""
        value = copy.deepcopy(self.raw.get(section.name, ABSENT))
        for override in reversed(self.overrides):
            name, *rest = override.key.split(".")
            if name == section.name:
                value = value if isinstance(value, dict) else {}
                place(value, rest, override.value)
        return value

    def _value(self, section: Section, *, for_key: str = "") -> Any:
        cached = self._validated.get(section.name, ABSENT)
        if cached is not ABSENT:
            return cached
        self.check(section)
        given = self._given(section)
        if given is ABSENT:
            value = section.absent()
        else:
            wrong = [(key, text) for key, text in mistakes(section, given) if text != UNKNOWN]
            if wrong:
                return self._despite(section, given, wrong, for_key)
            value = section.validated(given)
        self._validated[section.name] = value
        return value

    def _despite(self, section: Section, given: Any, wrong: list[tuple[str, str]], for_key: str) -> Any:
        """The section without its mistaken values, for a key that is not among them.

        Raises:
            FileDamaged: the key, or the section as a whole, is.
        """
        touched = [f"{key}: {text}" for key, text in wrong if not for_key or overlap(key, for_key)]
        rest = without(given, wrong)
        if touched or hinder(section, rest):
            told = touched or [f"{key}: {text}" for key, text in wrong]
            key = told[0].partition(": ")[0]
            raise FileDamaged(
                self.path, "; ".join(told), hint=f"thrum config set {key} VALUE, or mend it by hand"
            )
        return section.validated(rest)

    def _source(self, dotted: str) -> str:
        for override in self.overrides:
            if override.key == dotted:
                return override.source
        return DEFAULT if lookup(self.raw, dotted.split(".")) is ABSENT else IN_FILE

    def _shown(self, section: Section, key: str, wrong: Mapping[str, str]) -> dict[str, Any]:
        try:
            setting = self.get(key)
        except FileDamaged:
            given = lookup({section.name: self._given(section)}, key.split("."))
            problem = next((text for name, text in wrong.items() if overlap(name, key)), "does not fit")
            value = None if given is ABSENT else given
            return {"value": value, "source": self._source(key), "problem": problem}
        return {"value": setting.value, "source": setting.source}

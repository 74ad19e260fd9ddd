"""The section ``role_config`` of config.json: what was answered about roles, and from what templates were written.

Source: spec/features.md §12.1; seed 000, "Role configuration system".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from thrum_kernel.errors import UsageError

SECTION: Final = "role_config"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _one_line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must be one line of text")
    return text


RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Autonomy = Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9-]{0,63})?$")]
Scope = Annotated[str, StringConstraints(max_length=400, strip_whitespace=True), AfterValidator(_one_line)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class RoleAnswers(BaseModel):
    """What was answered about one role.

    Attributes:
        autonomy: which form of its template, e.g. ``strict``; empty where it has only one.
        scope: what its agents may change: see `scope`.
        rendered_hash: of the shipped body that its template was last written from; None when it never was.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    autonomy: Autonomy = ""
    scope: Scope = ""
    rendered_hash: Hash | None = None


class RoleConfig(BaseModel):
    """All answers.

    Attributes:
        schema_version: of the shipped templates when they were last written; 0 when nothing was ever saved.
        plugin_version: of this plugin when the answers were saved.
        configured_at: when they were; a timestamp.
        roles: the answers by role.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    schema_version: int = 0
    plugin_version: str = ""
    configured_at: str = ""
    roles: dict[RoleName, RoleAnswers] = {}

    @property
    def is_saved(self) -> bool:
        """Whether there is a section at all."""
        return bool(self.schema_version or self.configured_at or self.roles)

    def plain(self) -> dict[str, Any]:
        """As it stands in config.json."""
        return self.model_dump(exclude_none=True)


class Settings(BaseModel):
    """What config.json may hold for this plugin."""

    role_config: RoleConfig = RoleConfig()


class _GivenAnswers(RoleAnswers):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _GivenConfig(RoleConfig):
    model_config = ConfigDict(extra="forbid", frozen=True)

    roles: dict[RoleName, _GivenAnswers] = {}  # type: ignore[assignment]


def given(value: Any) -> RoleConfig:
    """Answers that somebody gives, with nothing in them that we do not know.

    Raises:
        UsageError: a key is unknown or a value does not fit; names every one.
    """
    try:
        found = _GivenConfig.model_validate(value)
    except ValidationError as error:
        raise UsageError(
            "invalid role configuration: " + "; ".join(_mistake(each) for each in error.errors()),
            hint='{"roles": {"implementer": {"autonomy": "strict", "scope": "module"}}}',
        ) from error
    return RoleConfig.model_validate(found.model_dump())


def stored(document: Mapping[str, Any]) -> RoleConfig:
    """The answers in config.json, read without the kernel; those that do not fit count as not saved."""
    try:
        return RoleConfig.model_validate(document.get(SECTION) or {})
    except ValidationError:
        return RoleConfig()


def _mistake(detail: Any) -> str:
    where = ".".join(str(part) for part in detail["loc"] if part != "[key]")
    if detail["type"] == "extra_forbidden":
        return f'unknown key "{where}"'
    text = str(detail["msg"]).removeprefix("Value error, ")
    return f"{where or 'it'}: {text[:1].lower()}{text[1:]}"

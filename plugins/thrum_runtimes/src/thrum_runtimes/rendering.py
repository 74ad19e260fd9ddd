"""Fields of an agent in a kit's file: ``{{.AgentName}}``, ``{{.AgentRole}}``, ``{{.AgentModule}}``, ``{{.MCPCommand}}``.

Source: spec/features.md §11.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thrum_kernel.errors import UsageError

_FIELD = re.compile(r"\{\{\s*\.(AgentName|AgentRole|AgentModule|MCPCommand)\s*\}\}")
_IDENTIFIER = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Fields:
    """What stands for the fields."""

    name: str = "agent"
    role: str = "implementer"
    module: str = "main"
    mcp_command: str = "thrum"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Fields:
        """From the options of ``init``; those that are not given have plain defaults.

        Raises:
            UsageError: one is no identifier; what goes into a script must be harmless there.
        """
        given = {
            field: str(options[field]).removeprefix("@")
            for field in ("name", "role", "module")
            if options.get(field)
        }
        for field, value in given.items():
            if not _IDENTIFIER.fullmatch(value):
                raise UsageError(
                    f'invalid {field} "{value}"', hint="lower-case letters, digits, _ and - go into files"
                )
        return cls(**given)


def render(content: str, fields: Fields) -> str:
    """*content* with its fields filled in; everything else stays, byte for byte."""
    values = {
        "AgentName": fields.name,
        "AgentRole": fields.role,
        "AgentModule": fields.module,
        "MCPCommand": fields.mcp_command,
    }
    return _FIELD.sub(lambda found: values[found.group(1)], content)

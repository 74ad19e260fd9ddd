"""Tables of rooms and plugins, and what fills them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Migration:
    """One additive step of a local (``local.db``) schema, applied once, in one transaction with its record.

    Attributes:
        name: unique and ordered within its owner, e.g. ``messaging.0001_read_marks``.
        statements: SQL, one statement each.
    """

    name: str
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tables:
    """A plugin's own tables.

    Attributes:
        projected: statements that make its tables in the cache, filled by its projectors; changing one rebuilds.
        local: additive steps for its tables in ``local.db``.
    """

    projected: tuple[str, ...] = ()
    local: tuple[Migration, ...] = ()


@dataclass(frozen=True, slots=True)
class Projector:
    """A rule that writes a plugin's projected tables.

    Attributes:
        event_type: one of the plugin's own, or any type of the kernel.
        apply: pure ``(connection, event) -> None``: same events in any order, any number of times, same tables.
    """

    event_type: str
    apply: Callable[[sqlite3.Connection, Any], None]

"""What is known of one plugin: where it comes from, how far it came, what is wrong with it.

Source: DESIGN.md D6, "Loading is a state machine".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from thrum_kernel.api import PluginManifest

State = Literal[
    "found", "gated", "imported", "configured", "registered", "migrated", "active", "failed", "disabled"
]
PHASES: Final[tuple[State, ...]] = (
    "found",
    "gated",
    "imported",
    "configured",
    "registered",
    "migrated",
    "active",
)
"""In order. Found: its entry point is there. Gated: its manifest is good for this kernel. Imported: its hooks are,
and fit. Configured: its settings hold. Registered: what it adds is. Migrated: its tables are there."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a plugin comes from.

    Attributes:
        name: as the entry point or the file calls it.
        distribution, version: of the installed package; the path of a team's file and empty.
        read: gives the manifest; imports the light module only.
        path: of a team's file; None for installed ones.
        module: that holds the manifest; empty for a team's file.
    """

    name: str
    distribution: str
    version: str
    read: Callable[[], Any]
    path: Path | None = None
    module: str = ""

    @property
    def label(self) -> str:
        """The plugin with its distribution, as errors and the log name it."""
        return f"{self.name} ({self.distribution}{f' {self.version}' if self.version else ''})"


@dataclass(slots=True, eq=False)
class Plugin:
    """One plugin.

    Attributes:
        state: how far it came.
        phase: in which phase it failed; empty otherwise.
        error: why it failed or is not loaded.
        troubles: what is wrong with an active one, by what it is about (a hook, a rule, a service).
        dead_letters: events that it could not take.
        undo: takes back what it registered, last first.
        kept: takes back what stays registered of one that failed; done when it is loaded again.
    """

    source: Source
    manifest: PluginManifest | None = None
    state: State = "found"
    phase: str = ""
    error: str = ""
    troubles: dict[str, str] = field(default_factory=dict)
    dead_letters: int = 0
    undo: list[Callable[[], object]] = field(default_factory=list)
    kept: list[Callable[[], object]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.manifest.name if self.manifest is not None else self.source.name

    @property
    def label(self) -> str:
        return self.source.label

    @property
    def is_active(self) -> bool:
        return self.state == "active"


class LoadFailed(Exception):
    """A plugin cannot be loaded; the text says why."""

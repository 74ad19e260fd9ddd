"""Small plugins, installed into a folder of the test's own."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

HEAD = """
from thrum_kernel.api import *
from thrum_kernel.api import API_LEVEL, hookimpl
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A folder as installers leave it.

    Attributes:
        path: for the Python path.
    """

    path: Path

    def install(self, name: str, hooks: str, *, manifest: str = "") -> None:
        """A plugin called *name* with the source of its hooks; *manifest*: further arguments."""
        info = self.path / f"{name}_plugin-1.0.dist-info"
        info.mkdir(parents=True)
        module = f"{name}_plugin"
        head = (
            f"MANIFEST = PluginManifest(name={name!r}, summary='For tests', api=API_LEVEL, hooks={module!r}, "
        )
        source = f"{HEAD}\n{head}{manifest})\n{textwrap.dedent(hooks)}"
        (self.path / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[thrum.plugins]\n{name} = {module}:MANIFEST\n")

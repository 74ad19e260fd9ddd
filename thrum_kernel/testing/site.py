"""Small plugins that are installed: real distributions with entry points, in a folder of the test's own."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Site:
    """A folder as installers leave it: packages, and a ``.dist-info`` for each distribution.

    Attributes:
        path: to be put on the Python path.
    """

    path: Path
    installed: list[str] = field(default_factory=list)

    def install(
        self,
        name: str,
        *,
        hooks: str = "",
        manifest: str = "",
        distribution: str = "",
        package: str = "",
        modules: dict[str, str] | None = None,
        plugin: str | None = None,
        has_hooks: bool = True,
    ) -> str:
        """Install a plugin; gives its distribution's name.

        Args:
            hooks: source of its hooks module, after the imports that every hooks module needs.
            manifest: further arguments of its manifest.
            distribution, package: their names, else ``acme-NAME`` and ``site_NAME``.
            modules: further modules of its package, by name.
            plugin: the whole source of its light module, instead of a good one.
        """
        package = package or f"site_{name}"
        distribution = distribution or f"acme-{name.replace('_', '-')}"
        folder = self.path / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        hooks_line = f'hooks="{package}.hooks", ' if has_hooks else ""
        good = (
            "from thrum_kernel.api import PluginCommand, PluginManifest\n"
            f'MANIFEST = PluginManifest(name="{name}", summary="For tests", api=1, {hooks_line}{manifest})\n'
        )
        (folder / "plugin.py").write_text(textwrap.dedent(plugin) if plugin is not None else good)
        (folder / "hooks.py").write_text(HEAD + textwrap.dedent(hooks))
        for module, text in (modules or {}).items():
            (folder / f"{module}.py").write_text(textwrap.dedent(text))
        info = self.path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[thrum.plugins]\n{name} = {package}.plugin:MANIFEST\n")
        self.installed.append(package)
        return distribution

    def uninstall(self, name: str, *, distribution: str = "") -> None:
        """Take its distribution out; the package stays, as no one finds it."""
        distribution = distribution or f"acme-{name.replace('_', '-')}"
        info = self.path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.rename(info.with_name(info.name + ".gone"))

    def reinstall(self, name: str) -> None:
        """Put a distribution back that `uninstall` took out."""
        info = self.path / f"acme_{name}-1.0.dist-info.gone"
        info.rename(info.with_name(info.name.removesuffix(".gone")))


HEAD = """\
import asyncio, sys, time
import msgspec
from thrum_kernel.api import *
from thrum_kernel.api import Event, hookimpl
from thrum_kernel.errors import UsageError
"""

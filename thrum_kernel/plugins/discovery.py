"""Which plugins there are: entry points of installed distributions, and a team's own files.

Nothing is imported here but, when `Source.read` is called, the module that holds the manifest.

``THRUM_PLUGINS_DISABLE`` names plugins that are not loaded (comma-separated), ``THRUM_PLUGINS_AUTOLOAD=0`` loads
none, ``THRUM_PLUGINS_STRICT=1`` makes one that fails stop the daemon's start.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final, Self

from thrum_kernel.plugins.record import LoadFailed, Source

GROUP: Final = "thrum.plugins"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the environment and the configuration say about loading.

    Attributes:
        disabled: plugins that are not loaded → who says so.
        autoload: whether any is loaded.
        strict: a plugin that fails is an error of the start.
    """

    disabled: Mapping[str, str] = field(default_factory=dict)
    autoload: bool = True
    strict: bool = False

    @classmethod
    def of(cls, env: Mapping[str, str], disabled: Iterable[str] = ()) -> Self:
        """From an environment, and ``plugins.disabled`` of the configuration."""
        names = dict.fromkeys(disabled, "plugins.disabled in config.json")
        listed = env.get("THRUM_PLUGINS_DISABLE", "").replace(" ", "").split(",")
        names.update(dict.fromkeys(filter(None, listed), "THRUM_PLUGINS_DISABLE"))
        return cls(
            disabled=names,
            autoload=env.get("THRUM_PLUGINS_AUTOLOAD", "1") not in ("0", "false"),
            strict=env.get("THRUM_PLUGINS_STRICT", "") not in ("", "0", "false"),
        )


def installed(path: list[str] | None = None) -> list[Source]:
    """Every installed plugin, by name; of the same distribution found twice on the path the first counts.

    Args:
        path: folders to look in instead of ``sys.path``.
    """
    found: dict[tuple[str, str], Source] = {}
    for source in _sources(path):
        found.setdefault((source.name, source.distribution), source)
    return [found[key] for key in sorted(found)]


def _sources(path: list[str] | None) -> Iterator[Source]:
    # By distribution and not by `metadata.entry_points`, which forgets to say which one is broken.
    places = metadata.distributions(path=path) if path is not None else metadata.distributions()
    for distribution in places:
        for entry in distribution.entry_points:
            if entry.group == GROUP:
                name = distribution.metadata["Name"] or "unknown"
                yield Source(entry.name, name, distribution.version or "", entry.load, module=entry.module)


def of_project(folder: Path) -> list[Source]:
    """The plugins of a project that is not installed, as its ``pyproject.toml`` declares them.

    Raises:
        LoadFailed: it declares none, or cannot be read.
    """
    file = folder / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text("utf-8")).get("project", {})
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise LoadFailed(f"{file}: {error}") from error
    entries = project.get("entry-points", {}).get(GROUP, {})
    if not entries:
        raise LoadFailed(f'{file} has no [project.entry-points."{GROUP}"]')
    found = []
    for name, value in sorted(entries.items()):
        entry = metadata.EntryPoint(name, value, GROUP)
        version = str(project.get("version", ""))
        found.append(Source(name, str(project.get("name", "")), version, entry.load, module=entry.module))
    return found

"""Which plugins there are: entry points of installed distributions, and a team's own files.

Nothing is imported here but, when `Source.read` is called, the module that holds the manifest.

``THRUM_PLUGINS_DISABLE`` names plugins that are not loaded (comma-separated), ``THRUM_PLUGINS_AUTOLOAD=0`` loads
none, ``THRUM_PLUGINS_STRICT=1`` makes one that fails stop the daemon's start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Final, Self

from thrum_kernel.plugins.record import Source

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
                yield Source(entry.name, name, distribution.version or "", entry.load)

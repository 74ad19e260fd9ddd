"""Who has which name. A claim that overlaps another's fails the later plugin and names both.

Source: DESIGN.md D6; spec/decisions.md "Plugins and names".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, get_args

from thrum_kernel.api import PluginManifest
from thrum_kernel.plugins.record import LoadFailed

Kind = Literal["plugin", "method", "noun", "section", "table", "sender", "event"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
KERNEL: Final = "the kernel"


class Claims:
    """Names and patterns (``x*``) by kind, each with its owner."""

    def __init__(self) -> None:
        self._owners: dict[Kind, dict[str, str]] = {kind: {} for kind in KINDS}

    def reserve(self, kind: Kind, names: Iterable[str], owner: str = KERNEL) -> None:
        """Note names that are taken for good."""
        for name in names:
            self._owners[kind].setdefault(name, owner)

    def claim(self, manifest: PluginManifest, owner: str) -> Callable[[], None]:
        """Take all names of a plugin, or none; the result gives them back.

        Raises:
            LoadFailed: one is taken; names it and both owners.
        """
        wanted = list(claimed_by(manifest))
        for kind, name in wanted:
            other = self.owner(kind, name)
            if other is not None:
                raise LoadFailed(f'{kind} "{name}" of {owner} is already claimed by {other}')
        for kind, name in wanted:
            self._owners[kind][name] = owner

        def release() -> None:
            for kind, name in wanted:
                self._owners[kind].pop(name, None)

        return release

    def owner(self, kind: Kind, name: str) -> str | None:
        """Who has a name or one that overlaps it; None when it is free."""
        return next((owner for taken, owner in self._owners[kind].items() if overlap(taken, name)), None)

    def names(self, kind: Kind, *, owner: str | None = None) -> list[str]:
        """Every name of a kind, of one owner or of all."""
        return [name for name, whose in self._owners[kind].items() if owner in (None, whose)]


def claimed_by(manifest: PluginManifest) -> Iterator[tuple[Kind, str]]:
    """Every name that a plugin claims, its default namespace first."""
    name = manifest.name
    default: tuple[tuple[Kind, str], ...] = (
        ("plugin", name),
        ("method", f"{name}.*"),
        ("noun", name.replace("_", "-")),
        ("section", name),
        ("table", f"{name}_*"),
        ("event", f"{name}.*"),
    )
    yield from default
    further: tuple[tuple[Kind, tuple[str, ...]], ...] = (
        ("method", manifest.methods),
        ("noun", manifest.nouns),
        ("section", manifest.sections),
        ("table", manifest.tables),
        ("sender", manifest.senders),
        ("event", manifest.events),
    )
    for kind, names in further:
        for claimed in names:
            if not covers(manifest, kind, claimed, further=False):
                yield kind, claimed


def covers(manifest: PluginManifest, kind: Kind, name: str, *, further: bool = True) -> bool:
    """Whether a plugin's namespace holds a name.

    Args:
        further: count what the manifest claims beyond the default namespace, too.
    """
    own: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "plugin": ((manifest.name,), ()),
        "method": ((f"{manifest.name}.*",), manifest.methods),
        "noun": ((manifest.name.replace("_", "-"),), manifest.nouns),
        "section": ((manifest.name,), manifest.sections),
        "table": ((f"{manifest.name}_*",), manifest.tables),
        "sender": ((), manifest.senders),
        "event": ((f"{manifest.name}.*",), manifest.events),
    }
    default, claimed = own[kind]
    return any(matches(pattern, name) for pattern in (*default, *(claimed if further else ())))


def matches(pattern: str, name: str) -> bool:
    """Whether *pattern*, an exact name or one that ends in ``*``, is or begins *name*."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def overlap(one: str, other: str) -> bool:
    """Whether two patterns have a name in common."""
    if one.endswith("*") and other.endswith("*"):
        return one[:-1].startswith(other[:-1]) or other[:-1].startswith(one[:-1])
    return matches(one, other) or matches(other, one)

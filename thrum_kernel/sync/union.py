"""Merging as a question of names: which published files of another clone to take, and which leave the common tree.

Pure: works on names and first lines. A file is taken when it is not here, unless everything in it lies inside a larger
file that is here or offered too (roll-up). A file leaves the common tree when it is not here and all its windows are
held by a unit that is here whole: then it was rolled up or purged. Whatever is not understood stays where it is.

Source: DESIGN.md D1, "Merging is the union of names, less files whose windows lie inside another's of their shard".
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Final

from thrum_kernel.store.names import Window, parse_name
from thrum_kernel.store.scan import Containing
from thrum_kernel.store.units import Unit

_FOLDER: Final = r"[0-9A-Za-z_%~-]{1,128}"
_EVENTS: Final = re.compile(rf"events/{_FOLDER}/[0-9a-f]/([^/]+)")
_MESSAGES: Final = re.compile(rf"messages/{_FOLDER}/[0-9a-f]/[0-9a-f]/([^/]+)")


def is_events_path(path: str) -> bool:
    """Whether *path* can be that of an events file."""
    match = _EVENTS.fullmatch(path) if path.startswith("events/") else None
    name = parse_name(match[1]) if match is not None else None
    return name is not None and not name.agent


def is_log_path(path: str) -> bool:
    """Whether *path* can be that of a published file: nothing else from a remote is ever written to the disk."""
    match = None if path.startswith("events/") else _MESSAGES.fullmatch(path)
    name = parse_name(match[1]) if match is not None else None
    return is_events_path(path) or (name is not None and bool(name.agent))


def paths_of(units: Iterable[Unit]) -> set[str]:
    """Every file that *units* list, their own included."""
    return {name for unit in units for name in unit.names}


class Holding:
    """The units that are somewhere whole, to be asked what they hold."""

    def __init__(self, units: Iterable[Unit]) -> None:
        found = list(units)
        self._containing = Containing(found)
        self._same: Mapping[tuple[str, tuple[Window, ...]], list[Unit]] = defaultdict(list)
        for unit in found:
            self._same[unit.daemon, unit.windows].append(unit)

    def has_larger(self, unit: Unit) -> bool:
        """Whether another unit's windows contain those of *unit*, without being the same."""
        return any(True for _ in self._containing.of(unit))

    def holders(self, unit: Unit) -> Iterator[Unit]:
        """The units here that cover all of *unit*, be it under another name."""
        yield from self._same.get((unit.daemon, unit.windows), ())
        yield from self._containing.of(unit)


def is_whole(unit: Unit, present: Container[str]) -> bool:
    """Whether every file of *unit* is *present*."""
    return all(name in present for name in unit.names)


def whole(units: Iterable[Unit], present: Container[str]) -> Iterator[Unit]:
    """Those of *units* all of whose files are *present*."""
    return (unit for unit in units if is_whole(unit, present))


def wanted(offered: Sequence[Unit], local: Sequence[Unit], names: Container[str]) -> list[Unit]:
    """Which units that are not here to take, oldest first.

    Args:
        offered: the units of the other side whose events file is not here.
        local: the units here that are whole.
        names: every path that the other side has.
    """
    larger = Holding([*local, *whole(offered, names)])
    return sorted((unit for unit in offered if not larger.has_larger(unit)), key=lambda unit: unit.key)


def surplus(offered: Sequence[Unit], local: Sequence[Unit], present: Container[str]) -> set[str]:
    """Which paths leave the common tree.

    Args:
        offered: the units of the other side whose events file is not here.
        local: the units here that count.
        present: the published paths here.
    """
    if not offered:
        return set()
    holding = Holding(local)
    gone = paths_of(
        unit for unit in offered if any(is_whole(other, present) for other in holding.holders(unit))
    )
    return gone - paths_of(local)

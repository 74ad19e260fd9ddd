"""Which published files are not what their names tell, found by reading them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from thrum_kernel.errors import FileMissing
from thrum_kernel.store.files import digest
from thrum_kernel.store.names import parse_name
from thrum_kernel.store.scan import scan
from thrum_kernel.store.tree import Tree


def listed(tree: Tree) -> list[Path]:
    """Every file that should be there whole, relative to the published folder, and events files nobody can read.

    Raises:
        StoreError: the disk refuses.
    """
    found = scan(tree)
    damaged = (Path(problem.path) for problem in found.problems if problem.kind == "damaged")
    units = (path for unit in found.units for path in unit.paths)
    return list(dict.fromkeys([*units, *damaged]))


def size_of(tree: Tree, path: Path) -> int:
    """Bytes of a published file; 0 when it is not there."""
    return tree.disk.size(tree.published / path) or 0


def is_sound(tree: Tree, path: Path) -> bool:
    """Whether a published file is there with the bytes that its name tells.

    Raises:
        StoreError: the disk refuses.
    """
    with contextlib.suppress(FileMissing):
        return is_named_after(path, tree.disk.read(tree.published / path))
    return False


def is_named_after(path: Path, data: bytes) -> bool:
    """Whether *data* is what a name tells."""
    name = parse_name(path.name)
    return name is not None and name.digest == digest(data)


def unsound(tree: Tree, paths: Iterable[Path]) -> list[Path]:
    """Those of *paths* that are not `is_sound`.

    Raises:
        StoreError: the disk refuses.
    """
    return [path for path in paths if not is_sound(tree, path)]

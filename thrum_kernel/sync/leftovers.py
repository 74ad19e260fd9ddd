"""What a merge leaves behind of other daemons' files, and takes away: units that larger ones hold, files of half a unit.

What lies under our own daemon's id is its cutter's to remove.
"""

from __future__ import annotations

from pathlib import Path

from thrum_kernel.store.files import drop
from thrum_kernel.store.names import daemon_folder
from thrum_kernel.store.scan import Scan, covered, strays
from thrum_kernel.store.tree import Tree


def drop_superseded(tree: Tree, daemon: str, found: Scan) -> None:
    """Remove units of others than *daemon* that lie inside larger ones."""
    tree.drop([unit for unit in found.superseded if unit.daemon != daemon], keep=found.units)


def drop_strays(tree: Tree, daemon: str, found: Scan) -> None:
    """Remove message files of others than *daemon* that a merge left behind which never ended; once a start will do."""
    own = Path("messages", daemon_folder(daemon))
    rest = [path for path in strays(tree, found) if not path.is_relative_to(own)]
    drop(tree.disk, [tree.published / path for path in covered(tree, rest, found.coverage)])

"""Everything that was ever purged or deleted, read from the files of the log.

Files are read whole and searched for the two types of events, so that a log of a million lines takes about as long as
reading it from the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from thrum_kernel.errors import FileMissing
from thrum_kernel.store import journal
from thrum_kernel.store.purge import Purges, is_purging, purges_in
from thrum_kernel.store.scan import walk
from thrum_kernel.store.tree import Tree


def purges_of(tree: Tree) -> Purges:
    """What all purges and deletions in published files and journals take out; blocking.

    Raises:
        StoreError: the disk refuses.
    """
    return purges_in(_candidates(tree))


def _candidates(tree: Tree) -> Iterator[bytes]:
    for folder in ("events", "messages"):
        for path in walk(tree, Path(folder)):
            try:
                data = tree.disk.read(tree.published / path)
            except FileMissing:
                continue  # rolled up meanwhile
            if is_purging(data):
                yield from data.split(b"\n")
    for entry in tree.disk.entries(tree.journal):
        for _, line in journal.read_on(tree.disk, tree.journal / entry.name, journal.Mark(0, 0)):
            yield line

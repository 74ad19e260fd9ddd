"""The journals that a log holds: how far each goes, in which order they follow, and their lines.

Those of the daemon that a log was copied from are among them; it publishes them itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from thrum_kernel.store import journal
from thrum_kernel.store.journal import Ended, Mark
from thrum_kernel.store.tree import Line, Tree


class Place(NamedTuple):
    """How far a writer's journal goes: its last durable sequence."""

    writer: str
    sequence: int


class Journals:
    """The journals of one log.

    Args:
        tree: the log.
        daemon: whose journals are published from here.
        ended: the journals that `journal.recover` found at this start.
    """

    def __init__(self, tree: Tree, daemon: str, ended: Sequence[Ended]) -> None:
        self._tree = tree
        self._daemon = daemon
        self._ends = {found.header.writer: found.last for found in ended}
        self._order = [found.path.name for found in ended]
        self._tail = ("", Mark(0, 0))  # the writer whose journal was read last, and how far

    def forget(self) -> None:
        """Read from the beginning of a journal the next time."""
        self._tail = ("", Mark(0, 0))

    def ended(self, place: Place) -> None:
        """A journal was ended just now."""
        self._ends[place.writer] = place.sequence

    def known(self, current: Place) -> list[tuple[Path, Place, bool]]:
        """Journals whose end is known, each behind the one before it, with that end and whether it is final.

        Args:
            current: the writer that may be appending now, and how far that is durable.
        """
        names = {entry.name for entry in self._tree.disk.entries(self._tree.journal)}
        known = [name for name in self._order if name in names]
        self._order = known + sorted(names.difference(known))
        found = []
        for name in self._order:
            path = self._tree.journal / name
            header = journal.read_header(self._tree.disk, path)
            if header is None or header.daemon != self._daemon:
                continue
            if header.previous is not None:
                self._ends[header.previous.writer] = header.previous.last
            found.append((path, header.writer))
        ends = [(path, writer, self._ends.get(writer)) for path, writer in found]
        return [
            (path, Place(writer, current.sequence if end is None else end), end is not None)
            for path, writer, end in ends
            if end is not None or writer == current.writer
        ]

    def read(self, path: Path, writer: str, first: int, last: int) -> Iterator[Line]:
        """Lines of a journal, from where it was read to the last time."""
        known, start = self._tail
        if known != writer or start.sequence >= first:
            start = Mark(0, 0)
        for mark, line in journal.read_on(self._tree.disk, path, start, last=last):
            self._tail = (writer, mark)
            if mark.sequence >= first:
                yield Line(writer, mark.sequence, line)

    def copied(self) -> Iterator[tuple[Path, Place]]:
        """Journals of the daemon that this log was copied from, which publishes them itself."""
        for entry in self._tree.disk.entries(self._tree.journal):
            path = self._tree.journal / entry.name
            header = journal.read_header(self._tree.disk, path)
            if header is not None and header.daemon != self._daemon and header.writer in self._ends:
                yield path, Place(header.writer, self._ends[header.writer])

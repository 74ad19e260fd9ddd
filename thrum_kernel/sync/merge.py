"""Takes what another clone published into this one's files, and says what a commit on top of it has to change.

Blocking; the caller sees to it that nothing is published meanwhile (`Publisher.quiet`). Every byte is compared with the
digest in its name before it is written, message files before the events file that lists them, so that a unit exists
only once it is whole. Nothing that is here is overwritten: two contents under one name are reported and both kept, ours
here and the other in the repository.

Source: DESIGN.md D1, "Published files", "Purge".
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from thrum_kernel.errors import FileDamaged, FileMissing
from thrum_kernel.store.files import digest, drop, write_all
from thrum_kernel.store.filter import filter_units
from thrum_kernel.store.names import Window, parse_name
from thrum_kernel.store.purge import Purges, filtered, is_purging, purges_in
from thrum_kernel.store.scan import Problem, Scan, scan
from thrum_kernel.store.shared import Copy, SharedTexts, copies_in, sharing_changes, take_copies
from thrum_kernel.store.tree import Tree
from thrum_kernel.store.units import Unit, decode_unit
from thrum_kernel.sync.branch_format import FORMAT, BranchFormat
from thrum_kernel.sync.leftovers import drop_strays, drop_superseded
from thrum_kernel.sync.lost import Lost, missed
from thrum_kernel.sync.present import Present
from thrum_kernel.sync.seams import BlobReader, Snapshots
from thrum_kernel.sync.union import is_events_path, is_log_path, paths_of, surplus, wanted, whole

_log = logging.getLogger(__name__)

Place: TypeAlias = tuple[str, tuple[Window, ...]]
"""A daemon and windows of its."""


class Changes(NamedTuple):
    """What a commit on top of the other side's tip changes."""

    add: list[str]
    remove: list[str]

    def __bool__(self) -> bool:
        return bool(self.add or self.remove)


@dataclass(slots=True)
class Merged:
    """What a merge did.

    Attributes:
        units: what is new or more complete here, oldest first.
        own: what the tip holds under this daemon's id, whoever wrote it.
        purges: what the purges and deletions among their lines take out.
        problems: what could not be taken, and names with two contents.
    """

    units: list[Unit] = field(default_factory=list)
    own: list[Unit] = field(default_factory=list)
    purges: Purges = field(default_factory=Purges)
    problems: list[Problem] = field(default_factory=list)


class Merger:
    """Merges commits into the published files of one log.

    Args:
        tree: the log.
        repository: where the commits are.
        daemon: the id of the daemon here; files under it that lie inside others are its cutter's to remove.
        is_ahead: whether a ULID is further ahead of our clock than what counts.
        on_shared: told which texts of other clones (`store.shared`) were taken, in the thread that merges.

    Attributes:
        lacking: files that units here list and that were neither here nor in the tip, when `changes` looked last.
    """

    def __init__(
        self,
        tree: Tree,
        repository: Snapshots,
        *,
        daemon: str,
        is_ahead: Callable[[str], bool] = lambda ulid: False,
        on_shared: Callable[[Sequence[Copy]], None] = lambda copies: None,
    ) -> None:
        self._tree = tree
        self._texts = SharedTexts(tree)
        self._is_ahead = is_ahead
        self._on_shared = on_shared
        self._repository = repository
        self._daemon = daemon
        self._headers: dict[str, Unit] = {}
        self._last: Mapping[str, str] = {}
        self._refused: dict[str, str] = {}
        self._told: dict[str, Problem] = {}
        self._format = BranchFormat(tree)
        self.lacking: list[str] = []
        self._is_tidy = False
        self._owed: set[Place] = set()  # written by a merge that broke off: they do not count here yet
        self._has_marked = False  # whether the merge noted that a purge is pending, since it may break off

    @property
    def problems(self) -> list[Problem]:
        """What was wrong with the files of the tip that was merged last, and is not mended yet."""
        return list(self._told.values())

    def missed(self) -> list[Lost]:
        """What the tip or a list names and nobody can give, less what somebody gave up."""
        return missed(self._tree, self.problems, self.lacking)

    def give_up(self) -> list[Lost]:
        """Wait no longer for what is missed; what that is."""
        found = self.missed()
        if found:
            self._tree.give_up(each.path for each in found)
        return found

    def start_over(self) -> None:
        """Published files, or our repository, were taken away: believe nothing about them."""
        self._headers, self._last, self._refused, self._told = {}, {}, {}, {}
        self._is_tidy = False
        self._tree.forget_folders()
        self._tree.prepare()

    def trust(self, tip: str) -> None:
        """*tip* was merged here before: its files need not be compared again with what their names tell."""
        if not self._last and tip:
            self._last = self._repository.files(tip)

    def merge(self, tip: str, *, remote: str, known: Purges) -> Merged:
        """Take what *tip* has and this clone has not.

        Args:
            tip: a commit of the other side.
            remote: its name, for what is told.
            known: every purge and deletion of this log: what comes is filtered by them.

        Raises:
            ForeignBranch: the branch is not ours.
            FormatTooNew: it needs a later version.
            GitFailed, StoreError: it cannot be read or written; what was taken counts, and doing it again goes on.
        """
        entries = self._repository.files(tip)
        merged = Merged()
        with self._repository.blobs() as blobs:
            self._format.check(entries, blobs, remote)
            here = self._scan()
            if self._drop_damaged(here.problems, entries, blobs):
                here = self._scan()
            present = self._present()
            self._compare(entries, present, blobs, merged)
            offered = self._offered(entries, present, blobs, merged)
            owed = frozenset(self._owed)
            self._has_marked = False
            new = wanted(offered, list(whole(here.units, present)), entries)
            taken = [unit for unit in new if self._take(unit, entries, present, blobs, merged, known)]
            taken += [
                unit
                for unit in here.units
                if self._take(unit, entries, present, blobs, merged, known) or _place(unit) in owed
            ]
            self._take_texts(entries, blobs, known, merged)
        was_tidy, self._is_tidy = self._is_tidy, False
        self._settle(taken, known, merged)
        if taken or not was_tidy:
            drop_superseded(self._tree, self._daemon, self._scan())
        if not was_tidy:
            drop_strays(self._tree, self._daemon, self._scan())
        self._is_tidy = True
        self._owed.clear()
        self._last = entries
        self._headers = {path: unit for path, unit in self._headers.items() if path in entries}
        merged.own = [unit for unit in self._headers.values() if unit.daemon == self._daemon]
        self._refused = {path: blob for path, blob in self._refused.items() if entries.get(path) == blob}
        self._told = {path: problem for path, problem in self._told.items() if path in self._refused}
        return merged

    def changes(self, tip: str, *, known: Purges) -> Changes:
        """What a commit on top of *tip* (empty: none) has to change so that it holds what is here.

        Nothing leaves unpurged: files that a clone brought back from before a purge are filtered first.

        Args:
            known: every purge and deletion of this log.
        """
        entries = self._repository.files(tip)
        here = self._scan()
        new = [unit for unit in here.units if not all(name in entries for name in unit.names)]
        if known and new and filter_units(self._tree, new, known).units != new:
            here = self._scan()
        present = self._present()
        with self._repository.blobs() as blobs:
            offered = self._offered(entries, present, blobs, Merged())
            is_older = self._format.is_older(entries, blobs)
        news = [path for path in sorted(paths_of(here.units)) if path not in entries or path in self._refused]
        self.lacking = [path for path in news if path not in entries and path not in present]
        add = [path for path in news if path in present and self._is_lacking(path, entries)]
        texts = sharing_changes(self._texts.copies(), copies_in(entries), known)
        add += texts.add
        if (add and FORMAT not in entries) or is_older:
            add.append(FORMAT)
        for path in add:
            self._told.pop(path, None)  # what is here goes there
        gone = surplus(offered, here.units, present)
        remove = [path for path in sorted(gone & entries.keys()) if path not in present]
        return Changes(add, [*remove, *texts.remove])

    # looking

    def _scan(self) -> Scan:
        found = scan(self._tree, known=self._headers)
        self._headers = {str(unit.path): unit for unit in (*found.units, *found.superseded)} | self._headers
        return found

    def _is_lacking(self, path: str, entries: Mapping[str, str]) -> bool:
        """Whether the tip has no such file, or other bytes there than its name tells while we hold those."""
        return path not in entries or self._can_mend(path, entries[path])

    def _present(self) -> Present:
        return Present(self._tree)

    def _compare(
        self, entries: Mapping[str, str], present: Present, blobs: BlobReader, merged: Merged
    ) -> None:
        """Tell of names whose content in the tip is not the one that is here; only what changed is read."""
        for path, blob in entries.items():
            if self._last.get(path) == blob or not is_log_path(path) or path not in present:
                continue
            if not _is_named_after(path, blobs.read(blob)):
                text = "the remote holds other bytes under this name than it tells; what is here is kept"
                self._refuse(Problem("conflict", path, text), blob, merged)

    def _can_mend(self, path: str, blob: str) -> bool:
        """Whether the tip holds what a name does not tell, and we hold what it does."""
        if self._refused.get(path) != blob:
            return False
        return _is_named_after(path, self._tree.disk.read(self._tree.published / path))

    def _offered(
        self, entries: Mapping[str, str], present: Present, blobs: BlobReader, merged: Merged
    ) -> list[Unit]:
        """The units of the tip whose events file is not here."""
        units = []
        for path, blob in entries.items():
            if not is_events_path(path) or path in present or self._refused.get(path) == blob:
                continue
            unit = self._headers.get(path) or self._read_header(path, blob, blobs, merged)
            if unit is not None:
                units.append(unit)
        return units

    def _read_header(self, path: str, blob: str, blobs: BlobReader, merged: Merged) -> Unit | None:
        data = self._sound(path, blob, blobs, merged)
        if data is None:
            return None
        try:
            unit = decode_unit(Path(path), data.partition(b"\n")[0])
        except FileDamaged as error:
            self._refuse(_damaged(path, error.reason), blob, merged)
            return None
        self._headers[path] = unit
        return unit

    # taking

    def _take(
        self,
        unit: Unit,
        entries: Mapping[str, str],
        present: Present,
        blobs: BlobReader,
        merged: Merged,
        known: Purges,
    ) -> bool:
        """Write the files of *unit* that are not here, the events file last; whether there were any."""
        missing = [name for name in unit.names if name in entries and name not in present]
        if not missing:
            return False
        self._owed.add(_place(unit))
        blobs.expect(entries[name] for name in missing if self._refused.get(name) != entries[name])
        temporary = self._tree.folders.ensure(self._tree.temporary)
        written: list[str] = []
        shards = [name for name in missing if name != str(unit.path)]
        for names in (shards, missing[len(shards) :]):
            files = self._files(names, entries, blobs, merged, known, written)
            write_all(self._tree.disk, files, temporary=temporary)
        present.update(written)
        return bool(written)

    def _files(
        self,
        names: Iterable[str],
        entries: Mapping[str, str],
        blobs: BlobReader,
        merged: Merged,
        known: Purges,
        written: list[str],
    ) -> Iterator[tuple[Path, bytes]]:
        """Those of *names* that are sound, with their bytes, as they are about to be written; told in *written*."""
        for path in names:
            data = self._sound(path, entries[path], blobs, merged) if is_log_path(path) else None
            if data is None:
                continue
            self._mark(data, known)
            target = self._tree.published / path
            self._tree.folders.ensure(target.parent)
            written.append(path)
            yield target, data

    def _mark(self, data: bytes, known: Purges) -> None:
        """Note durably that something is to be purged: a start finds it, should we die before that is done."""
        if is_purging(data):
            self._tree.mark_pending()
        elif known and not self._has_marked and not self._tree.is_pending and _is_touched(data, known):
            self._tree.mark_pending()
            self._has_marked = True

    def _take_texts(
        self, entries: Mapping[str, str], blobs: BlobReader, known: Purges, merged: Merged
    ) -> None:
        taken, refused = take_copies(self._texts, entries, known, read=blobs.read, is_ahead=self._is_ahead)
        for path, why in refused:
            if self._refused.get(path) != entries[path]:
                self._refuse(Problem("damaged", path, why), entries[path], merged)
        if taken:
            self._on_shared(taken)

    def _sound(self, path: str, blob: str, blobs: BlobReader, merged: Merged) -> bytes | None:
        """The bytes of a blob that are what their name tells; None otherwise, which is told once."""
        if self._refused.get(path) == blob:
            return None
        data = blobs.read(blob)
        if _is_named_after(path, data):
            return data
        self._refuse(_damaged(path, "its bytes are not those that its name tells"), blob, merged)
        return None

    def _refuse(self, problem: Problem, blob: str, merged: Merged) -> None:
        self._refused[problem.path] = blob
        self._told[problem.path] = problem
        merged.problems.append(problem)

    def _settle(self, taken: list[Unit], known: Purges, merged: Merged) -> None:
        """Filter what was taken by what is purged, and find the purges in it."""
        if not taken:
            return
        merged.purges = purges_in(line for unit in taken for line in _purging_lines(self._tree, unit))
        after = filter_units(self._tree, taken, known) if known else None
        if after is not None:
            merged.problems += after.problems
        merged.units = sorted(after.units if after is not None else taken, key=lambda unit: unit.key)
        if self._has_marked and not merged.purges and not (after is not None and after.problems):
            self._tree.clear_pending()

    def _drop_damaged(
        self, problems: Iterable[Problem], entries: Mapping[str, str], blobs: BlobReader
    ) -> bool:
        """Remove files that cannot be read here and are whole in the tip, to be taken from it; whether any."""
        paths = [
            problem.path for problem in problems if problem.kind == "damaged" and problem.path in entries
        ]
        whole_there = [path for path in paths if _is_named_after(path, blobs.read(entries[path]))]
        for path in whole_there:
            _log.warning("%s is damaged here and is taken from the remote again", path)
        drop(self._tree.disk, [self._tree.published / path for path in whole_there])
        return bool(whole_there)


def _place(unit: Unit) -> Place:
    """What stays of a unit when it is purged."""
    return unit.daemon, unit.windows


def _is_touched(data: bytes, purges: Purges) -> bool:
    return any(filtered(line, purges) is not line for line in data.split(b"\n") if line)


def _purging_lines(tree: Tree, unit: Unit) -> Iterator[bytes]:
    """The lines of those files of a unit that hold a purge or a deletion, and few do; none of a missing one."""
    for path in unit.paths:
        with contextlib.suppress(FileMissing):
            data = tree.disk.read(tree.published / path)
            if is_purging(data):
                yield from data.split(b"\n")


def _damaged(path: str, why: str) -> Problem:
    return Problem("damaged", path, f"was not taken from the remote: {why}")


def _is_named_after(path: str, data: bytes) -> bool:
    name = parse_name(path.rpartition("/")[2])
    return name is not None and name.digest == digest(data)
